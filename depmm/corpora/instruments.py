"""Questionnaires and ratings of depression: range, usual cut-off and severity levels."""

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
    # Hamilton, J Neurol Neurosurg Psychiatry 23, 1960; published cut-offs and levels disagree
    "HAMD-17": Instrument(0, 52, None),
    # Zung, Arch Gen Psychiatry 12, 1965: 20 items of 1 to 4; the raw sum has no usual cut-off
    "SDS": Instrument(20, 80, None),
    # raw sum x 1.25; the cut-off 53 of the Chinese norm, as in Shen et al., ICASSP 2022 (EATD)
    "SDS-index": Instrument(25, 100, 53),
    # patient or control, decision of annotators, ...: a class without a score
    "group": Instrument(None, None, None),
}


# predicted levels 0, 1, ... (target.kind levels); an expected level is rounded
_LEVEL_SCALES = {
    f"{name} level": Instrument(
        0,
        len(scale.levels),
        None,
        tuple(index + 0.5 for index in range(len(scale.levels))),
        scale.level_names,
    )
    for name, scale in INSTRUMENTS.items()
    if scale.levels
}


def find_scale(name: str | None) -> Instrument:
    """Look up an instrument, or the scale of its severity levels.

    Parameters
    ----------
    name : str or None
        Name of an instrument, or of its levels, for example "BDI-II level".

    Returns
    -------
    Instrument
        A scale without scores if the name is unknown.
    """
    return (INSTRUMENTS | _LEVEL_SCALES).get(name or "", INSTRUMENTS["group"])


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
    scale = INSTRUMENTS.get(instrument, INSTRUMENTS["group"])
    if scale.lowest is None or scale.highest is None:
        range_text = "has no scores"
    elif scale.lowest <= score <= scale.highest:
        return score
    else:
        range_text = f"goes from {scale.lowest:g} to {scale.highest:g}"
    raise ManifestError(
        f"{location}: score {score:g}, but {instrument} {range_text}. Correct the table with "
        "the score, or name the right instrument in the spec.",
        column="score",
        session=session,
        file=file,
        line=line,
        value=score,
    )
