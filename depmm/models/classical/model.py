"""A classical model: one pipeline on the measures of all modalities, or one per modality."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from scipy.special import expit
from sklearn.pipeline import Pipeline

from depmm.config.classical import ClassicalSettings
from depmm.models.classical.estimators import build_pipeline, linear_weights, predict_output
from depmm.models.encoders.frontends import MFCC, SPEECH_HOP_LENGTH, SPEECH_N_FFT

ALL = "all"  # name of the pipeline of early fusion

Values = Mapping[str, np.ndarray]  # modality -> (R, K) measures


class ClassicalModel:
    """Fitted pipelines, and the names of their inputs.

    Parameters
    ----------
    settings : ClassicalSettings
        Model, unit and fusion.
    binary : bool
        Whether the target is binary.
    score_range : tuple of float
        Lowest and highest score, to which predicted scores are clipped.
    columns : dict of str to list of str
        Names of the measures by modality.
    pipelines : dict of str to Pipeline
        Fitted pipelines: by modality (late fusion), or one with the name ``all``.
    """

    def __init__(
        self,
        settings: ClassicalSettings,
        binary: bool,
        score_range: tuple[float, float],
        columns: dict[str, list[str]],
        pipelines: dict[str, Pipeline],
    ) -> None:
        self.settings, self.binary, self.score_range = settings, binary, score_range
        self.columns, self.pipelines = columns, pipelines

    def pipeline_columns(self, name: str) -> list[tuple[str, str]]:
        """List the inputs of a pipeline.

        Parameters
        ----------
        name : str
            Name of the pipeline.

        Returns
        -------
        list of tuple of str
            Modality and name of each input, in order.
        """
        used = list(self.columns) if name == ALL else [name]
        return [(modality, column) for modality in used for column in self.columns[modality]]

    def predict_rows(self, values: Values) -> dict[str, np.ndarray]:
        """Predict the logit or score of each row by each pipeline.

        Parameters
        ----------
        values : mapping of str to ndarray of float64, shape (R, K)
            Measures by modality.

        Returns
        -------
        dict of str to ndarray of float64, shape (R,)
            By pipeline; NaN where the row has no measure of its modality, but has another one. A
            row without any measure is predicted from the medians of the training rows.
        """
        outputs = {}
        has_any = ~np.isnan(_stack(values, list(self.columns))).all(axis=1)
        for name, pipeline in self.pipelines.items():
            table = _stack(values, list(self.columns) if name == ALL else [name])
            outputs[name] = predict_output(pipeline, table)
            if name != ALL:
                missing = np.isnan(table).all(axis=1)
                outputs[name][missing & has_any] = np.nan
        return outputs

    def predict(self, values: Values, session: np.ndarray) -> np.ndarray:
        """Predict the logit or score of each session.

        Each pipeline averages over the rows of a session, and the pipelines of late fusion are
        then averaged; a modality that a session does not have is left out.

        Parameters
        ----------
        values : mapping of str to ndarray of float64, shape (R, K)
            Measures by modality.
        session : ndarray of int, shape (R,)
            Session of each row.

        Returns
        -------
        ndarray of float64, shape (N,)
            In the order of ``np.unique(session)``.
        """
        rows = self.predict_rows(values)
        means = np.array([average(output, session) for output in rows.values()])
        return nan_mean(means)

    def to_prediction(self, outputs: np.ndarray) -> np.ndarray:
        """Convert logits to probabilities, and clip scores to their range.

        Parameters
        ----------
        outputs : ndarray of float64
            From ``predict``.

        Returns
        -------
        ndarray of float64
            Predictions of the same shape.
        """
        predictions: np.ndarray = expit(outputs) if self.binary else outputs.clip(*self.score_range)
        return predictions

    def weights(self) -> dict[str, np.ndarray]:
        """Return the weights of the linear pipelines.

        Returns
        -------
        dict of str to ndarray of float64, shape (K,)
            Change of the logit (or score) of a row per standard deviation of each measure over the
            training rows; empty if the model is not linear.
        """
        found = {name: linear_weights(pipeline) for name, pipeline in self.pipelines.items()}
        return {name: weights for name, weights in found.items() if weights is not None}


def fit_model(
    settings: ClassicalSettings,
    columns: dict[str, list[str]],
    values: Values,
    target: np.ndarray,
    score_range: tuple[float, float] | None,
    seed: int,
) -> ClassicalModel:
    """Fit a classical model to rows.

    Parameters
    ----------
    settings : ClassicalSettings
        Model, unit and fusion.
    columns : dict of str to list of str
        Names of the measures by modality.
    values : mapping of str to ndarray of float64, shape (R, K)
        Measures of the training rows by modality. In late fusion, rows without any measure of a
        modality are left out of its pipeline.
    target : ndarray of float64, shape (R,)
        Class or score of the session of each row.
    score_range : tuple of float or None
        Lowest and highest score; None for a binary target.
    seed : int
        Seed of the random choices of the estimators.

    Returns
    -------
    ClassicalModel
        The fitted model.
    """
    binary = score_range is None
    inputs = {ALL: list(columns)}
    if settings.fusion == "late":
        inputs = {modality: [modality] for modality in columns}
    pipelines = {}
    for name, modalities in inputs.items():
        table = _stack(values, modalities)
        kept = ~np.isnan(table).all(axis=1) if name != ALL else np.ones(len(table), bool)
        pipeline = build_pipeline(settings.model, binary, int(kept.sum()), table.shape[1], seed)
        pipelines[name] = pipeline.fit(table[kept], _as_target(target[kept], binary))
    return ClassicalModel(settings, binary, score_range or (0.0, 1.0), columns, pipelines)


def build_front_end(settings: ClassicalSettings) -> Callable[[np.ndarray], np.ndarray]:
    """Build the function that computes the MFCC of the set ``mfcc``.

    Parameters
    ----------
    settings : ClassicalSettings
        Number of MFCC and of mel bands.

    Returns
    -------
    callable
        Maps a waveform, (T,) float32, to its MFCC, (F, frames) float32.

    Raises
    ------
    ModelError
        If there are more MFCC than mel bands.
    """
    mfcc = MFCC(settings.n_mfcc, settings.n_mels, SPEECH_N_FFT, SPEECH_HOP_LENGTH, "hann")

    @torch.no_grad()
    def compute(waveform: np.ndarray) -> np.ndarray:
        batch = torch.from_numpy(waveform).unsqueeze(0)
        coefficients: np.ndarray = mfcc(batch, [len(waveform)])[0][0].numpy()
        return coefficients

    return compute


def average(rows: np.ndarray, session: np.ndarray) -> np.ndarray:
    """Average the rows of each session; missing rows are left out.

    Parameters
    ----------
    rows : ndarray of float64, shape (R,)
        Values; NaN where they are missing.
    session : ndarray of int, shape (R,)
        Session of each row.

    Returns
    -------
    ndarray of float64, shape (N,)
        In the order of ``np.unique(session)``; NaN for a session without a value.
    """
    names, index = np.unique(session, return_inverse=True)
    known = np.isfinite(rows)
    total = np.bincount(index[known], rows[known], len(names))
    count = np.bincount(index[known], minlength=len(names))
    means: np.ndarray = np.divide(total, count, out=np.full(len(names), np.nan), where=count > 0)
    return means


def nan_mean(values: np.ndarray) -> np.ndarray:
    """Average over the first axis; missing values are left out.

    Parameters
    ----------
    values : ndarray of float64, shape (P, N)
        Values; NaN where they are missing, but not in a whole column.

    Returns
    -------
    ndarray of float64, shape (N,)
        The means.
    """
    means: np.ndarray = np.nansum(values, axis=0) / np.isfinite(values).sum(axis=0)
    return means


def _stack(values: Values, modalities: Sequence[str]) -> np.ndarray:
    return np.concatenate([values[modality] for modality in modalities], axis=1)


def _as_target(target: np.ndarray, binary: bool) -> np.ndarray:
    return target.astype(int) if binary else target.astype(float)
