"""Apply a trained run to new recordings.

A recording is described by a manifest of one session, extracted into a temporary store with the
settings of the run, and predicted with the code of extraction and evaluation. The prediction for a
session of the training corpus with the same steps therefore equals that of the run.
"""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from depmm.config import TRACKS
from depmm.corpora.manifest import Manifest
from depmm.data.dataset import SessionDataset
from depmm.data.signals.used import UsedSignal, average_used
from depmm.data.used_signal import list_limited_modalities, measure_session
from depmm.files.writing import temporary_folder
from depmm.inference.calibrated_prediction import calibrate_probability, calibrate_score
from depmm.inference.errors import InferenceError
from depmm.inference.model_outputs import Reading, run_models
from depmm.inference.prediction import Prediction
from depmm.inference.prediction_view import PredictionView, largest_steps, view_prediction
from depmm.inference.prediction_warnings import (
    alignment_warnings,
    left_out_warnings,
    missing_input_warnings,
    reading_warnings,
    session_warnings,
    task_warnings,
    validation_warnings,
)
from depmm.inference.quality import QualityWarning, measure_quality, quality_warnings
from depmm.inference.recording_checks import (
    check_signal,
    check_step_count,
    choose_modalities,
    choose_tracks,
    describe_failures,
)
from depmm.inference.recording_steps import RecordingSteps, divide_recording
from depmm.inference.segmentation import SESSION, recording_manifest
from depmm.inference.step_table import STEP_COLUMNS
from depmm.inference.trained_run import TrainedRun, read_trained_run
from depmm.interpret.attribution.methods import SESSION as SESSION_REFERENCE
from depmm.interpret.attribution.methods import TRAINING
from depmm.media.containers.container import probe
from depmm.media.duration import duration_s as measure_duration_s
from depmm.shards import Shard
from depmm.sharing.hub import find_run
from depmm.store.errors import writing
from depmm.store.extract import extract
from depmm.store.sessions import SessionStore

N_TOP_STEPS = 5  # steps listed in the summary


class Predictor:
    """Predict the target of a trained run for new recordings.

    Parameters
    ----------
    run : Path or str
        Folder of a run or of a cross-validation; the predictions of several models are averaged.
    device : str, optional
        Torch device, for example ``"cuda:1"`` or ``"cpu"``; default: the first CUDA GPU, or the CPU
        if there is none or the environment variable ``ACCELERATE_USE_CPU`` is true.
    overrides : iterable of str, optional
        ``data.manifest=FOLDER`` and ``data.store=FOLDER``: where the data of the training are now.
        Only a run without ``inference.json`` needs them.

    Attributes
    ----------
    trained_run : TrainedRun
        The models, with their validation predictions and a description.

    Examples
    --------
    >>> import depmm
    >>> predictor = depmm.Predictor("runs/demo")
    >>> prediction = predictor.predict("reading.mp4", steps="steps.csv", aligned=True)
    >>> 0 <= prediction.probability <= 1
    True
    """

    def __init__(
        self,
        run: Path | str,
        device: str | None = None,
        overrides: Iterable[str] | None = None,
    ) -> None:
        self.trained_run = read_trained_run(Path(run), device, overrides)

    @classmethod
    def from_pretrained(
        cls, name: Path | str, revision: str | None = None, device: str | None = None
    ) -> "Predictor":
        """Load a run, or an exported one from the Hugging Face Hub.

        Parameters
        ----------
        name : Path or str
            Local folder, or ``owner/name`` of a repository.
        revision : str, optional
            Commit of the repository, 40 hexadecimal digits; required for a repository.
        device : str, optional
            As in the constructor.

        Returns
        -------
        Predictor
            The predictor.

        Raises
        ------
        SharingError
            If the download fails, ``revision`` is not a commit, or a file does not match the
            checksums of the export.
        """
        return cls(find_run(name, revision), device)

    def predict(
        self,
        file: Path | str,
        steps: Path | str | None = None,
        window_s: float | None = None,
        aligned: bool = False,
        landmarker: Path | None = None,
        isolate: bool = False,
        view: bool = False,
    ) -> Prediction:
        """Predict one recording; temporary files are removed.

        Parameters
        ----------
        file : Path or str
            Video or sound file.
        steps : Path or str, optional
            CSV of its steps, see :func:`~depmm.inference.step_table.read_steps`. Without it, the
            recording is divided into windows; see
            :func:`~depmm.inference.recording_steps.divide_recording`.
        window_s : float, optional
            Length of the windows, in seconds; default: the windows of the training, or the median
            length of its steps if they are not windows.
        aligned : bool, default False
            Whether the frames are aligned face crops; faces are then not detected.
        landmarker : Path, optional
            MediaPipe face model, see :func:`depmm.media.video.face_landmarker.find_landmarker`.
        isolate : bool, default False
            Whether the recording is decoded in a process of its own, whose start takes seconds. A
            recording that crashes a decoder is then an error and does not end this process.
        view : bool, default False
            Whether to compute the attribute ``view`` of the prediction, what the page shows of the
            recording. An error there is a warning.

        Returns
        -------
        Prediction
            Calibrated prediction with attributions of the steps and warnings.

        Raises
        ------
        InferenceError
            If the file does not exist, has no track that the model uses, contains no usable
            signal, or has too many or too few steps.
        MediaError
            If the file cannot be opened, or no face model is available.
        StoreWriteError
            If the folder for temporary files (``TMPDIR``) cannot be written.
        """
        file, run = Path(file), self.trained_run
        if not file.exists():
            raise InferenceError(
                f"{file}: the file does not exist.", file=file, remedy="Check the path."
            )
        if any("\ud800" <= character <= "\udfff" for character in str(file)):
            # otherwise no table could contain it
            name = ascii(str(file))
            raise InferenceError(
                f"{name}: the name is not UTF-8.", file=name, value=name, remedy="Rename the file."
            )
        info = probe(file)
        duration_s = measure_duration_s(file)
        tracks = choose_tracks(run, file, info, aligned)
        steps = None if steps is None else Path(steps)
        parts = [
            (part, divide_recording(part, file, duration_s, steps, window_s))
            for part in run.split_by_reading()
        ]
        longest, divided = max(parts, key=lambda part: len(part[1].read))
        modalities = choose_modalities(run, file, tracks, divided.read)
        # a model of text alone reads no track, but a step needs a file
        read = tracks or [TRACKS[0] if info.has_audio else TRACKS[1]]
        manifest = recording_manifest(
            file.name,
            divided.table,
            read,
            aligned or not tracks,  # no faces are detected for a track that no model reads
            run.reference.audio_track,
            run.reference.audio_channel,
        )
        with _temporary_store() as folder:
            settings = run.config.extract
            report = extract(
                manifest, file.parent, folder, settings, landmarker, workers=int(isolate),
                shard=Shard(),
            )  # fmt: skip
            if report.lost:
                raise describe_failures(file, report.failures, aligned)
            store = SessionStore(folder, settings)
            readings = [_read(part, steps_of, manifest, store) for part, steps_of in parts]
            with store.read(*SESSION) as reader:
                quality = measure_quality(reader, info.sample_rate, longest.signals, divided.first)
            check_signal(run, file, quality)
            for reading in readings:
                check_step_count(reading.run, file, reading.dataset)
            used = _measure_used(readings, file, duration_s)
            modalities = [name for name in modalities if quality.steps_with[name]] or modalities
            outputs, attribution, missing = run_models(run, file, readings)
            shown: PredictionView | None = None
            unshown: list[QualityWarning] = []
            if view:
                shown, unshown = view_prediction(readings, divided.table, duration_s, attribution)
        result = _calibrate(run, outputs)
        warnings = [
            *reading_warnings(report),
            *divided.warnings,
            *session_warnings(run.reference, modalities),
            *left_out_warnings(used, run.signals),
            *alignment_warnings(run, info, aligned, quality),
            *quality_warnings(quality, run.reference, run.signals),
            *validation_warnings(result),
            *task_warnings(run.configs.values()),
            *missing_input_warnings(missing),
            *unshown,
        ]
        return Prediction(
            file=file.name,
            duration_s=duration_s,
            modalities=modalities,
            segmentation=divided.origin,
            used_signal=used,
            model=run.description,
            result=result,
            steps=divided.read[list(STEP_COLUMNS)].assign(attribution=attribution),
            attribution_reference=TRAINING if run.step_references else SESSION_REFERENCE,
            top_steps=largest_steps(attribution)[:N_TOP_STEPS],
            warnings=warnings,
            quality=quality,
            view=shown,
        )


@contextmanager
def _temporary_store() -> Iterator[Path]:
    """Make a private folder; one that a killed process left is removed by the next prediction."""
    with ExitStack() as stack:
        with writing():
            folder = stack.enter_context(temporary_folder(Path(tempfile.gettempdir())))
        yield folder


def _read(
    run: TrainedRun, divided: RecordingSteps, manifest: Manifest, store: SessionStore
) -> Reading:
    """Read the extracted recording with the settings ``data`` of some models."""
    data = run.config.data.model_copy(update={"workers": 0})
    mask = divided.selected(data.steps)
    dataset = SessionDataset(
        manifest.sessions, store, data, step_masks=None if mask is None else [mask]
    )
    return Reading(run, divided, dataset)


def _measure_used(readings: list[Reading], file: Path, duration_s: float) -> dict[str, UsedSignal]:
    """Measure how much of the recording is read, by modality; the mean of models that differ."""
    amounts: dict[str, list[UsedSignal]] = {}
    for reading in readings:
        run, dataset = reading.run, reading.dataset
        files = [file.name] * len(reading.divided.table)
        mask = None if dataset.step_masks is None else dataset.step_masks[0]
        with dataset.store.read(*SESSION) as reader:
            for key in run.configs:
                max_crops = run.models[key].max_crops if run.models else {}
                used = measure_session(reader, dataset.settings, files, mask, duration_s, max_crops)
                for name in list_limited_modalities(run.config):
                    amounts.setdefault(name, []).append(used[name])
    return {name: average_used(of_models) for name, of_models in amounts.items()}


def _calibrate(run: TrainedRun, outputs: pd.DataFrame) -> dict[str, Any]:
    fits = {key: facts.calibration for key, facts in run.facts.items()}
    if run.description["kind"] == "binary":
        return calibrate_probability(outputs, fits)
    return calibrate_score(outputs, fits, run.score_range, run.description["instrument"])
