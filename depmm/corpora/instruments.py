"""Questionnaires and ratings of depression: range, usual cut-off and severity levels.

An instrument that depmm does not know is written with its definition, such as ``CES-D [0 to 60;
cut-off 16; low from 0, high from 16]``. This text is the value of the column ``instrument`` in
manifests, runs and predictions, so that each of them can be evaluated alone, and two definitions of
one name are two instruments.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from depmm.corpora.errors import ManifestError


@dataclass(frozen=True)
class Instrument:
    """A questionnaire or rating scale of depression.

    Attributes
    ----------
    lowest, highest : float or None
        The possible scores, both included; None for a class without a score.
    cut_off : float or None
        Lowest score that counts as depressed; None if no single value is customary.
    levels : tuple of float
        Lowest score of the second and each further severity level; empty if publications
        disagree.
    level_names : tuple of str
        Names of all levels, mildest first; one more than ``levels``.
    """

    lowest: float | None
    highest: float | None
    cut_off: float | None
    levels: tuple[float, ...] = ()
    level_names: tuple[str, ...] = ()


# Kroenke, Spitzer & Williams, J Gen Intern Med 16, 2001 (PHQ-9); Kroenke et al., J Affect Disord
# 114, 2009 (PHQ-8): the same levels and the cut-off 10 for both
_PHQ_LEVELS = (5, 10, 15, 20), ("none", "mild", "moderate", "mod. severe", "severe")

INSTRUMENTS = {
    # Beck, Steer & Brown, Manual for the Beck Depression Inventory-II, 1996: 21 items of 0 to 3;
    # the cut-off of the AVEC corpora is the first score of the level "mild"
    "BDI-II": Instrument(0, 63, 14, (14, 20, 29), ("minimal", "mild", "moderate", "severe")),
    "PHQ-8": Instrument(0, 24, 10, *_PHQ_LEVELS),  # 8 items of 0 to 3
    "PHQ-9": Instrument(0, 27, 10, *_PHQ_LEVELS),  # 9 items of 0 to 3
    # Hamilton, J Neurol Neurosurg Psychiatry 23, 1960; levels of Zimmerman et al., J Affect Disord
    # 150, 2013, 384-388 (17 and 24 by ROC analysis, 8 is the end of remission); the cut-off is the
    # first score of the level "mild". Studies often include patients from 14 or 17 on
    "HAMD-17": Instrument(0, 52, 8, (8, 17, 24), ("none", "mild", "moderate", "severe")),
    # Montgomery & Asberg, Br J Psychiatry 134, 1979, 382-389: 10 items of 0 to 6; levels of Snaith
    # et al., Br J Psychiatry 148, 1986, 599-601; the cut-off is the first score of the level "mild"
    "MADRS": Instrument(0, 60, 7, (7, 20, 35), ("none", "mild", "moderate", "severe")),
    # Sheikh & Yesavage, Clin Gerontol 5, 1986, 165-173: 15 items of 0 or 1; cut-off of Almeida &
    # Almeida, Int J Geriatr Psychiatry 14, 1999, 858-865; levels of Greenberg, Try This 4, Hartford
    # Institute for Geriatric Nursing, 2012
    "GDS-15": Instrument(0, 15, 5, (5, 9, 12), ("normal", "mild", "moderate", "severe")),
    # Yesavage et al., J Psychiatr Res 17, 1983, 37-49: 30 items of 0 or 1, cut-off 11; the levels
    # of the authors' scoring sheet begin at 10, one score below the cut-off
    "GDS-30": Instrument(0, 30, 11, (10, 20), ("normal", "mild", "severe")),
    # Zung, Arch Gen Psychiatry 12, 1965: 20 items of 1 to 4; the raw sum has no usual cut-off
    "SDS": Instrument(20, 80, None),
    # raw sum x 1.25; the cut-off 53 of the Chinese norm, as in Shen et al., ICASSP 2022 (EATD)
    "SDS-index": Instrument(25, 100, 53),
    # patient or control, decision of annotators, ...: a class without a score
    "group": Instrument(None, None, None),
}


_BAND = r"[^\[\];,]*[^\[\];,\s] from [0-9.]+"
_DEFINED = re.compile(
    r"(?P<name>[^\[\]]+) \[(?P<lowest>-?[0-9.]+) to (?P<highest>-?[0-9.]+)"
    rf"(?:; cut-off (?P<cut_off>-?[0-9.]+))?(?:; (?P<bands>{_BAND}(?:, {_BAND})*))?\]"
)
_LEVEL = " level"  # predicted levels 0, 1, ... of an instrument (target.kind levels)


def define_instrument(
    name: str,
    minimum: float,
    maximum: float,
    cut_off: float | None = None,
    bands: Mapping[str, float] | None = None,
) -> str:
    """Write the definition of an instrument as one text, which ``find_scale`` reads.

    Parameters
    ----------
    name : str
        Name of the instrument, without brackets.
    minimum, maximum : float
        The possible scores, both included.
    cut_off : float, optional
        Lowest score that counts as depressed.
    bands : mapping of str to float, optional
        Severity level -> its lowest score, mildest first.

    Returns
    -------
    str
        For example ``"CES-D [0 to 60; cut-off 16]"``.
    """
    parts = [f"{minimum:g} to {maximum:g}"]
    parts += [f"cut-off {cut_off:g}"] if cut_off is not None else []
    if bands:
        parts.append(", ".join(f"{level} from {lowest:g}" for level, lowest in bands.items()))
    return f"{name} [{'; '.join(parts)}]"


def short_name(instrument: str) -> str:
    """Return the name of an instrument without its definition.

    Parameters
    ----------
    instrument : str
        Value of the column ``instrument``.

    Returns
    -------
    str
        For example ``"CES-D"`` or ``"CES-D level"``.
    """
    match = _DEFINED.fullmatch(instrument.removesuffix(_LEVEL))
    return instrument if match is None else match["name"] + instrument[match.end() :]


def is_instrument(name: str) -> bool:
    """Check that an instrument is known, or written with its definition.

    Parameters
    ----------
    name : str
        Value of the column ``instrument``.

    Returns
    -------
    bool
        Whether ``find_scale`` finds its scale.
    """
    return name in INSTRUMENTS or _DEFINED.fullmatch(name) is not None


def find_scale(name: str | None) -> Instrument:
    """Look up an instrument, or the scale of its severity levels.

    Parameters
    ----------
    name : str or None
        Name of an instrument, its definition (``define_instrument``), or one of these followed by
        " level", for example "BDI-II level".

    Returns
    -------
    Instrument
        A scale without scores if the name is unknown.
    """
    text = name or ""
    scale = INSTRUMENTS.get(text) or _parse_definition(text)
    if scale is None and text.endswith(_LEVEL):
        measured = find_scale(text.removesuffix(_LEVEL))
        if measured.levels:  # an expected level is rounded
            edges = tuple(index + 0.5 for index in range(len(measured.levels)))
            return Instrument(0, len(edges), None, edges, measured.level_names)
    return scale or INSTRUMENTS["group"]


def _parse_definition(text: str) -> Instrument | None:
    match = _DEFINED.fullmatch(text)
    if match is None:
        return None
    bands = [band.rsplit(" from ", 1) for band in (match["bands"] or "").split(", ") if band]
    return Instrument(
        float(match["lowest"]),
        float(match["highest"]),
        None if match["cut_off"] is None else float(match["cut_off"]),
        tuple(float(lowest) for _, lowest in bands[1:]),
        tuple(level for level, _ in bands),
    )


def check_score(
    score: float,
    instrument: str,
    location: str,
    session: str | None = None,
    file: str | None = None,
    line: int | None = None,
) -> float:
    """Check that a score lies in the range of its instrument.

    Parameters
    ----------
    score : float
        The score.
    instrument : str
        Name of the instrument; an unknown instrument has no scores.
    location : str
        Session and source of the score, for the message.
    session : str, optional
        Session id.
    file : str, optional
        File with the score.
    line : int, optional
        Line of the file.

    Returns
    -------
    float
        ``score``.

    Raises
    ------
    ManifestError
        If the score is outside the range, or the instrument has no scores.
    """
    scale = find_scale(instrument)
    if scale.lowest is None or scale.highest is None:
        range_text = "has no scores"
    elif scale.lowest <= score <= scale.highest:
        return score
    else:
        range_text = f"goes from {scale.lowest:g} to {scale.highest:g}"
    raise ManifestError(
        f"{location}: score {score:g}, but {short_name(instrument)} {range_text}. Correct the "
        "table with the score, or name the right instrument in the spec.",
        column="score",
        session=session,
        file=file,
        line=line,
        value=score,
    )
