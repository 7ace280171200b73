"""Prediction for one recording, and its conversion to JSON."""

from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from depmm.data.signals.used import UsedSignal
from depmm.inference.prediction_view import PredictionView
from depmm.inference.quality import QualityWarning, RecordingQuality

SCHEMA = "depmm prediction"  # first value of a JSON file, by which it is recognised
SCHEMA_VERSION = 2
STATEMENT = (
    "Research software, not a diagnostic device. This is the output of a model for one recording. "
    "It is not a finding about the health of the recorded subject and must not be used to screen, "
    "diagnose or treat anyone."
)


@dataclass(frozen=True)
class Prediction:
    """The prediction of a trained run for one recording.

    Attributes
    ----------
    file : str
        Name of the recording.
    duration_s : float
        Length of the recording, in seconds.
    modalities : list of str
        Modalities of the recording that the model uses.
    segmentation : str
        Origin of the steps: the name of their table, or the length of the windows.
    used_signal : dict of str to UsedSignal
        How much of the recording the models read, by modality; a mean if they differ.
    model : dict of str to object
        Description of the run, see ``TrainedRun.description``.
    result : dict of str to object
        What :func:`~depmm.inference.calibrated_prediction.calibrate_probability` or
        :func:`~depmm.inference.calibrated_prediction.calibrate_score` returns.
    steps : DataFrame
        One row per step: start_s, end_s, text, valence and attribution. The attribution is the
        occlusion of the step, in units of the logit (``Head.logit`` for a severity target); NaN for
        a step without any modality.
    attribution_reference : {"training", "session"}
        What replaces an occluded step: the training subjects' mean of the same word (or, for steps
        without a word, of the same step index or of all steps), or the mean of the recording.
    top_steps : list of int
        Indices of the steps with the largest absolute attribution, in descending order.
    warnings : list of QualityWarning
        Conditions that may make the prediction unreliable.
    quality : RecordingQuality
        Measurements of the recording.
    view : PredictionView, optional
        What the models read of the recording, for the page, if ``predict`` was called with
        ``view=True``; it is not in the JSON file.
    """

    file: str
    duration_s: float
    modalities: list[str]
    segmentation: str
    used_signal: dict[str, UsedSignal]
    model: dict[str, Any]
    result: dict[str, Any]
    steps: pd.DataFrame
    attribution_reference: str
    top_steps: list[int]
    warnings: list[QualityWarning]
    quality: RecordingQuality
    view: PredictionView | None = None

    @property
    def probability(self) -> float | None:
        """Calibrated probability of the positive class; None for a severity target."""
        return self.result.get("probability")

    @property
    def score_pred(self) -> float | None:
        """Predicted score; None for a binary target."""
        return self.result.get("score_pred")

    @property
    def interval(self) -> tuple[float, float] | None:
        """Interval of the probability or of the score; None if it cannot be computed."""
        interval = self.result["interval"]
        return None if "unavailable" in interval else (interval["low"], interval["high"])

    @property
    def prediction_set(self) -> list[int] | None:
        """The labels of the conformal prediction set; None if it cannot be computed."""
        labels: list[int] | None = self.result.get("prediction_set", {}).get("labels")
        return labels

    def to_dict(self) -> dict[str, Any]:
        """Convert the prediction to the JSON values of ``<recording>.json``.

        Returns
        -------
        dict of str to object
            ``schema`` and ``schema_version``;
            ``statement`` : str, the intended use;
            ``recording`` : dict with ``file``, ``duration_s``, ``modalities``, ``n_steps``,
            ``segmentation`` and ``used_signal`` (for each modality ``unit``, ``total``, ``used``,
            ``left_out`` by reason, and these as ``text``);
            ``model`` : dict, the attribute ``model``;
            ``prediction`` : dict, the attribute ``result``;
            ``steps`` : list of dict with ``step`` (its index) and the columns of the attribute
            ``steps``, null where unknown; the end of the last step is that of the recording;
            ``attribution_reference`` : str;
            ``top_steps`` : list of int;
            ``warnings`` : list of dict with ``name`` and ``message``;
            ``quality`` : dict, the attributes of ``RecordingQuality``.
        """
        steps = self.steps.assign(end_s=self.steps["end_s"].fillna(self.duration_s)).astype(object)
        rows: list[dict[str, Any]] = steps.where(steps.notna(), None).to_dict("records")  # type: ignore[assignment]
        return {
            "schema": SCHEMA,
            "schema_version": SCHEMA_VERSION,
            "statement": STATEMENT,
            "recording": {
                "file": self.file,
                "duration_s": self.duration_s,
                "modalities": self.modalities,
                "n_steps": len(rows),
                "segmentation": self.segmentation,
                "used_signal": {
                    name: {**asdict(used), "text": used.describe()}
                    for name, used in self.used_signal.items()
                },
            },
            "model": self.model,
            "prediction": self.result,
            "steps": [{"step": index, **row} for index, row in enumerate(rows)],
            "attribution_reference": self.attribution_reference,
            "top_steps": self.top_steps,
            "warnings": [asdict(warning) for warning in self.warnings],
            "quality": asdict(self.quality),
        }
