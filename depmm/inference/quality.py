"""What may spoil a prediction: face, sound and length of a recording, beside the training sessions.

The level of the background is the 10th percentile of the frame levels, that of speech the 95th
(as in NIST's STNR, a quiet and a loud percentile of the energy histogram). Their distance reads
about 5 dB more than the ratio of the powers of speech and noise: with white noise added at 15 dB to
real speech (GRID, Emo-DB, RAVDESS) its median was 20 to 22 dB, at 10 dB 15 to 17.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from depmm.config import SAMPLE_RATE
from depmm.corpora.manifest import SESSION_KEY, read_manifest
from depmm.media.errors import MediaError
from depmm.store.extract import read_index
from depmm.store.sessions import SessionReader, SessionStore, StoreError

MIN_FACE_SHARE = 0.8  # below, every fifth picture a step could show is one of another moment
FULL_SCALE = 32_767 / 32_768  # of 16 bits: the largest sample
# clean recordings of three corpora had at most 0.004 % (the peak of a normalised file)
MAX_CLIPPED = 0.001
MIN_SNR_DB = 20.0  # speech 15 dB above the noise; the noisiest of three clean corpora read 21
QUIET_PERCENTILE = 10.0  # of the frame levels: pauses take more of speech than that
SHORT_PERCENTILE = 5.0  # of the training sessions: less speech than almost all of them
TRAINING_SESSIONS = 200  # looked at for their speech, enough for that percentile


@dataclass(frozen=True)
class TrainingReference:
    """What training sessions are like; None where manifest or store are not there any more.

    Attributes
    ----------
    step_s : median length of a step, seconds
    fewest_steps : of a session
    least_speech_s : 5th percentile of the speech of a session, seconds
    aligned : the faces came aligned from the corpus
    """

    step_s: float | None = None
    fewest_steps: int | None = None
    least_speech_s: float | None = None
    aligned: bool | None = None


@dataclass(frozen=True)
class Sound:
    """What the sound of a whole file is like.

    Attributes
    ----------
    clipped : share of the samples at full scale
    snr_db : level of speech above the background; None for digital silence
    """

    clipped: float
    snr_db: float | None


@dataclass(frozen=True)
class Quality:
    """What was measured of one recording.

    Attributes
    ----------
    steps : number of steps
    steps_with : modality -> steps that have it
    frames, frames_with_face : sampled ones
    speech_s : seconds of speech inside the steps; None without sound
    sample_rate : of the file, Hz; None without sound
    sound : None where there is none, or it cannot be read to its end
    """

    steps: int
    steps_with: dict[str, int]
    frames: int
    frames_with_face: int
    speech_s: float | None
    sample_rate: int | None
    sound: Sound | None


@dataclass(frozen=True)
class QualityWarning:
    """Something that may spoil the prediction, in words."""

    name: str
    message: str


# ---- measures --------------------------------------------------------------------------------


def measure_training_reference(
    train: pd.DataFrame, manifest: Path, store: SessionStore
) -> TrainingReference:
    """Look at the sessions that a model was trained on.

    Parameters
    ----------
    train : their corpus, subject, session
    manifest : folder of their manifest; it may be gone
    store : where they were extracted; it may be gone

    Raises
    ------
    ManifestError, StoreError : what is there is damaged
    """
    keys = train[SESSION_KEY].drop_duplicates().sort_values(SESSION_KEY)
    lengths, aligned, fewest = pd.Series(dtype=float), None, None
    if (manifest / "steps.parquet").is_file():
        steps = read_manifest(manifest).steps.merge(keys, on=SESSION_KEY)
        lengths = steps["end_s"] - steps["start_s"]
        shown = steps.loc[steps["face"].notna(), "face_aligned"].unique()
        aligned = bool(shown[0]) if len(shown) == 1 else None
        fewest = int(steps.groupby(SESSION_KEY).size().min()) if len(steps) else None
    try:
        index = read_index(store).merge(keys, on=SESSION_KEY)
    except StoreError:
        index = pd.DataFrame({"audio_s": [], "steps": []})
    if lengths.notna().sum() * 2 < max(1, len(lengths)):  # whole recordings: the store knows
        heard = index[index["audio_s"] > 0]
        lengths = heard["audio_s"] / heard["steps"]
    speech = _speech_of(index, store)
    return TrainingReference(
        step_s=float(lengths.median()) if lengths.notna().any() else None,
        fewest_steps=int(index["steps"].min()) if fewest is None and len(index) else fewest,
        least_speech_s=float(np.percentile(speech, SHORT_PERCENTILE)) if speech else None,
        aligned=aligned,
    )


def _speech_of(index: pd.DataFrame, store: SessionStore) -> list[float]:
    """Seconds of speech of some sessions of a store, evenly spread over its index."""
    heard = index[index["audio_s"] > 0]
    places = np.unique(np.linspace(0, len(heard) - 1, TRAINING_SESSIONS).astype(int))
    speech = []
    for key in heard[SESSION_KEY].iloc[places].itertuples(index=False) if len(heard) else ():
        with store.read(*key) as reader:
            speech.append(_speech_s(reader))
    return speech


def _speech_s(reader: SessionReader) -> float:
    if "audio.speech" not in reader.names:
        return 0.0
    return float(np.diff(reader.tensor("audio.speech"), axis=1).sum())


def measure_sound(path: Path) -> Sound:
    """Read a file's sound once and measure clipping and background.

    Raises
    ------
    MediaError : no sound, or not readable to its end
    """
    from depmm.media.audio import LOUD_PERCENTILE, NOTHING_DB, decode_audio, frame_levels

    samples = clipped = 0

    def counted() -> Iterator[np.ndarray]:
        nonlocal samples, clipped
        for block in decode_audio(path):
            samples += len(block)
            clipped += int((np.abs(block) >= FULL_SCALE).sum())
            yield block

    levels = frame_levels(counted())
    if not samples:
        raise MediaError(path, "holds no sound. Give a recording with sound.")
    quiet, loud = np.percentile(levels, [QUIET_PERCENTILE, LOUD_PERCENTILE])
    return Sound(clipped / samples, None if loud < NOTHING_DB else float(loud - quiet))


def measure_quality(reader: SessionReader, sample_rate: int | None, sound: Sound | None) -> Quality:
    """Measure an extracted recording.

    Parameters
    ----------
    reader : its session in a store
    sample_rate : of the file, Hz; None without sound
    sound : from ``measure_sound``
    """
    steps = range(reader.summary["steps"])
    heard = "audio.waveform" in reader.names
    return Quality(
        steps=len(steps),
        steps_with={
            "audio": sum(bool(heard and np.diff(reader.step_samples[step])[0]) for step in steps),
            "face": sum(bool(len(reader.frames(step))) for step in steps),
        },
        frames=reader.summary["frames"],
        frames_with_face=reader.summary["frames_with_face"],
        speech_s=_speech_s(reader) if heard else None,
        sample_rate=sample_rate,
        sound=sound,
    )


# ---- warnings --------------------------------------------------------------------------------


def quality_warnings(
    quality: Quality, usual: TrainingReference, modalities: Sequence[str]
) -> list[QualityWarning]:
    """Say what may spoil a prediction.

    Parameters
    ----------
    quality : of the recording
    usual : what training sessions are like
    modalities : that the model was trained with
    """
    found = [*_missing(quality, modalities)]
    if "face" in modalities:
        found += _face(quality)
    if "audio" in modalities and quality.steps_with["audio"]:
        found += _sound(quality)
    return [*found, *_length(quality, usual, modalities)]


def _missing(quality: Quality, modalities: Sequence[str]) -> Iterator[QualityWarning]:
    for name in modalities:
        has, what = quality.steps_with[name], "sound" if name == "audio" else "a face"
        if has == 0 and len(modalities) > 1:
            yield QualityWarning(
                "missing_modality",
                f"No step has {what}, but the model was trained with {' and '.join(modalities)}: "
                "it is masked, and how well the model does without was not measured.",
            )
        elif 0 < has < quality.steps:
            yield QualityWarning(
                f"steps_without_{name}",
                f"{quality.steps - has} of {quality.steps} steps lack {what}: masked there.",
            )


def _face(quality: Quality) -> Iterator[QualityWarning]:
    share = quality.frames_with_face / quality.frames if quality.frames else 1.0
    if share < MIN_FACE_SHARE:
        yield QualityWarning(
            "few_faces",
            f"A face was found in {quality.frames_with_face} of {quality.frames} sampled frames "
            f"({100 * share:.0f} %, below {100 * MIN_FACE_SHARE:.0f} %): light, size or angle of "
            "the face may be the reason.",
        )


def _sound(quality: Quality) -> Iterator[QualityWarning]:
    if quality.sample_rate is not None and quality.sample_rate < SAMPLE_RATE:
        yield QualityWarning(
            "low_sample_rate",
            f"The sound has {quality.sample_rate} Hz, the model expects {SAMPLE_RATE}: nothing "
            f"above {quality.sample_rate // 2} Hz can be heard.",
        )
    if quality.sound is None:
        return
    if quality.sound.clipped > MAX_CLIPPED:
        yield QualityWarning(
            "clipping",
            f"{100 * quality.sound.clipped:.2f} % of the samples are at full scale (above "
            f"{100 * MAX_CLIPPED:.1f} %): the sound was recorded too loud.",
        )
    if quality.sound.snr_db is None:
        yield QualityWarning("silence", "The sound track is digital silence.")
    elif quality.sound.snr_db < MIN_SNR_DB:
        yield QualityWarning(
            "noise",
            f"Speech is {quality.sound.snr_db:.0f} dB above the background (below "
            f"{MIN_SNR_DB:.0f}): noise, music or other voices may be heard.",
        )


def _length(
    quality: Quality, usual: TrainingReference, modalities: Sequence[str]
) -> Iterator[QualityWarning]:
    if usual.fewest_steps is None:
        yield QualityWarning(
            "not_compared",
            "Length and face alignment could not be compared with those of the training sessions: "
            "their manifest and store are not where the run's config says.",
        )
    elif quality.steps < usual.fewest_steps:
        yield QualityWarning(
            "few_steps",
            f"{quality.steps} {'step' if quality.steps == 1 else 'steps'}; the shortest training "
            f"session had {usual.fewest_steps}.",
        )
    if "audio" not in modalities or quality.speech_s is None or usual.least_speech_s is None:
        return
    if quality.speech_s < usual.least_speech_s:
        yield QualityWarning(
            "little_speech",
            f"{quality.speech_s:.1f} s of speech; 95 % of the training sessions had "
            f"{usual.least_speech_s:.1f} s or more.",
        )
