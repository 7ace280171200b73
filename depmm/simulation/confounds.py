"""Confounds that can be planted in a simulated corpus, and the sessions that they affect."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from depmm.corpora.spec_schema import Spec
from depmm.errors import did_you_mean
from depmm.simulation.layout_units import LayoutError, Participant, PlannedUnit
from depmm.simulation.participants import SimulationError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Confound:
    """A confound that can be planted.

    Attributes
    ----------
    lowest, highest : float
        Smallest and largest value.
    meaning : str
        Meaning of the value.
    """

    lowest: float
    highest: float
    meaning: str


CONFOUNDS = {
    "gender": Confound(0, 1, "share of women among the depressed, and of men among the healthy"),
    "duration": Confound(1, 10, "factor on the number of words of depressed participants"),
    "speaker_leak": Confound(0, math.inf, "number of subjects with a session in another split"),
    "label_noise": Confound(0, 1, "share of subjects with the wrong label"),
    "black_video": Confound(0, 1, "share of sessions with black video"),
    "missing_audio": Confound(0, 1, "share of recordings without audio"),
}


def parse_confounds(texts: Iterable[str]) -> dict[str, float]:
    """Parse confounds of the command line.

    Parameters
    ----------
    texts : iterable of str
        Confounds in the form ``NAME=VALUE``.

    Returns
    -------
    dict of str to float
        Value of each confound.

    Raises
    ------
    SimulationError
        If a text has another form, or a name is given twice.
    """
    confounds: dict[str, float] = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            number = float(value)
        except ValueError:
            raise SimulationError(
                f"confound {text!r} is not in the form NAME=VALUE.",
                setting="confounds",
                value=text,
                remedy="Write, for example, gender=0.9.",
            ) from None
        if name in confounds:
            raise SimulationError(
                f"confound {name} is given twice.",
                setting=f"confounds.{name}",
                value=number,
                remedy="Remove one of them.",
            )
        confounds[name] = number
    return confounds


def check_confounds(confounds: Mapping[str, float], spec: Spec) -> None:
    """Check that confounds are known, in range, and possible in a layout.

    Parameters
    ----------
    confounds : dict of str to float
        Value of each confound.
    spec : Spec
        Data spec of the layout.

    Raises
    ------
    SimulationError
        If a confound is unknown or its value is out of range.
    LayoutError
        If the layout has no label or modality that the confound needs.
    """
    for name, value in confounds.items():
        setting = f"confounds.{name}"
        confound = CONFOUNDS.get(name)
        if confound is None:
            raise SimulationError(
                f"confound {name!r} is unknown.",
                setting=setting,
                value=value,
                remedy=did_you_mean(name, CONFOUNDS),
            )
        if not confound.lowest <= value <= confound.highest or value == math.inf:
            unbounded = confound.highest == math.inf
            limits = f"{confound.lowest:g} to {confound.highest:g}"
            raise SimulationError(
                f"confound {name} is {value:g} ({confound.meaning}).",
                setting=setting,
                value=value,
                remedy=f"Use a number of at least {confound.lowest:g}."
                if unbounded
                else f"Use a number from {limits}.",
            )
    if confounds.get("speaker_leak", 0) % 1:
        raise SimulationError(
            f"confound speaker_leak is {confounds['speaker_leak']:g}.",
            setting="confounds.speaker_leak",
            value=confounds["speaker_leak"],
            remedy="Use a whole number.",
        )
    given: set[str] = {modality for entry in spec.recordings for modality in entry.modalities}
    given |= {"label"} if spec.label else set()
    needs = (("black_video", "face"), ("missing_audio", "audio"), ("label_noise", "label"))
    for name, needed in needs:
        if confounds.get(name) and needed not in given:
            raise LayoutError(
                f"confound {name}: the layout of {spec.name} has no {needed}.",
                setting=f"confounds.{name}",
                value=confounds[name],
                remedy="Remove the confound.",
            )


def plant_leak(
    participants: list[Participant],
    splits: tuple[str, ...],
    confounds: Mapping[str, float],
    spec: Spec,
    rng: np.random.Generator,
) -> None:
    """Give participants a further session in another split, in place.

    Parameters
    ----------
    participants : list of Participant
        All participants.
    splits : tuple of str
        Splits of the layout.
    confounds : dict of str to float
        Value of each confound; ``speaker_leak`` is the number of participants.
    spec : Spec
        Data spec of the layout.
    rng : Generator
        Source of randomness.

    Raises
    ------
    LayoutError
        If there are too few participants or splits.
    """
    count = int(confounds.get("speaker_leak", 0))
    if count and (count > len(participants) or len(splits) < 2):
        raise LayoutError(
            f"confound speaker_leak is {count}: there are {len(participants)} subjects, and the "
            f"layout of {spec.name} has {len(splits)} splits.",
            setting="confounds.speaker_leak",
            value=count,
            remedy=f"Use at most {len(participants)}, and a layout with at least 2 splits.",
        )
    for participant in sample_items(participants, count, rng):
        others = [split for split in reversed(splits) if split != participant.traits.split]
        participant.further_split = others[0]


def sample_broken_recordings(
    units: list[PlannedUnit], confounds: Mapping[str, float], rng: np.random.Generator
) -> tuple[frozenset[str], frozenset[str]]:
    """Sample the sessions with black video and the recordings without audio.

    Parameters
    ----------
    units : list of PlannedUnit
        Units of all participants.
    confounds : dict of str to float
        Value of each confound; ``black_video`` and ``missing_audio`` are shares.
    rng : Generator
        Source of randomness.

    Returns
    -------
    black_sessions : frozenset of str
        Sessions whose video is black.
    silent_files : frozenset of str
        Paths of recordings without audio.
    """
    with_face = list(dict.fromkeys(unit.session for unit in units if _has_modality(unit, "face")))
    with_audio = [unit for unit in units if _has_modality(unit, "audio")]
    black = sample_items(with_face, confounds.get("black_video", 0) * len(with_face), rng)
    silent = sample_items(with_audio, confounds.get("missing_audio", 0) * len(with_audio), rng)
    paths = [f.path for unit in silent for f in unit.files if "audio" in f.entry.modalities]
    return frozenset(black), frozenset(paths)


def _has_modality(unit: PlannedUnit, modality: str) -> bool:
    return any(modality in file.entry.modalities for file in unit.files)


def sample_items(items: list[Item], count: float, rng: np.random.Generator) -> list[Item]:
    """Sample items without replacement, in the order of the list.

    Parameters
    ----------
    items : list
        Items to sample from.
    count : float
        Number of items, rounded to at least 1; 0 samples none.
    rng : Generator
        Source of randomness.

    Returns
    -------
    list
        The sampled items.
    """
    size = min(len(items), max(1, round(count))) if count else 0
    return [items[index] for index in sorted(rng.permutation(len(items))[:size].tolist())]
