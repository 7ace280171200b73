"""A simulated corpus in the layout of any data spec, with a planted effect and confounds.

The spec is evaluated in the direction opposite to indexing: where indexing reads a subject id from
a file name, the simulation writes the name. Voices and faces are those of the simulated
word-reading corpus; features are noise whose mean depends on the bluntness. ``truth.json`` states
what was planted, and which subjects and sessions it affects.
"""

import json
import math
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from depmm.corpora.instruments import find_scale
from depmm.corpora.patterns import fill_pattern, natural_sort_key
from depmm.corpora.spec_schema import TRUTH_FILE, Spec
from depmm.corpora.word_lists import ENGLISH_WORDS
from depmm.files.writing import write_text
from depmm.schemas.manifest import SPLITS
from depmm.simulation.confounds import (
    CONFOUNDS,
    check_confounds,
    plant_leak,
    sample_broken_recordings,
    sample_items,
)
from depmm.simulation.features import SHIFT_PER_UNIT
from depmm.simulation.layout_plan import Planner
from depmm.simulation.layout_recordings import Job, record_all
from depmm.simulation.layout_tables import TablePlanner
from depmm.simulation.layout_units import Fields, LayoutError, Participant, PlannedUnit
from depmm.simulation.participants import (
    BDI_II,
    BLUNTNESS_LIMITS,
    DEPRESSED,
    DIAGNOSES,
    GENERATOR,
    HEALTHY,
    SUBJECT_SD,
    WORD_SD,
    Scale,
    check_arguments,
    check_empty,
    effect_per_unit,
    sample_traits,
)
from depmm.simulation.reading_list import read_word_lists
from depmm.simulation.writers import can_write, write_cells, write_objects

DEFAULT_SUBJECTS = 12  # or as many as the layout has ids for
DEFAULT_WORDS = 2  # in a recording; one more if words are steps
DEFINITION = (
    "bluntness[subject, modality, word] = effect if diagnosis is depressed, otherwise 0, + an "
    "offset of the subject N(0, subject_sd) + noise N(0, word_sd), drawn independently for audio "
    "and face. Clipped to bluntness_limits, it changes voice, face and the mean of every feature "
    "by the values of effect_per_unit. label is the class that the tables state (1 for depressed); "
    "it contradicts diagnosis only where label_noise was planted."
)


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

    The same arguments give the same bytes for any number of workers. A script that calls this
    function with several workers needs ``if __name__ == "__main__":``.

    Parameters
    ----------
    out : Path or str
        A new or empty folder.
    spec : Spec
        Data spec of the layout, see `depmm.corpora.spec.load_spec`.
    subjects : int, optional
        Number of subjects, half of them depressed; by default 12, or as many as the layout has ids
        for.
    words : int, optional
        Number of words in each recording; by default ``simulate.words_per_recording`` of the spec,
        or 2, or 3 if words are steps.
    seed : int, default 0
        Seed of all random numbers.
    effect : float, default 1.0
        Additional bluntness of depressed subjects, in the units of ``effect_per_unit``.
    workers : int, default 1
        Number of processes.
    confounds : dict of str to float, optional
        Confounds to plant, see `depmm.simulation.confounds.CONFOUNDS`.

    Returns
    -------
    dict of str to Any
        The content of ``truth.json``.

    Raises
    ------
    SimulationError
        If an argument or a confound is out of range, or ``out`` is not empty.
    LayoutError
        If the layout cannot represent the subjects, the confounds or a file.
    """
    out, confounds = Path(out), dict(confounds or {})
    check_arguments(
        {
            "subjects": (subjects, 2),
            "words": (words, 1),
            "seed": (seed, 0),
            "workers": (workers, 1),
        },
        effect,
    )
    check_confounds(confounds, spec)
    _check_formats(spec)
    check_empty(out)
    lists = read_word_lists(Path(spec.word_list) if spec.word_list else ENGLISH_WORDS)
    planner = Planner(spec, lists, np.random.default_rng((seed, 0, 0)))
    if subjects is None:
        subjects = min(DEFAULT_SUBJECTS, planner.count_ids())
    participants = _sample_participants(spec, planner.layout.splits, subjects, seed, confounds)
    n_words = (
        words or spec.simulate.words_per_recording or DEFAULT_WORDS + (spec.steps.table is not None)
    )
    n_words_depressed = math.ceil(n_words * confounds.get("duration", 1))
    units: list[PlannedUnit] = []
    for participant, ids in zip(participants, planner.assign_ids(participants), strict=True):
        depressed = participant.traits.diagnosis == DEPRESSED
        units += planner.plan(participant, ids, n_words_depressed if depressed else n_words)
    broken = sample_broken_recordings(units, confounds, np.random.default_rng((seed, 0, 2)))
    jobs = [
        Job(
            index=participant.index,
            gender=participant.traits.gender,
            depressed=participant.traits.diagnosis == DEPRESSED,
            effect=effect,
            seed=seed,
            out=out,
            spec=spec,
            units=[unit for unit in units if unit.participant is participant],
            black_sessions=broken[0],
            silent_files=broken[1],
        )
        for participant in participants
    ]
    truth = {
        "generator": GENERATOR,
        "spec": spec.name,
        "n_subjects": len(participants),
        "seed": seed,
        "effect": effect,
        "definition": DEFINITION,
        "word_sd": WORD_SD,
        "subject_sd": SUBJECT_SD,
        "bluntness_limits": list(BLUNTNESS_LIMITS),
        "effect_per_unit": {**effect_per_unit(), "features": {"mean_shift": SHIFT_PER_UNIT}},
        "confounds": _confound_truth(participants, units, confounds, *broken),
        "subjects": _subject_truth(participants, units),
        "sessions": _session_truth(spec, units),
    }
    out.mkdir(parents=True, exist_ok=True)
    with _emptied_on_error(out):
        for job, times in zip(jobs, record_all(jobs, workers), strict=True):
            for unit, unit_times in zip(job.units, times, strict=True):
                planner.tables.add_steps(unit, unit_times.words, unit_times.question_end_s)
        _write_tables(out, planner.tables)
        _write_ignored(out, spec)
        write_text(out / TRUTH_FILE, json.dumps(truth, indent=1, ensure_ascii=False) + "\n")
    return truth


@contextmanager
def _emptied_on_error(out: Path) -> Iterator[None]:
    """Remove an incomplete corpus, so that an interrupted command can be repeated."""
    try:
        yield
    except BaseException:
        for path in out.iterdir():  # the folder was empty before
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        raise


def _check_formats(spec: Spec) -> None:
    for entry in spec.recordings:
        if entry.features is None and not can_write(entry.pattern, "face" in entry.modalities):
            raise LayoutError(
                f"{spec.name}: recordings of the format of {entry.pattern!r} cannot be simulated.",
                setting="recordings",
                value=entry.pattern,
                remedy="Use a pattern with another suffix, such as .mp4 or .wav.",
            )


def _write_tables(out: Path, tables: TablePlanner) -> None:
    for table, path, columns, rows in tables.files():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        if table.format == "json":
            write_objects(out / path, columns, rows, table.key)
        else:
            cells = [columns, *rows] if table.header else rows
            write_cells(out / path, cells, table.sep, table.encoding)


def _write_ignored(out: Path, spec: Spec) -> None:
    """Write one empty file for each pattern of ``ignore:``."""
    for text in spec.ignore:
        path = out / fill_pattern(text, {}, spec.simulate.folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def _score_scale(spec: Spec) -> Scale | None:
    """Find the range and cut-off of the scores of a spec; None without scores."""
    if spec.label is None or spec.label.score is None:
        return None
    instrument = find_scale(spec.label.instrument_text)
    if instrument.lowest is None or instrument.highest is None:
        return None
    cut_off = spec.label.effective_cut_off or instrument.cut_off
    if cut_off is None:  # a score without classes: a third of the range
        cut_off = (2 * instrument.lowest + instrument.highest) / 3
    return Scale(instrument.lowest, math.ceil(cut_off), instrument.highest)


def _sample_participants(
    spec: Spec,
    splits: tuple[str, ...],
    subjects: int,
    seed: int,
    confounds: Mapping[str, float],
) -> list[Participant]:
    """Sample participants in random order, with the confounds that concern their traits."""
    rng = np.random.default_rng((seed, 0, 1))
    scale, half = _score_scale(spec), subjects // 2
    sizes = {DEPRESSED: half, HEALTHY: subjects - half}
    traits = [
        one
        for diagnosis, size in sizes.items()
        for one in sample_traits(rng, diagnosis, size, scale or BDI_II)
    ]
    if "gender" in confounds:
        share = confounds["gender"]
        women = round(share * half), round((1 - share) * sizes[HEALTHY])
        genders = [
            gender
            for count, size in zip(women, sizes.values(), strict=True)
            for gender in ["female"] * count + ["male"] * (size - count)
        ]
        traits = [replace(one, gender=g) for one, g in zip(traits, genders, strict=True)]
    if splits:
        traits = [one if one.split in splits else replace(one, split=splits[-1]) for one in traits]
    participants = [
        Participant(
            index,
            traits[row],
            DIAGNOSES.index(traits[row].diagnosis),
            traits[row].score if scale else None,
        )
        for index, row in enumerate(rng.permutation(subjects), start=1)
    ]
    for participant in sample_items(participants, confounds.get("label_noise", 0) * subjects, rng):
        participant.label = 1 - participant.label
        if scale:
            participant.score = sample_traits(rng, DIAGNOSES[participant.label], 1, scale)[0].score
    plant_leak(participants, splits, confounds, spec, rng)
    return participants


def _subject_ids(units: list[PlannedUnit]) -> dict[int, str]:
    return {unit.participant.index: unit.subject for unit in units}


def _confound_truth(
    participants: list[Participant],
    units: list[PlannedUnit],
    confounds: Mapping[str, float],
    black_sessions: frozenset[str],
    silent_files: frozenset[str],
) -> dict[str, Any]:
    """Describe every planted confound and the subjects, sessions or files that it affects."""
    ids = _subject_ids(units)
    subjects = {
        "duration": [p for p in participants if p.traits.diagnosis == DEPRESSED],
        "speaker_leak": [p for p in participants if p.further_split],
        "label_noise": [p for p in participants if DIAGNOSES[p.label] != p.traits.diagnosis],
    }
    genders = Counter(f"{p.traits.diagnosis} {p.traits.gender}" for p in participants)
    affected: dict[str, Any] = {
        name: sorted(ids[p.index] for p in chosen) for name, chosen in subjects.items()
    } | {
        "gender": dict(sorted(genders.items())),
        "black_video": sorted(black_sessions),
        "missing_audio": sorted(silent_files),
    }
    return {
        name: {"value": value, "meaning": CONFOUNDS[name].meaning, "affected": affected[name]}
        for name, value in confounds.items()
    }


def _subject_truth(participants: list[Participant], units: list[PlannedUnit]) -> dict[str, Any]:
    ids = _subject_ids(units)
    return {
        ids[p.index]: {
            "diagnosis": p.traits.diagnosis,
            "label": p.label,
            "gender": p.traits.gender,
            "age": p.traits.age,
        }
        for p in participants
    }


def _session_truth(spec: Spec, units: list[PlannedUnit]) -> dict[str, Any]:
    """Describe every session as indexing must read it."""
    sessions: dict[str, Any] = {}

    def step_order(unit: PlannedUnit) -> list[Any]:
        return [natural_sort_key(unit.fields[name]) for name in spec.steps.order]

    for unit in sorted(units, key=step_order):
        fields, label = unit.fields, spec.label
        scored = label and label.score and fields.get(label.score)
        entry = sessions.setdefault(
            unit.session,
            {
                "subject": unit.subject,
                "split": fields.get("split") if fields.get("split") in SPLITS else None,
                "label": _expected_label(spec, fields),
                "score": float(scored) if scored else None,
                "words": [],
                "files": [],
            },
        )
        entry["words"] += [word for word, _ in unit.words]
        entry["files"] += [file.path for file in unit.files]
    return dict(sorted(sessions.items()))


def _expected_label(spec: Spec, fields: Fields) -> int | None:
    """Compute the label that indexing will read."""
    rule = spec.label
    if rule is None:
        return None
    if rule.field:
        return int(fields[rule.field] in rule.positive) if rule.field in fields else None
    if rule.effective_cut_off is None or not rule.score or rule.score not in fields:
        return None
    return int(float(fields[rule.score]) >= rule.effective_cut_off)
