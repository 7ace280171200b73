"""Which parts of a recording a run can use, and errors for recordings that it cannot predict."""

from pathlib import Path

import pandas as pd

from depmm.config import Config
from depmm.data.dataset import SessionDataset
from depmm.data.step_selection import count_present_steps
from depmm.inference.errors import InferenceError
from depmm.inference.quality import RecordingQuality
from depmm.inference.trained_run import TrainedRun
from depmm.media.containers.container import MediaInfo
from depmm.store.derived_streams import track_of


def choose_tracks(run: TrainedRun, file: Path, info: MediaInfo, aligned: bool) -> list[str]:
    """Return the tracks of a file that the models read.

    Parameters
    ----------
    run : TrainedRun
        The run.
    file : Path
        The recording, for messages.
    info : MediaInfo
        Its tracks.
    aligned : bool
        Whether its frames are aligned face crops.

    Returns
    -------
    list of str
        ``audio``, ``face`` or both; empty for a model of text alone.

    Raises
    ------
    InferenceError
        If it has no track that the models need, or aligned faces for a model that reads landmarks.
    """
    available = {"audio": info.has_audio, "face": info.has_video}
    tracks = [name for name in run.tracks if available.get(name, False)]
    if run.tracks and not tracks and len(run.tracks) == len(run.config.data.modalities):
        names = {"audio": "sound", "face": "video"}
        needed = " or ".join(names[name] for name in run.tracks)
        raise InferenceError(
            f"{file}: the file has no {needed} track, which the model needs.",
            file=file,
            remedy="Give another recording.",
        )
    streams = [name for name in run.config.data.features.values() if track_of(name) == "face"]
    if aligned and streams:
        raise InferenceError(
            f"{file}: the model reads the stream {streams[0]!r}, which needs the landmarks of "
            "detected faces; aligned faces have none.",
            file=file,
            setting="data.features",
            value=streams[0],
            remedy="Give the recording that the faces were cut from, without --aligned.",
        )
    return tracks


def choose_modalities(
    run: TrainedRun, file: Path, tracks: list[str], steps: pd.DataFrame
) -> list[str]:
    """Return the modalities of the models that a recording and the table of its steps have.

    Parameters
    ----------
    run : TrainedRun
        The run.
    file : Path
        The recording, for messages.
    tracks : list of str
        What ``choose_tracks`` returns.
    steps : DataFrame
        The steps, with ``text``.

    Returns
    -------
    list of str
        Names of the modalities.

    Raises
    ------
    InferenceError
        If there is none.
    """
    modalities = [
        name
        for name, signal in run.signals.items()
        if signal.track in tracks or (signal.track is None and steps["text"].notna().any())
    ]
    if not modalities:
        needed = " or ".join(signal.content for signal in run.signals.values())
        raise InferenceError(
            f"{file}: the recording and its steps have no {needed}, which the model needs.",
            file=file,
            setting="steps",
            remedy="Give a table of the steps with a column text, or another recording.",
        )
    return modalities


def describe_failures(file: Path, failures: pd.DataFrame, aligned: bool) -> InferenceError:
    """Build the error for a recording of which no track could be extracted.

    Parameters
    ----------
    file : Path
        The recording.
    failures : DataFrame
        Failures of its extraction, with ``stage``, ``cause`` and ``remedy``.
    aligned : bool
        Whether its frames were declared as aligned face crops.

    Returns
    -------
    InferenceError
        To be raised.
    """
    reasons = {f"{failure.cause} {failure.remedy}" for failure in failures.itertuples()}
    face_only = not aligned and set(failures["stage"]) == {"face"}
    return InferenceError(
        f"{file}: no track of the recording can be used: {' '.join(sorted(reasons))}",
        file=file,
        remedy="If its frames are aligned faces, give --aligned." if face_only else None,
    )


def check_signal(run: TrainedRun, file: Path, quality: RecordingQuality) -> None:
    """Reject a recording whose prediction would not depend on a signal.

    Parameters
    ----------
    run : TrainedRun
        The run.
    file : Path
        The recording, for messages.
    quality : RecordingQuality
        Its measurements.

    Raises
    ------
    InferenceError
        If its sound is digital silence and the only modality.
    """
    signals = run.signals
    counts = {name: quality.steps_with[name] for name in signals}
    uses_audio = any(signal.track == "audio" for signal in signals.values())
    other = any(counts[name] for name, signal in signals.items() if signal.track != "audio")
    if uses_audio and not other and quality.sound and quality.sound.snr_db is None:
        raise InferenceError(
            f"{file}: the sound is digital silence, and no other modality is available.",
            file=file,
            remedy="Check the recording.",
        )


def check_step_count(run: TrainedRun, file: Path, dataset: SessionDataset) -> None:
    """Reject a recording with one step for a model that subtracts the mean of the steps.

    Parameters
    ----------
    run : TrainedRun
        The run.
    file : Path
        The recording, for messages.
    dataset : SessionDataset
        The recording as its only session.

    Raises
    ------
    InferenceError
        If the model would read zeros.
    """
    centred = any(
        isinstance(config, Config) and config.model.subtract_session_mean
        for config in run.configs.values()
    )
    if not centred:
        return
    if count_present_steps(dataset)[0] < 2:
        raise InferenceError(
            f"{file}: the model reads one step of the recording, and subtracts the mean of the "
            "steps of a session (model.subtract_session_mean).",
            file=file,
            setting="model.subtract_session_mean",
            remedy="Give shorter steps with --window or --steps.",
        )
