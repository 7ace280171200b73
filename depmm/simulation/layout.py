"""A simulated corpus in the layout of any data spec, with planted effects and confounds.

The spec is read backwards: where indexing takes a person's id from a file name, this writes the
name. Voices and faces are those of ``depmm simulate``; features are noise around which bluntness
shifts the mean. ``truth.json`` states what was planted, and in whom.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from depmm.corpora.instruments import INSTRUMENTS
from depmm.corpora.manifest import SPLITS
from depmm.corpora.patterns import fill_pattern, natural_sort_key
from depmm.corpora.spec_schema import TRUTH_FILE, Spec
from depmm.corpora.word_lists import ENGLISH_WORDS
from depmm.errors import did_you_mean
from depmm.simulation.features import SHIFT_PER_UNIT
from depmm.simulation.layout_fields import LayoutError, Participant
from depmm.simulation.layout_plan import PlannedUnit, Planner
from depmm.simulation.layout_recordings import Job, record_all
from depmm.simulation.word_reading import (
    BLUNTNESS_LIMITS,
    DEPRESSED,
    DIAGNOSES,
    GENERATOR,
    SUBJECT_SD,
    WORD_SD,
    effect_per_unit,
    read_word_lists,
    sample_traits,
)
from depmm.simulation.writers import (
    can_write,
    write_cells,
    write_objects,
    write_text,
)

Thing = TypeVar("Thing")

SUBJECTS = 12  # people where nobody says how many and the spec knows as many
WORDS = 2  # in a recording; one more where words are steps
DEFINITION = (
    "bluntness[person, modality, word] = effect where diagnosis is depressed, otherwise 0, + a "
    "person's offset N(0, subject_sd) + noise N(0, word_sd), drawn independently for audio and "
    "face. Clipped to bluntness_limits, it changes voice, face and the mean of every feature as "
    "effect_per_unit says. label is the class that the tables state (1 depressed); it contradicts "
    "diagnosis only where label_noise was planted."
)


@dataclass(frozen=True)
class Confound:
    """A confound that can be planted: its smallest and largest value, and what the value is."""

    lowest: float
    highest: float
    meaning: str


CONFOUNDS = {
    "gender": Confound(0, 1, "share of women among the depressed, and of men among the healthy"),
    "duration": Confound(1, 10, "how many times as many words the depressed say"),
    "speaker_leak": Confound(0, math.inf, "people with a further session in another split"),
    "label_noise": Confound(0, 1, "share of people whose label is that of the other group"),
    "black_video": Confound(0, 1, "share of sessions whose pictures are black"),
    "missing_audio": Confound(0, 1, "share of recordings without sound"),
}


def parse_confounds(texts: Iterable[str]) -> dict[str, float]:
    """Read ``NAME=VALUE`` of a command line.

    Raises
    ------
    ValueError : not in that form, no number, a name that stands twice
    """
    confounds: dict[str, float] = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            number = float(value)
        except ValueError:
            raise ValueError(f"confound {text!r}: write NAME=VALUE, e.g. gender=0.9") from None
        if name in confounds:
            raise ValueError(f"confound {name} stands twice. Keep one.")
        confounds[name] = number
    return confounds


def simulate_layout(
    out: Path | str,
    spec: Spec,
    *,
    subjects: int | None = None,
    words: int | None = None,
    seed: int = 0,
    effect: float = 1.0,
    workers: int = 1,
    confounds: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Write a simulated corpus in the layout of a spec and return its truth.

    The same arguments give the same bytes, for any number of workers. A script that calls this
    with several needs the usual ``if __name__ == "__main__":``.

    Parameters
    ----------
    out : a new or empty folder
    spec : of the corpus whose layout is wanted, see ``load_spec``
    subjects : people, half of them depressed; default: 12, or as many as the spec knows
    words : that are said in each recording; default: what ``simulate:`` of the spec says, or 2, or
        3 where words are steps
    effect : bluntness of the depressed, in the units that ``per_unit`` of the truth explains
    workers : processes
    confounds : confounds to confound, see ``CONFOUNDS``

    Returns
    -------
    the content of ``truth.json``

    Raises
    ------
    ValueError : an argument out of range, a folder that holds something, a confound or a file that
        this layout cannot carry
    """
    out, confounds = Path(out), dict(confounds or {})
    _check(out, spec, subjects, words, seed, effect, workers, confounds)
    lists = read_word_lists(Path(spec.word_list) if spec.word_list else ENGLISH_WORDS)
    planner = Planner(spec, lists, np.random.default_rng((seed, 0, 0)))
    known = planner.capacity()
    people = _people(spec, planner, min(SUBJECTS, known) if subjects is None else subjects, seed,
                     confounds)  # fmt: skip
    count = words or spec.simulate.words_per_recording or (WORDS + (spec.steps.table is not None))
    longer = math.ceil(count * confounds.get("duration", 1))
    units = []
    for participant, ids in zip(people, planner.name_people(people), strict=True):
        own = longer if participant.traits.diagnosis == "depressed" else count
        units += planner.plan(participant, ids, own)
    dark, silent = _broken(units, confounds, np.random.default_rng((seed, 0, 2)))
    jobs = [
        Job(
            participant.number, participant.traits.gender,
            participant.traits.diagnosis == "depressed", effect, seed, out, spec,
            [unit for unit in units if unit.person is participant], dark, silent,
        )
        for participant in people
    ]  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    for job, times in zip(jobs, record_all(jobs, workers), strict=True):
        for unit, (spans, asked_s) in zip(job.units, times, strict=True):
            planner.add_steps(unit, spans, asked_s)
    for table, path, columns, rows in planner.files():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        if table.format == "json":
            write_objects(out / path, columns, rows, table.key)
        else:
            cells = [columns, *rows] if table.header else rows
            write_cells(out / path, cells, table.sep, table.encoding)
    _write_ignored(out, spec)
    truth = _truth(spec, people, units, seed, effect, confounds, dark, silent)
    write_text(out / TRUTH_FILE, json.dumps(truth, indent=1, ensure_ascii=False) + "\n")
    return truth


def _write_ignored(out: Path, spec: Spec) -> None:
    """Write a file, of no content, for each pattern of those that are delivered and not read."""
    for text in spec.ignore:
        path = out / fill_pattern(text, {}, spec.simulate.folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


# ---- what is planned -------------------------------------------------------------------------


def _check(
    out: Path, spec: Spec, subjects: int | None, words: int | None, seed: int, effect: float,
    workers: int, confounds: Mapping[str, float],
) -> None:  # fmt: skip
    for what, number, least in (("subjects", subjects, 2), ("words", words, 1)):
        if number is not None and number < least:
            raise ValueError(f"{what} is {number}: use at least {least}")
    if seed < 0:
        raise ValueError(f"seed is {seed}: use 0 or a positive whole number")
    if not (math.isfinite(effect) and effect >= 0):
        raise ValueError(f"effect is {effect}: use 0 (nothing planted) or a positive number")
    if workers < 1:
        raise ValueError(f"workers is {workers}: use at least 1")
    for name, value in confounds.items():
        confound = CONFOUNDS.get(name)
        if confound is None:
            raise ValueError(f"confound {name!r} is unknown. {did_you_mean(name, CONFOUNDS)}")
        if not confound.lowest <= value <= confound.highest or value == math.inf:
            reach = f"from {confound.lowest:g} to {confound.highest:g}".replace(" to inf", " on")
            raise ValueError(f"confound {name} is {value:g}: {confound.meaning}, {reach}")
    if confounds.get("speaker_leak", 0) % 1:
        raise ValueError(f"confound speaker_leak is {confounds['speaker_leak']:g}: a whole number")
    given = {modality for entry in spec.recordings for modality in entry.modalities}
    for name, needed in (("black_video", "face"), ("missing_audio", "audio")):
        if confounds.get(name) and needed not in given:
            raise ValueError(f"confound {name}: {spec.name} has no {needed}. Leave it out.")
    if confounds.get("label_noise") and spec.label is None:
        raise ValueError(f"confound label_noise: {spec.name} has no label. Leave it out.")
    for entry in spec.recordings:
        if entry.features is None and not can_write(entry.pattern, "face" in entry.modalities):
            raise LayoutError(
                f"{spec.name}: files like {entry.pattern!r} cannot be simulated. Give the pattern "
                "another ending, such as .mp4 or .wav."
            )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"out is {out}, which holds something: give a new or empty folder")


def _scale(spec: Spec) -> tuple[float, float, float] | None:
    """Lowest score, cut-off and highest score; None without scores."""
    if spec.label is None or spec.label.score is None:
        return None
    instrument = INSTRUMENTS[spec.label.instrument]
    if instrument.lowest is None or instrument.highest is None:
        return None
    cut_off = spec.label.effective_cut_off or instrument.cut_off
    if cut_off is None:  # a score without classes: any border between few and many symptoms
        cut_off = (2 * instrument.lowest + instrument.highest) / 3
    return instrument.lowest, math.ceil(cut_off), instrument.highest


def _people(
    spec: Spec, planner: Planner, subjects: int, seed: int, confounds: Mapping[str, float]
) -> list[Participant]:
    rng = np.random.default_rng((seed, 0, 1))
    scale, half = _scale(spec), subjects // 2
    sizes = {"depressed": half, "healthy": subjects - half}
    drawn = [
        one for g, n in sizes.items() for one in sample_traits(rng, g, n, scale or (0, 14, 63))
    ]
    if "gender" in confounds:
        women = (
            round(confounds["gender"] * half),
            round((1 - confounds["gender"]) * sizes["healthy"]),
        )
        genders = [
            gender
            for count, size in zip(women, sizes.values(), strict=True)
            for gender in ["female"] * count + ["male"] * (size - count)
        ]
        drawn = [replace(one, gender=g) for one, g in zip(drawn, genders, strict=True)]
    splits = planner.layout.splits
    if splits:
        drawn = [one if one.split in splits else replace(one, split=splits[-1]) for one in drawn]
    people = [
        Participant(
            number,
            drawn[at],
            int(drawn[at].diagnosis == DEPRESSED),
            drawn[at].score if scale else None,
        )
        for number, at in enumerate(rng.permutation(subjects), start=1)
    ]
    for participant in _some(people, confounds.get("label_noise", 0) * subjects, rng):
        participant.label = 1 - participant.label
        if scale:
            other = sample_traits(rng, DIAGNOSES[participant.label], 1, scale)[0]
            participant.score = other.score
    leaks = int(confounds.get("speaker_leak", 0))
    if leaks and (leaks > subjects or len(splits) < 2):
        raise LayoutError(
            f"confound speaker_leak is {leaks}: {spec.name} has {subjects} people here and the "
            f"splits {', '.join(splits) or 'none'}. Use at most {subjects} people, and a layout "
            "with two splits."
        )
    for participant in _some(people, leaks, rng):
        rest = [split for split in reversed(splits) if split != participant.traits.split]
        participant.further_split = rest[0]
    return people


def _broken(
    units: list[PlannedUnit], confounds: Mapping[str, float], rng: np.random.Generator
) -> tuple[frozenset[str], frozenset[str]]:
    """Draw the sessions with a dead camera and the paths of files without sound."""
    filmed = list(dict.fromkeys(unit.session for unit in units if _gives(unit, "face")))
    heard = [unit for unit in units if _gives(unit, "audio")]
    dark = _some(filmed, confounds.get("black_video", 0) * len(filmed), rng)
    silent = _some(heard, confounds.get("missing_audio", 0) * len(heard), rng)
    paths = [f.path for unit in silent for f in unit.files if "audio" in f.entry.modalities]
    return frozenset(dark), frozenset(paths)


def _gives(unit: PlannedUnit, modality: str) -> bool:
    return any(modality in file.entry.modalities for file in unit.files)


def _some(things: list[Thing], count: float, rng: np.random.Generator) -> list[Thing]:
    """Draw so many of a list, at least one unless ``count`` is 0, in the order of the list."""
    size = min(len(things), max(1, round(count))) if count else 0
    return [things[at] for at in sorted(rng.permutation(len(things))[:size].tolist())]


# ---- what is true ----------------------------------------------------------------------------


def _truth(
    spec: Spec,
    people: list[Participant],
    units: list[PlannedUnit],
    seed: int,
    effect: float,
    confounds: Mapping[str, float],
    dark: frozenset[str],
    silent: frozenset[str],
) -> dict[str, Any]:
    names = {unit.person.number: unit.subject for unit in units}
    affected: dict[str, Any] = {
        "gender": [],
        "duration": [p for p in people if p.traits.diagnosis == "depressed"],
        "speaker_leak": [p for p in people if p.further_split],
        "label_noise": [p for p in people if DIAGNOSES[p.label] != p.traits.diagnosis],
    }
    affected = {name: sorted(names[p.number] for p in found) for name, found in affected.items()}
    affected["gender"] = dict(
        sorted(Counter(f"{p.traits.diagnosis} {p.traits.gender}" for p in people).items())
    )
    affected |= {"black_video": sorted(dark), "missing_audio": sorted(silent)}
    sessions: dict[str, Any] = {}
    for unit in sorted(
        units, key=lambda unit: [natural_sort_key(unit.fields[name]) for name in spec.steps.order]
    ):
        fields, label = unit.fields, spec.label
        entry = sessions.setdefault(
            unit.session,
            {
                "subject": unit.subject,
                "split": fields.get("split") if fields.get("split") in SPLITS else None,
                "label": _label(spec, fields),
                "score": float(fields[label.score])
                if label and label.score and fields.get(label.score)
                else None,
                "words": [],
                "files": [],
            },
        )
        entry["words"] += [word for word, _ in unit.words]
        entry["files"] += [file.path for file in unit.files]
    return {
        "generator": GENERATOR,
        "spec": spec.name,
        "n_subjects": len(people),
        "seed": seed,
        "effect": effect,
        "definition": DEFINITION,
        "word_sd": WORD_SD,
        "subject_sd": SUBJECT_SD,
        "bluntness_limits": list(BLUNTNESS_LIMITS),
        "effect_per_unit": {**effect_per_unit(), "features": {"mean_shift": SHIFT_PER_UNIT}},
        "confounds": {
            name: {"value": value, "meaning": CONFOUNDS[name].meaning, "affected": affected[name]}
            for name, value in confounds.items()
        },
        "subjects": {
            names[p.number]: {
                "diagnosis": p.traits.diagnosis,
                "label": p.label,
                "gender": p.traits.gender,
                "age": p.traits.age,
            }
            for p in people
        },
        "sessions": dict(sorted(sessions.items())),
    }


def _label(spec: Spec, fields: Mapping[str, str]) -> int | None:
    """The label that indexing will read."""
    rule = spec.label
    if rule is None:
        return None
    if rule.field:
        return int(fields[rule.field] in rule.positive) if rule.field in fields else None
    if rule.effective_cut_off is None or not rule.score or rule.score not in fields:
        return None
    return int(float(fields[rule.score]) >= rule.effective_cut_off)
