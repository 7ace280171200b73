"""Warnings about recordings for which a prediction may be unreliable.

Face detection, sound and length are compared with fixed thresholds and with the training sessions
of the run.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from depmm.config import SAMPLE_RATE
from depmm.data.signals.signal import StepSignal
from depmm.data.training_reference import TrainingReference
from depmm.media.sound.sound_level import MIN_SNR_DB, SoundLevel
from depmm.media.video.faces import MIN_FACE_SHARE
from depmm.store.session_durations import speech_duration_s
from depmm.store.session_file import SessionReader


@dataclass(frozen=True)
class RecordingQuality:
    """Measurements of one recording.

    Attributes
    ----------
    n_steps : int
        Number of steps.
    steps_with : dict of str to int
        For each modality of the model, the number of steps that have it.
    n_frames : int
        Number of sampled video frames.
    n_frames_with_face : int
        Number of sampled frames in which a face was detected.
    speech_s : float, optional
        Seconds of speech inside the steps; None without sound.
    sample_rate : int, optional
        Sample rate of the file, in Hz; None without sound.
    sound : SoundLevel, optional
        Level statistics of the sound of the steps; None without sound.
    """

    n_steps: int
    steps_with: dict[str, int]
    n_frames: int
    n_frames_with_face: int
    speech_s: float | None
    sample_rate: int | None
    sound: SoundLevel | None


@dataclass(frozen=True)
class QualityWarning:
    """A condition that may make a prediction unreliable.

    Attributes
    ----------
    name : str
        Identifier, for example ``few_faces``.
    message : str
        One or two sentences.
    """

    name: str
    message: str


def measure_quality(
    reader: SessionReader,
    sample_rate: int | None,
    signals: Mapping[str, StepSignal],
    first: int | None = None,
) -> RecordingQuality:
    """Measure an extracted recording.

    Parameters
    ----------
    reader : SessionReader
        The recording, extracted as a session of a store.
    sample_rate : int, optional
        Sample rate of the file, in Hz; None without sound.
    signals : mapping of str to StepSignal
        Signals that the model reads, by modality.
    first : int, optional
        How many steps the model reads; by default, all of them. Speech and faces are those of all
        steps, as in the reference of the training.

    Returns
    -------
    RecordingQuality
        The measurements.
    """
    has_audio = "audio.waveform" in reader.names
    sound = reader.summary["sound"]
    present = {name: signal.present(reader)[:first] for name, signal in signals.items()}
    return RecordingQuality(
        n_steps=len(range(reader.summary["n_steps"])[:first]),
        steps_with={name: int(steps.sum()) for name, steps in present.items()},
        n_frames=reader.summary["n_frames"],
        n_frames_with_face=reader.summary["n_frames_with_face"],
        speech_s=speech_duration_s(reader) if has_audio else None,
        sample_rate=sample_rate,
        sound=None if sound is None else SoundLevel(**sound),
    )


def quality_warnings(
    quality: RecordingQuality, reference: TrainingReference, signals: Mapping[str, StepSignal]
) -> list[QualityWarning]:
    """List the conditions that may make the prediction unreliable.

    Parameters
    ----------
    quality : RecordingQuality
        Measurements of the recording.
    reference : TrainingReference
        Statistics of the training sessions.
    signals : mapping of str to StepSignal
        Signals that the model reads, by modality.

    Returns
    -------
    list of QualityWarning
        Empty if no condition is detected.
    """
    tracks = {signal.track for signal in signals.values()}
    warnings = [*_missing_modalities(quality, signals)]
    if "face" in tracks:
        warnings += _face_warnings(quality)
    if quality.sound is not None and "audio" in tracks:
        warnings += _sound_warnings(quality)
    return [*warnings, *_length_warnings(quality, reference, "audio" in tracks)]


def _missing_modalities(
    quality: RecordingQuality, signals: Mapping[str, StepSignal]
) -> Iterator[QualityWarning]:
    for name, signal in signals.items():
        count, content = quality.steps_with[name], signal.content
        if count == 0 and len(signals) > 1:
            yield QualityWarning(
                "missing_modality",
                f"No step has {content}, but the model was trained with {' and '.join(signals)}."
                " The missing modality is masked; the accuracy of the model without it was not "
                "measured.",
            )
        elif 0 < count < quality.n_steps:
            yield QualityWarning(
                f"steps_without_{name}",
                f"{quality.n_steps - count} of {quality.n_steps} steps do not have {content}; this "
                "modality is masked in them.",
            )


def _face_warnings(quality: RecordingQuality) -> Iterator[QualityWarning]:
    share = quality.n_frames_with_face / quality.n_frames if quality.n_frames else 1.0
    if share < MIN_FACE_SHARE:
        yield QualityWarning(
            "few_faces",
            f"{quality.n_frames_with_face} of {quality.n_frames} sampled frames have a face "
            f"({100 * share:.0f} %, below {100 * MIN_FACE_SHARE:.0f} %); the other frames are not "
            "used. Check the lighting, and the size and the angle of the face.",
        )


def _sound_warnings(quality: RecordingQuality) -> Iterator[QualityWarning]:
    if quality.sample_rate is not None and quality.sample_rate < SAMPLE_RATE:
        yield QualityWarning(
            "low_sample_rate",
            f"The sound has a sample rate of {quality.sample_rate} Hz, and the model expects "
            f"{SAMPLE_RATE} Hz. Frequencies above {quality.sample_rate // 2} Hz are missing.",
        )
    # extraction warns of clipping and silence
    snr_db = None if quality.sound is None else quality.sound.snr_db
    if snr_db is not None and snr_db < MIN_SNR_DB:
        yield QualityWarning(
            "noise",
            f"Speech is {snr_db:.0f} dB above the background (below "
            f"{MIN_SNR_DB:.0f} dB). Check for noise, music and other voices.",
        )


def _length_warnings(
    quality: RecordingQuality, reference: TrainingReference, uses_audio: bool
) -> Iterator[QualityWarning]:
    if reference.min_steps is None:
        yield QualityWarning(
            "not_compared",
            "Length and face alignment are not compared with the training sessions, because the "
            "manifest and the store of the config of the run cannot be read.",
        )
    elif quality.n_steps < reference.min_steps:
        yield QualityWarning(
            "few_steps",
            f"The recording has {quality.n_steps} {'step' if quality.n_steps == 1 else 'steps'}; "
            f"the shortest training session has {reference.min_steps}.",
        )
    if not uses_audio or quality.speech_s is None or reference.low_speech_s is None:
        return
    if quality.speech_s < reference.low_speech_s:
        yield QualityWarning(
            "little_speech",
            f"The recording has {quality.speech_s:.1f} s of speech; 95 % of the training sessions "
            f"have {reference.low_speech_s:.1f} s or more.",
        )
