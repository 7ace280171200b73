"""Maps that make probabilities mean what they say, fitted on validation rows alone.

A map is fitted for each (fold, seed) on its own validation rows and measured on its test rows,
which no fit ever sees. The validation subjects also chose the epoch: a network is somewhat better
on them than on new subjects, so the maps err towards confidence.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from depmm.corpora.manifest import SUBJECT_KEY
from depmm.errors import DepmmError
from depmm.evaluation.stats.binary_metrics import brier, log_loss
from depmm.evaluation.stats.bootstrap import ResampledSessions
from depmm.evaluation.stats.reliability import (
    adaptive_ece,
    clipped_logit,
    count_bins,
    ece_if_calibrated,
    measure_over_seeds,
    reliability_bins,
)
from depmm.evaluation.stats.weighted_sums import Array, Weights

TEMPERATURES = (0.1, 10.0)  # beyond, validation rows do not determine a temperature
ISOTONIC_SUBJECTS = 50  # isotonic regression is refused with fewer validation subjects,
ISOTONIC_ENOUGH = 1000  # and warned of below: Niculescu-Mizil & Caruana 2005, learning curves


class CalibrationError(DepmmError):
    """Validation rows that nothing can be fitted on; names the fold, what lacks and the remedy."""


@dataclass(frozen=True)
class TemperatureScaling:
    """``sigmoid(logit(p) / temperature)``; above 1 it makes answers less sure.

    ``source`` says in words what it was fitted on, or why it was not.
    """

    temperature: float
    source: str

    def apply(self, y_prob: ArrayLike) -> Array:
        """Calibrate probabilities [N]; their order stays."""
        return np.asarray(expit(clipped_logit(y_prob) / self.temperature), dtype=float)


@dataclass(frozen=True)
class IsotonicCalibration:
    """A rising curve of straight lines through ``knots`` with ``levels``, [K] each."""

    knots: tuple[float, ...]
    levels: tuple[float, ...]
    source: str

    def apply(self, y_prob: ArrayLike) -> Array:
        """Calibrate probabilities [N]; outside of the knots the outermost level holds."""
        return np.interp(np.asarray(y_prob, dtype=float), self.knots, self.levels)


Calibrator = TemperatureScaling | IsotonicCalibration


# ---- maps --------------------------------------------------------------------------------------


def validation_rows(
    predictions: pd.DataFrame, truth: str, answer: str
) -> Iterator[tuple[tuple[int, int], pd.DataFrame]]:
    """Validation rows with truth and answer of every (fold, seed), the only ones to fit on.

    Yields
    ------
    (fold, seed) and its rows

    Raises
    ------
    CalibrationError : a (fold, seed) that is tested has none, or ``y_true`` has one class only
    """
    usable = (
        (predictions["split"] == "validation")
        & predictions[truth].notna()
        & predictions[answer].notna()
    )
    tested = predictions[predictions["split"] == "test"]
    for fold, seed in sorted(set(zip(tested["fold"], tested["seed"], strict=True))):
        own = predictions[
            usable & (predictions["fold"] == fold) & (predictions["seed"] == seed)
        ].reset_index(drop=True)
        where = f"predictions: fold {fold}, seed {seed}"
        if own.empty:
            raise CalibrationError(
                f"{where} has no validation rows with {truth} and {answer}, and nothing is fitted "
                "on test rows: predict the validation subjects too, or split some off"
            )
        if truth == "y_true" and own[truth].nunique() < 2:
            raise CalibrationError(
                f"{where} has {len(own)} validation rows, all with y_true "
                f"{int(own[truth].iloc[0])}: calibration needs both classes; split validation "
                "subjects off by label"
            )
        yield (int(fold), int(seed)), own


def fit_temperature(y_true: ArrayLike, y_prob: ArrayLike) -> TemperatureScaling:
    """Find the temperature with the smallest log-loss (Guo et al. 2017, Sec. 4.2).

    The log-loss is convex in ``1 / temperature``: its slope has at most one zero, which is
    found by bisection and interpolation (Brent). Without a zero there is no best temperature. If
    validation sessions are separated without error (the best is 0: total certainty), 1 is kept;
    where they are ranked no better than by chance, the highest temperature of 10 is taken.

    Parameters
    ----------
    y_true : [N] of 0 and 1
    y_prob : [N] in [0, 1]
    """
    y, z = np.asarray(y_true, dtype=float), clipped_logit(y_prob)

    def slope(sharpness: float) -> float:
        return float(np.mean(z * (expit(sharpness * z) - y)))

    flattest, sharpest = 1 / TEMPERATURES[1], 1 / TEMPERATURES[0]
    said = f"least log-loss on {len(y)} validation sessions"
    if slope(sharpest) <= 0:
        return TemperatureScaling(1.0, f"kept at 1: the {said} is at total certainty")
    if slope(flattest) >= 0:
        return TemperatureScaling(
            TEMPERATURES[1], f"highest allowed: {said} asks for no certainty at all"
        )
    return TemperatureScaling(float(1 / brentq(slope, flattest, sharpest, xtol=1e-12)), said)


def fit_isotonic(y_true: ArrayLike, y_prob: ArrayLike, subjects: int) -> IsotonicCalibration:
    """Fit the rising curve with the least squared error (Zadrozny & Elkan 2002).

    Parameters
    ----------
    y_true : [N] of 0 and 1
    y_prob : [N] in [0, 1]
    subjects : whom these sessions belong to

    Raises
    ------
    CalibrationError : fewer than 50 subjects, on whom the curve would memorise labels
    """
    if subjects < ISOTONIC_SUBJECTS:
        raise CalibrationError(
            f"isotonic regression on {subjects} validation subjects would memorise them: it is "
            f"offered from {ISOTONIC_SUBJECTS} on; use the temperature"
        )
    curve = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
    curve.fit(np.asarray(y_prob, dtype=float), np.asarray(y_true, dtype=float))
    source = f"isotonic on {subjects} validation subjects"
    if subjects < ISOTONIC_ENOUGH:
        source += f"; below about {ISOTONIC_ENOUGH} it overfits"
    return IsotonicCalibration(
        tuple(map(float, curve.X_thresholds_)), tuple(map(float, curve.y_thresholds_)), source
    )


def venn_abers(rows: pd.DataFrame, y_prob: float) -> tuple[float, float]:
    """Give the two probabilities of a new session, one for each label that it may turn out to have.

    Each is the value at the session of an isotonic regression on the validation sessions and the
    session itself, once labelled 0 and once 1 (inductive Venn-Abers predictor: Vovk & Petej 2014,
    "Venn-Abers predictors", Sec. 4; Vovk et al. 2015, NIPS). Where sessions are exchangeable, one
    of the two is perfectly calibrated, and which one only the true label tells; the fewer subjects
    validated, the farther apart they are. A subject's sessions share the weight of one.

    Parameters
    ----------
    rows : validation rows of one model, with corpus, subject, ``y_true`` and ``y_prob``
    y_prob : of the new session, by the same model

    Returns
    -------
    low, high
    """
    weight = 1 / rows.groupby(SUBJECT_KEY)["y_prob"].transform("size").to_numpy(float)
    prob = np.append(rows["y_prob"].to_numpy(float), y_prob)
    found = []
    for label in (0.0, 1.0):
        curve = IsotonicRegression(y_min=0.0, y_max=1.0)
        curve.fit(prob, np.append(rows["y_true"].to_numpy(float), label), np.append(weight, 1.0))
        found.append(float(curve.predict([y_prob])[0]))
    return found[0], found[1]


def fit_calibrators(predictions: pd.DataFrame, method: str) -> Mapping[tuple[int, int], Calibrator]:
    """Fit a map for every (fold, seed) on its validation rows.

    Parameters
    ----------
    predictions : checked table; test rows only say which (fold, seed) there are
    method : ``temperature`` | ``isotonic``

    Raises
    ------
    CalibrationError : validation rows are absent, of one class, or too few for ``isotonic``
    ValueError : another method
    """
    if method not in ("temperature", "isotonic"):
        raise ValueError(f"calibration method {method!r}: use 'temperature' or 'isotonic'")
    maps: dict[tuple[int, int], Calibrator] = {}
    for key, own in validation_rows(predictions, "y_true", "y_prob"):
        y, prob = own["y_true"].to_numpy(float), own["y_prob"].to_numpy(float)
        if method == "temperature":
            maps[key] = fit_temperature(y, prob)
        else:
            maps[key] = fit_isotonic(y, prob, len(own[SUBJECT_KEY].drop_duplicates()))
    return maps


def apply_calibrators(rows: pd.DataFrame, maps: Mapping[tuple[int, int], Calibrator]) -> Array:
    """Calibrate ``y_prob`` of rows, each by the map of its (fold, seed), [N]."""
    calibrated = np.full(len(rows), np.nan)
    prob = rows["y_prob"].to_numpy(float)
    trainings: dict[Any, Any] = rows.groupby(["fold", "seed"]).indices
    for (fold, seed), own in trainings.items():
        calibrated[own] = maps[int(fold), int(seed)].apply(prob[own])
    return calibrated


# ---- the block of metrics.json -----------------------------------------------------------------


def measure_calibration(
    predictions: pd.DataFrame, tested: ResampledSessions, seed: int
) -> dict[str, Any]:
    """Calibration of the tested probabilities, before and after each map.

    Parameters
    ----------
    predictions : checked table
    tested : its tested sessions
    seed : of the labels of ``ece_if_calibrated``

    Returns
    -------
    ``bins``, ``before``, ``temperature`` and ``isotonic``. Each of the three has ``ece``,
    ``ece_if_calibrated`` (mean, and the upper bound of its one-sided 95 %), ``brier``, ``log_loss``
    and ``reliability``; the two maps also ``fits`` and ``gain`` (paired fall of each measure;
    positive is better), or else only ``unavailable``, in words
    """
    bins = count_bins(len(pd.concat(tested.seeds.values())[SUBJECT_KEY].drop_duplicates()))
    content: dict[str, Any] = {"bins": bins}
    before: dict[str, tuple[Array, Array]] = {}
    for method in ("before", "temperature", "isotonic"):
        try:
            maps = {} if method == "before" else fit_calibrators(predictions, method)
        except CalibrationError as refusal:
            content[method] = {"unavailable": str(refusal)}
            continue
        mapped = _mapped(tested, maps)
        values = _values(mapped, bins)
        before = before or values
        entry: dict[str, Any] = {
            name: asdict(tested.interval(*value)) for name, value in values.items()
        }
        entry["ece_if_calibrated"] = _consistent(mapped, bins, seed)
        pooled = pd.concat(mapped.seeds.values())
        entry["reliability"] = reliability_bins(pooled, "mapped", bins, tested.confidence)
        if maps:
            entry["gain"] = {
                name: asdict(tested.interval(before[name][0] - points, before[name][1] - drawn))
                for name, (points, drawn) in values.items()
            }
            entry["fits"] = [
                {"fold": fold, "seed": number, **asdict(fit)}
                for (fold, number), fit in maps.items()
            ]
        content[method] = entry
    return content


def _mapped(
    tested: ResampledSessions, maps: Mapping[tuple[int, int], Calibrator]
) -> ResampledSessions:
    """Add the column ``mapped``: calibrated probabilities, or the stored ones without maps."""
    seeds = {
        name: rows.assign(
            mapped=apply_calibrators(rows, maps) if maps else rows["y_prob"].astype(float)
        )
        for name, rows in tested.seeds.items()
    }
    return replace(tested, seeds=seeds)


def _values(mapped: ResampledSessions, bins: int) -> dict[str, tuple[Array, Array]]:
    """Every measure per seed and in each draw."""

    def ece(rows: pd.DataFrame, weights: Weights) -> Array:
        return adaptive_ece(rows["y_true"], rows["mapped"], weights, bins)

    return {
        "ece": measure_over_seeds(mapped, ece),
        "brier": measure_over_seeds(mapped, lambda r, w: brier(r["y_true"], r["mapped"], w)),
        "log_loss": measure_over_seeds(mapped, lambda r, w: log_loss(r["y_true"], r["mapped"], w)),
    }


def _consistent(tested: ResampledSessions, bins: int, seed: int) -> dict[str, float]:
    """Mean and 95 % point of the ECE that right probabilities would have."""
    known = pd.concat(tested.seeds.values())[SUBJECT_KEY].drop_duplicates()
    number = pd.Series(range(len(known)), index=pd.MultiIndex.from_frame(known))
    found = []
    for rows in tested.seeds.values():
        subject = number.loc[pd.MultiIndex.from_frame(rows[SUBJECT_KEY])].to_numpy()
        prob = rows["mapped"].to_numpy(float)
        found.append(ece_if_calibrated(prob, subject, seed, bins))
    drawn = np.mean(found, axis=0)
    return {"mean": float(drawn.mean()), "upper": float(np.quantile(drawn, 0.95))}
