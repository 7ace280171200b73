"""Warnings about a prediction: what was read of the recording, and how the run was trained."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from depmm.config import Experiment
from depmm.data.signals.crops import CropsSignal
from depmm.data.signals.signal import StepSignal
from depmm.data.signals.used import UsedSignal
from depmm.data.training_reference import TrainingReference
from depmm.inference.quality import QualityWarning, RecordingQuality
from depmm.inference.trained_run import TrainedRun
from depmm.media.containers.container import MediaInfo
from depmm.store.extract import ExtractReport

_MISSING_INPUTS = 0.1  # of all inputs of a classical model


def reading_warnings(report: ExtractReport) -> list[QualityWarning]:
    """Warn about tracks that cannot be read, and pass on the warnings of the readers.

    Parameters
    ----------
    report : ExtractReport
        Report of the extraction of the recording.

    Returns
    -------
    list of QualityWarning
        The warnings.
    """
    warnings = [
        QualityWarning(
            f"{failure.stage}_failed", f"{failure.file}: {failure.cause} {failure.remedy}"
        )
        for failure in report.failures.itertuples()
    ]
    warnings += [
        QualityWarning(str(warning.name), f"{warning.file}: {warning.problem} {warning.remedy}")
        for warning in report.warnings.itertuples()
    ]
    return warnings


def left_out_warnings(
    used: Mapping[str, UsedSignal], signals: Mapping[str, StepSignal]
) -> list[QualityWarning]:
    """Warn about signals that the model does not read; it always reads few of the frames.

    Parameters
    ----------
    used : mapping of str to UsedSignal
        Amounts by modality.
    signals : mapping of str to StepSignal
        Signals that the model reads, by modality.

    Returns
    -------
    list of QualityWarning
        The warnings.
    """
    return [
        QualityWarning("part_of_recording", f"{text[0].upper()}{text[1:]}.")
        for name, amount in used.items()
        if amount.left_out and not isinstance(signals[name], CropsSignal)
        for text in [amount.describe()]
    ]


def alignment_warnings(
    run: TrainedRun, info: MediaInfo, aligned: bool, quality: RecordingQuality
) -> list[QualityWarning]:
    """Warn about faces whose alignment differs from that of the training sessions.

    Parameters
    ----------
    run : TrainedRun
        The run that is applied.
    info : MediaInfo
        Properties of the file.
    aligned : bool
        Whether the frames are aligned faces.
    quality : RecordingQuality
        Measurements of the recording.

    Returns
    -------
    list of QualityWarning
        The warnings.
    """
    warnings: list[QualityWarning] = []
    if not quality.n_frames:
        return warnings
    if run.reference.aligned not in (None, aligned):
        trained, used = (
            "that were delivered aligned" if value else "that depmm detected and aligned"
            for value in (run.reference.aligned, aligned)
        )
        warnings.append(
            QualityWarning(
                "other_alignment",
                f"The model was trained on faces {trained}; the faces of this recording are faces "
                f"{used}. Eyes and mouth may be at other positions in the crop.",
            )
        )
    if aligned and info.width != info.height:
        warnings.append(
            QualityWarning(
                "not_square",
                f"The frames have {info.width} x {info.height} pixels, but aligned faces are "
                "usually square. Check whether the faces of this recording are aligned.",
            )
        )
    return warnings


def validation_warnings(result: dict[str, Any]) -> list[QualityWarning]:
    """Warn if the probability is not calibrated, because there are few validation subjects.

    Parameters
    ----------
    result : dict
        Calibrated prediction.

    Returns
    -------
    list of QualityWarning
        The warnings.
    """
    calibration = result.get("calibration", {})
    if not {"unavailable", "validation_subjects"} <= calibration.keys():
        return []
    return [
        QualityWarning(
            "few_validation_subjects",
            f"The probability is not calibrated: {calibration['unavailable']}. Whether it is too "
            "extreme is not known.",
        )
    ]


def session_warnings(
    reference: TrainingReference, modalities: Sequence[str]
) -> list[QualityWarning]:
    """Warn if one file is not what a session of the training was.

    Parameters
    ----------
    reference : TrainingReference
        Statistics of the training sessions.
    modalities : sequence of str
        Modalities of the recording that the model uses.

    Returns
    -------
    list of QualityWarning
        Reasons for which the prediction for a recording of the corpus differs from that of the run.
    """
    warnings = []
    if reference.files_per_session > 1:
        warnings.append(
            QualityWarning(
                "other_sessions",
                f"A session of the training has up to {reference.files_per_session} recordings; "
                "this is the prediction for one recording.",
            )
        )
    if reference.separate_files and len(modalities) > 1:
        warnings.append(
            QualityWarning(
                "one_file",
                "Sound and video of the training were separate files; here the sound is the track "
                "of the video, which may be compressed.",
            )
        )
    return warnings


def task_warnings(configs: Iterable[Experiment]) -> list[QualityWarning]:
    """Warn if models were trained on some tasks only: the task of a recording is unknown.

    Parameters
    ----------
    configs : iterable of (Config or ClassicalConfig)
        Configs of the models.

    Returns
    -------
    list of QualityWarning
        One warning for each choice of tasks.
    """
    choices = dict.fromkeys(tuple(config.data.steps.task) for config in configs)
    return [
        QualityWarning(
            "task_not_known",
            f"The model was trained on the task {' and '.join(tasks)} only; the task of this "
            "recording is unknown.",
        )
        for tasks in choices
        if tasks
    ]


def missing_input_warnings(missing: float) -> list[QualityWarning]:
    """Warn of inputs of a classical model that could not be measured.

    Parameters
    ----------
    missing : float
        Share of the inputs that are missing, in [0, 1].

    Returns
    -------
    list of QualityWarning
        One warning if at least a tenth is missing.
    """
    if missing < _MISSING_INPUTS:
        return []
    return [
        QualityWarning(
            "missing_inputs",
            f"{missing:.0%} of the inputs of the model could not be measured, for example because "
            "there is no voice. They were replaced by medians of the training subjects.",
        )
    ]
