"""Join the manifests of several corpora for one experiment, by the rules of their instruments.

A class is comparable across instruments as far as a cut-off defines it. A score is not: PHQ-8 and
PHQ-9 have different items and ranges, and no sum of one is a sum of the other. Therefore, severity
is predicted across corpora of the same instrument only.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from depmm.config import TargetConfig
from depmm.corpora.errors import ManifestError
from depmm.corpora.instruments import find_scale
from depmm.corpora.manifest import Manifest

# a config of acted speech names emotions; these settings predict the column of 0 and 1 instead
LABEL_SETTINGS = 'target.column=label "target.positive=[]" "target.negative=[]"'


@dataclass(frozen=True)
class LabelDefinition:
    """What the classes of a corpus mean, as found in its sessions.

    Attributes
    ----------
    corpus : str
        Corpus id.
    instrument : str or None
        Instrument of the sessions; several are joined with commas; None if none is known.
    cut_off : float or None
        Lowest score of label 1, if every session with a lower score has label 0; None if the class
        does not follow from the score, for example a diagnosis.
    text : str
        One sentence.
    """

    corpus: str
    instrument: str | None
    cut_off: float | None
    text: str


def describe_label(corpus: str, sessions: pd.DataFrame, target: TargetConfig) -> LabelDefinition:
    """Describe the classes or scores of a corpus.

    Parameters
    ----------
    corpus : str
        Corpus id.
    sessions : DataFrame
        Its sessions.
    target : TargetConfig
        What is predicted.

    Returns
    -------
    LabelDefinition
        The definition.
    """
    names = sorted(sessions["instrument"].dropna().unique())
    instrument = ", ".join(names) or None
    if target.positive:
        target = restrict_target(target, sessions)
        text = (
            f"{target.column} {' or '.join(target.positive)} against {' or '.join(target.negative)}"
        )
        return LabelDefinition(corpus, None, None, f"{corpus}: {text}.")
    if target.column != "label":
        return LabelDefinition(corpus, instrument, None, f"{corpus}: {target.column}.")
    known = sessions.dropna(subset=["label", "score"])
    positive, negative = (known.loc[known["label"] == label, "score"] for label in (1, 0))
    cut_off = None
    if len(positive) and len(negative) and negative.max() < positive.min():
        cut_off = float(positive.min())
        usual = _usual_cut_off(names, float(negative.max()), cut_off)
        where = f"{usual:g}" if usual is not None else f"{cut_off:g} (the lowest found)"
        cut_off = cut_off if usual is None else usual
        text = f"{instrument}, positive from a score of {where} on"
    elif len(known):
        text = f"a class that does not follow from the score ({instrument}), such as a diagnosis"
    else:
        text = f"a class without a score ({instrument})"
    return LabelDefinition(corpus, instrument, cut_off, f"{corpus}: {text}.")


def _usual_cut_off(
    names: list[str], highest_negative: float, lowest_positive: float
) -> float | None:
    """Return the usual cut-off of the instrument if it separates the classes."""
    usual = find_scale(names[0]).cut_off if len(names) == 1 else None
    return usual if usual is not None and highest_negative < usual <= lowest_positive else None


def check_joint_target(
    manifests: Mapping[str, Manifest], target: TargetConfig
) -> tuple[list[LabelDefinition], list[str]]:
    """Check that the target of several corpora is one quantity.

    Parameters
    ----------
    manifests : mapping of str to Manifest
        Manifest of each corpus.
    target : TargetConfig
        What is predicted.

    Returns
    -------
    definitions : list of LabelDefinition
        What the classes of each corpus mean.
    notes : list of str
        What the corpora do not have in common, for the report.

    Raises
    ------
    ManifestError
        If a corpus has no column of the target or none of its classes, or if a score is to be
        predicted across instruments.
    """
    for corpus, manifest in manifests.items():
        _check_column(corpus, manifest.sessions, target)
    definitions = [
        describe_label(corpus, manifest.sessions, target) for corpus, manifest in manifests.items()
    ]
    instruments = {item.corpus: item.instrument for item in definitions}
    if target.kind != "binary" and target.column == "score" and len(set(instruments.values())) > 1:
        listed = "; ".join(f"{corpus}: {name}" for corpus, name in instruments.items())
        raise ManifestError(
            f"target.kind: {target.kind} across corpora needs the scores of one instrument, but "
            f"these have several ({listed}). Instruments differ in items and range; PHQ-9 has an "
            "item that PHQ-8 does not have.",
            value=instruments,
            remedy="Use target.kind binary, or corpora of one instrument.",
        )
    if target.kind != "binary" or target.positive:
        return definitions, []
    return definitions, _differences(definitions)


def _differences(definitions: list[LabelDefinition]) -> list[str]:
    """Describe in what the labels of the corpora differ."""
    notes = []
    instruments = {item.instrument for item in definitions}
    if len(instruments) > 1:
        notes.append(
            "The label is a class by the cut-off or diagnosis of each corpus, not one measurement: "
            "instruments differ in items and in the share of subjects above their cut-off."
        )
    if instruments >= {"PHQ-8", "PHQ-9"}:
        notes.append("PHQ-9 has a ninth item (suicidal ideation), which PHQ-8 does not have.")
    for instrument in sorted(name for name in instruments if name):
        cut_offs = {
            item.corpus: item.cut_off for item in definitions if item.instrument == instrument
        }
        if len(set(cut_offs.values())) > 1:
            listed = ", ".join(
                f"{corpus} {'by diagnosis or other rules' if cut is None else f'from {cut:g} on'}"
                for corpus, cut in cut_offs.items()
            )
            notes.append(f"The same score of {instrument} has different labels: {listed}.")
    return notes


def _check_column(corpus: str, sessions: pd.DataFrame, target: TargetConfig) -> None:
    if target.column not in sessions or sessions[target.column].isna().all():
        raise ManifestError(
            f"{corpus}: no session has a value of target.column {target.column}.",
            column=target.column,
            value=corpus,
            remedy="Choose a column that all corpora have, or leave the corpus out. To predict the "
            f"label of each corpus: {LABEL_SETTINGS}.",
        )
    known = set(sessions[target.column].dropna())
    for name in ("positive", "negative"):
        values = getattr(target, name)
        if values and not known & set(values):
            raise ManifestError(
                f"{corpus}: no session has a value of target.{name}: {', '.join(values)}.",
                column=target.column,
                value=corpus,
                remedy=f"The values of {target.column} are {', '.join(map(str, sorted(known)))}: "
                f"list those of all corpora in target.{name}; for a column of 0 and 1: "
                f"{LABEL_SETTINGS}.",
            )


def restrict_target(target: TargetConfig, sessions: pd.DataFrame) -> TargetConfig:
    """Leave out the classes that no session has.

    Parameters
    ----------
    target : TargetConfig
        What is predicted, with the values of all corpora.
    sessions : DataFrame
        Sessions of some of the corpora.

    Returns
    -------
    TargetConfig
        With the values of these sessions only; ``target`` itself if it lists no values.
    """
    if not target.positive:
        return target
    known = set(sessions[target.column].dropna())
    kept = {
        name: [value for value in getattr(target, name) if value in known]
        for name in ("positive", "negative")
    }
    return target.model_copy(update=kept)
