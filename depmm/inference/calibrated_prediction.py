"""What the subjects who validated a run say about its answer to a session of somebody new.

Several models (of a cross-validation) answer together: the mean of their answers, each calibrated
on its own validation subjects. A conformal set holds what any single model's set holds, so that the
coverage promised for one model holds for all of them; it is wide for that.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from depmm.corpora.instruments import INSTRUMENTS
from depmm.corpora.manifest import SUBJECT_KEY
from depmm.evaluation.stats.calibration import (
    CalibrationError,
    Temperature,
    fit_calibrators,
    validation_rows,
    venn_abers,
)
from depmm.evaluation.stats.conformal import (
    ALPHAS,
    fit_intervals,
    fit_sets,
    label_sets,
    severity_intervals,
)
from depmm.evaluation.stats.metrics import severity_bands

ALPHA = ALPHAS[0]  # the share of new subjects that a set may miss: a promise of 90 %


def answer_probability(rows: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, Any]:
    """Calibrate a probability and give the labels that it cannot exclude.

    Parameters
    ----------
    rows : the session as each model answers: fold, seed, ``y_prob`` and, with gates, ``spread``
    predictions : checked table of the run; only its validation rows are fitted on

    Returns
    -------
    ``probability`` (calibrated, or as predicted where nothing could be fitted), ``as_predicted``,
    ``models`` (each one's), ``gate_spread`` or None, ``calibration`` (``temperatures``,
    ``validation_subjects``, ``sources``; or ``refused``, in words), ``interval`` (``low`` and
    ``high`` of ``venn_abers``, the outermost of all models; or ``refused``), ``set`` (``labels``,
    ``coverage``, ``validation_subjects`` of each class; or ``refused``)
    """
    calibrated = rows["y_prob"]
    calibration: dict[str, Any]
    try:
        maps = fit_calibrators(predictions, "temperature")
        chosen = [maps[key] for key in _keys(rows)]
        prob = rows["y_prob"].to_list()
        calibrated = pd.Series(
            [float(one.apply([p])[0]) for one, p in zip(chosen, prob, strict=True)], rows.index
        )
        calibration = {
            "temperatures": [one.temperature for one in chosen if isinstance(one, Temperature)],
            "validation_subjects": _validation_subjects(rows, predictions),
            "sources": sorted({one.source for one in chosen}),
        }
    except CalibrationError as refusal:
        calibration = {"refused": str(refusal)}
    return {
        "probability": float(calibrated.mean()),
        "as_predicted": float(rows["y_prob"].mean()),
        "models": rows.assign(calibrated=calibrated).to_dict("records"),
        "gate_spread": _spread(rows),
        "calibration": calibration,
        "interval": _probability_interval(rows, predictions),
        "set": _label_set(rows, predictions),
    }


def _probability_interval(rows: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, Any]:
    try:
        validated = dict(validation_rows(predictions, "y_true", "y_prob"))
    except CalibrationError as refusal:
        return {"refused": str(refusal)}
    pairs = [
        venn_abers(validated[key], prob)
        for key, prob in zip(_keys(rows), rows["y_prob"], strict=True)
    ]
    return {
        "low": min(low for low, _ in pairs),
        "high": max(high for _, high in pairs),
        "validation_subjects": _validation_subjects(rows, predictions),
    }


def _label_set(rows: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, Any]:
    try:
        fitted = fit_sets(predictions, ALPHA)
    except CalibrationError as refusal:
        return {"refused": str(refusal)}
    own = [fitted[key] for key in _keys(rows)]
    subjects = {str(label): min(model[label].subjects for model in own) for label in (0, 1)}
    if any(model[label].everything for model in own for label in (0, 1)):
        return {"refused": _too_few(min(subjects.values()), own[0][0].needed, " of a class")}
    sets = label_sets(rows, fitted).any()
    return {
        "labels": [label for label in (0, 1) if sets[f"has_{label}"]],
        "coverage": 1 - ALPHA,
        "validation_subjects": subjects,
    }


def answer_score(
    rows: pd.DataFrame,
    predictions: pd.DataFrame,
    bounds: Sequence[float],
    instrument: str | None,
) -> dict[str, Any]:
    """Give a score its interval and severity band.

    Parameters
    ----------
    rows : the session as each model answers: fold, seed, ``score_pred`` and, with gates, ``spread``
    predictions : checked table of the run; only its validation rows are fitted on
    bounds : lowest and highest score that the models know
    instrument : what the score is of; None where it is not known

    Returns
    -------
    ``score_pred``, ``models``, ``gate_spread``, ``instrument``, ``range``, ``band`` (``number``
    from 0 on, ``low`` and ``high`` (None: the top band); None without agreed bands), ``interval``
    (``low``, ``high``, ``coverage``, ``validation_subjects``; or ``refused``, in words)
    """
    score = float(rows["score_pred"].mean())
    interval: dict[str, Any]
    try:
        fitted = fit_intervals(predictions, ALPHA)
        own = [fitted[key] for key in _keys(rows)]
        if any(one.everything for one in own):
            interval = {"refused": _too_few(min(one.subjects for one in own), own[0].needed, "")}
        else:
            spans = severity_intervals(rows, fitted, (bounds[0], bounds[1]))
            interval = {
                "low": float(spans["low"].min()),
                "high": float(spans["high"].max()),
                "coverage": 1 - ALPHA,
                "validation_subjects": min(one.subjects for one in own),
            }
    except CalibrationError as refusal:
        interval = {"refused": str(refusal)}
    return {
        "score_pred": score,
        "models": rows.to_dict("records"),
        "gate_spread": _spread(rows),
        "instrument": instrument,
        "range": list(bounds),
        "band": _band(score, instrument),
        "interval": interval,
    }


def _band(score: float, instrument: str | None) -> dict[str, Any] | None:
    scale = INSTRUMENTS.get(instrument or "")
    if instrument is None or scale is None or not scale.levels:
        return None
    number = int(severity_bands([score], instrument)[0])
    edges = [scale.lowest, *scale.levels, None]
    return {"number": number, "low": edges[number], "high": edges[number + 1]}


def _keys(rows: pd.DataFrame) -> list[tuple[int, int]]:
    return [(int(f), int(s)) for f, s in zip(rows["fold"], rows["seed"], strict=True)]


def _spread(rows: pd.DataFrame) -> float | None:
    return float(rows["spread"].mean()) if "spread" in rows else None


def _validation_subjects(rows: pd.DataFrame, predictions: pd.DataFrame) -> int:
    """The smallest number of subjects that one of the models was validated on."""
    held = predictions[predictions["split"] == "validation"]
    subjects = held.groupby(["fold", "seed"])[SUBJECT_KEY].apply(
        lambda own: len(own.drop_duplicates())
    )
    return min(int(subjects[key]) for key in _keys(rows))


def _too_few(subjects: int, needed: int, of_what: str) -> str:
    return (
        f"too few validation subjects{of_what} ({subjects}) for a promise of "
        f"{100 * (1 - ALPHA):.0f} %: it takes {needed}"
    )
