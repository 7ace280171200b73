"""Embeddings of voices in windows of 1.5 s inside of speech, in constant memory per recording.

The embedding is that of the speaker encoder which ``depmm download identity`` fetches once, or of a
local folder of a transformers model for speaker verification, such as WavLM with an x-vector head.
Statistics of MFCC and pitch need no file; they tell calm voices apart, but not emotional ones, see
``docs/how-to/turns.md``.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from depmm.config import SAMPLE_RATE
from depmm.steps.table import StepsError

WINDOW_S, HOP_S = 1.5, 0.5
_BATCH = 32  # windows that are embedded at once
_MIN_POWER = 1e-12


class VoiceEmbedding(Protocol):
    """An embedding of voices.

    Attributes
    ----------
    name : str
        Name for messages.
    is_unit : bool
        Whether embeddings have the length 1 and are compared by their angle; others are statistics
        with different units, which are scaled within a recording.
    """

    name: str
    is_unit: bool

    def embed(self, sounds: Sequence[np.ndarray]) -> np.ndarray:
        """Embed windows.

        Parameters
        ----------
        sounds : sequence of ndarray, each of shape (24000,)
            Windows of 1.5 s at 16 kHz.

        Returns
        -------
        ndarray of float32, shape (n, D)
            One row per window.
        """


class SpeakerEncoderEmbedding:
    """The speaker encoder of Resemblyzer, see :mod:`depmm.media.identity.speaker_encoder`.

    Raises
    ------
    MediaError
        If its weights are not on this computer, or are damaged.
    """

    name = "speaker encoder"
    is_unit = True

    def __init__(self) -> None:
        from depmm.media.identity.voice_model import load_speaker_encoder

        self._encoder = load_speaker_encoder()

    @staticmethod
    def is_available() -> bool:
        """Tell whether the weights are on this computer.

        Returns
        -------
        bool
            Whether they were downloaded, or the environment names them.
        """
        from depmm.media.identity.known_models import VOICE_MODEL

        return VOICE_MODEL.available

    def embed(self, sounds: Sequence[np.ndarray]) -> np.ndarray:
        """Embed windows; the level of each is adjusted to that of the training.

        Parameters
        ----------
        sounds : sequence of ndarray, each of shape (24000,)
            Windows at 16 kHz.

        Returns
        -------
        ndarray of float32, shape (n, 256)
            Embeddings of length 1.
        """
        import torch

        from depmm.media.identity.speaker_encoder import N_FFT, WINDOW_SAMPLES, mel_spectrum
        from depmm.media.identity.voice_sample import TARGET_DB

        spectra = []
        for sound in sounds:
            gain = np.sqrt(10 ** (TARGET_DB / 10) / max(float(np.mean(sound**2)), _MIN_POWER))
            # as at the start of a recording: the first frame is centred at the first sample
            samples = np.pad(repeat_to(sound * gain, WINDOW_SAMPLES - N_FFT // 2), (N_FFT // 2, 0))
            spectra.append(mel_spectrum(samples.astype(np.float32)))
        with torch.inference_mode():
            embeddings: np.ndarray = self._encoder(torch.from_numpy(np.stack(spectra))).numpy()
        return embeddings


class TransformersEmbedding:
    """A transformers model with an x-vector head, from a local folder.

    Parameters
    ----------
    folder : Path
        Folder with ``config.json``, ``preprocessor_config.json`` and ``model.safetensors``, for
        example of ``microsoft/wavlm-base-plus-sv``.

    Raises
    ------
    StepsError
        If the folder does not contain such a model.

    References
    ----------
    Snyder, Garcia-Romero, Sell, Povey and Khudanpur, "X-vectors: robust DNN embeddings for speaker
    recognition", ICASSP 2018. Chen et al., "WavLM", IEEE JSTSP 16(6), 2022.
    """

    is_unit = True

    def __init__(self, folder: Path) -> None:
        from transformers import AutoFeatureExtractor, AutoModelForAudioXVector

        self.name = folder.name
        if not (folder / "config.json").is_file():
            raise _unusable(folder, "it contains no config.json")
        try:
            self._extractor: Any = AutoFeatureExtractor.from_pretrained(
                folder, trust_remote_code=False, local_files_only=True
            )
            self._model: Any = AutoModelForAudioXVector.from_pretrained(
                folder, trust_remote_code=False, local_files_only=True, use_safetensors=True
            ).eval()
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise _unusable(folder, (str(error).strip() or repr(error)).splitlines()[0]) from None
        rate = getattr(self._extractor, "sampling_rate", None)
        if rate != SAMPLE_RATE:
            raise _unusable(folder, f"it reads sound at {rate} Hz, not {SAMPLE_RATE} Hz")

    def embed(self, sounds: Sequence[np.ndarray]) -> np.ndarray:
        """Embed windows.

        Parameters
        ----------
        sounds : sequence of ndarray, each of shape (24000,)
            Windows at 16 kHz.

        Returns
        -------
        ndarray of float32, shape (n, D)
            Embeddings of length 1.
        """
        import torch

        inputs = self._extractor(
            [np.asarray(sound, np.float32) for sound in sounds],
            sampling_rate=SAMPLE_RATE,
            return_tensors="pt",
        )
        with torch.inference_mode():
            embeddings = torch.nn.functional.normalize(self._model(**inputs).embeddings, dim=1)
        result: np.ndarray = embeddings.float().numpy()
        return result


def _unusable(folder: Path, reason: str) -> StepsError:
    return StepsError(
        f"{folder}: not a speaker model that can be used: {reason}.",
        file=folder,
        setting="speaker_model",
        remedy="Give a folder with config.json, preprocessor_config.json and model.safetensors of "
        "a transformers model with an x-vector head.",
    )


class SpectralStatistics:
    """Mean and standard deviation of MFCC 1 to 13, and the median pitch, over voiced frames."""

    name = "MFCC and pitch"
    is_unit = False

    def embed(self, sounds: Sequence[np.ndarray]) -> np.ndarray:
        """Compute the statistics of windows.

        Parameters
        ----------
        sounds : sequence of ndarray, each of shape (24000,)
            Windows at 16 kHz.

        Returns
        -------
        ndarray of float32, shape (n, 27)
            NaN where a value is undefined, for example the pitch without voiced frames.
        """
        return np.stack([self._describe(sound) for sound in sounds])

    @staticmethod
    def _describe(sound: np.ndarray) -> np.ndarray:
        from depmm.media.voice.contours import SEMITONE_REFERENCE_HZ
        from depmm.media.voice.frame_spectrum import N_MFCC, frame_spectra
        from depmm.media.voice.pitch import track_pitch

        _, mfcc = frame_spectra(sound)
        f0_hz = track_pitch(sound).f0_hz
        voiced = np.isfinite(f0_hz)
        used = mfcc[voiced & np.isfinite(mfcc).all(axis=1)]
        if len(used) < 2:
            return np.full(2 * N_MFCC + 1, np.nan, np.float32)
        pitch = 12 * np.log2(np.median(f0_hz[voiced]) / SEMITONE_REFERENCE_HZ)
        return np.concatenate([used.mean(axis=0), used.std(axis=0), [pitch]]).astype(np.float32)


def scale_statistics(values: np.ndarray) -> np.ndarray:
    """Scale statistics with different units robustly.

    Parameters
    ----------
    values : ndarray, shape (W, D)
        Statistics of the windows of a recording; NaN where undefined.

    Returns
    -------
    ndarray, shape (W, D')
        Distance from the median in interquartile ranges, at most 4; 0 where undefined. A statistic
        that is undefined in every window is left out.
    """
    known = values[:, np.isfinite(values).any(axis=0)]
    low, median, high = np.nanpercentile(known, [25, 50, 75], axis=0)
    distance = np.where(np.isfinite(known), known, median) - median
    scaled: np.ndarray = np.clip(distance / np.maximum(high - low, 1e-6), -4, 4)
    return scaled


def cut_windows(speech: np.ndarray) -> np.ndarray:
    """Place windows inside of segments of speech.

    Parameters
    ----------
    speech : ndarray, shape (n, 2)
        Start and end of the segments in seconds, ascending.

    Returns
    -------
    ndarray of float64, shape (W, 3)
        Start, end and index of the segment. A segment of at most 1.5 s has one window; the windows
        of a longer one have 1.5 s and are at most 0.5 s apart.
    """
    rows = []
    for index, (start, end) in enumerate(np.asarray(speech, np.float64).reshape(-1, 2)):
        if end - start <= WINDOW_S:
            rows.append((start, end, index))
            continue
        count = int(np.ceil((end - start - WINDOW_S) / HOP_S)) + 1
        starts = np.linspace(start, end - WINDOW_S, count)
        rows += [(first, first + WINDOW_S, index) for first in starts]
    return np.array(rows, np.float64).reshape(-1, 3)


def embed_windows(
    blocks: Iterable[np.ndarray], windows: np.ndarray, embedding: VoiceEmbedding
) -> np.ndarray:
    """Embed the windows of a recording that is decoded block by block.

    Parameters
    ----------
    blocks : iterable of ndarray, shape (T,)
        Samples at 16 kHz.
    windows : ndarray, shape (W, 3)
        As :func:`cut_windows` returns them.
    embedding : VoiceEmbedding
        The embedding.

    Returns
    -------
    ndarray of float32, shape (W, D)
        One row per window; statistics are scaled. A window that is shorter than 1.5 s is repeated
        to this length.

    Raises
    ------
    StepsError
        If the sound ends before the last window.
    """
    bounds = np.round(windows[:, :2] * SAMPLE_RATE).astype(int)
    parts: list[np.ndarray] = []
    pending: list[np.ndarray] = []
    kept, first, done = np.zeros(0, np.float32), 0, 0
    for block in blocks:
        kept = np.concatenate([kept, block])
        while done < len(bounds) and bounds[done, 1] <= first + len(kept):
            start, end = bounds[done] - first
            pending.append(repeat_to(kept[start:end], round(WINDOW_S * SAMPLE_RATE)))
            done += 1
            if len(pending) == _BATCH:
                parts.append(embedding.embed(pending))
                pending = []
        if done == len(bounds):
            break
        unused = min(max(0, bounds[done, 0] - first), len(kept))
        kept, first = kept[unused:], first + unused
    if done < len(bounds):
        raise StepsError(
            f"The sound ends before the speech at {windows[done, 1]:.2f} s.",
            remedy="Copy the recording again.",
        )
    if pending:
        parts.append(embedding.embed(pending))
    values = np.concatenate(parts)
    return values if embedding.is_unit else scale_statistics(values)


def repeat_to(sound: np.ndarray, length: int) -> np.ndarray:
    """Repeat a short sound up to a length, or cut a longer one.

    Parameters
    ----------
    sound : ndarray, shape (T,)
        Samples, at least one.
    length : int
        Number of samples of the result.

    Returns
    -------
    ndarray, shape (length,)
        The samples.
    """
    return np.resize(sound, length)
