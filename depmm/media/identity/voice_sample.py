"""Collect the speech of a session as windows of a speaker encoder, in constant memory."""

import math

import numpy as np
import torch

from depmm.config import SAMPLE_RATE
from depmm.media.identity.speaker_encoder import (
    EMBEDDING_SIZE,
    HOP,
    N_FFT,
    WINDOW_FRAMES,
    WINDOW_HOP,
    WINDOW_SAMPLES,
    SpeakerEncoder,
    mel_spectrum,
)
from depmm.media.sound.voice_activity import find_loud_level, frame_levels, segments_of_levels

MAX_WINDOWS = 128  # 3 MB of spectra; more windows of a session are thinned out evenly
PART_S = 30  # seconds in which speech is told from silence at once
SILENCE_DB, MIN_SILENCE_S = -25.0, 0.3  # as in depmm.media.sound.voice_activity
TARGET_DB = -30.0  # level of the speech re full scale, as in the training of the encoder
MIN_COVERAGE = 0.75  # of the last window; a shorter rest is left out


class VoiceSample:
    """The speech of one session.

    Silence is removed, the level of the speech is set to -30 dB re full scale, and the rest is cut
    into windows of 1.6 s every 0.77 s. Of a long session, every second window is removed whenever
    there are more than 128, so that the windows cover the session evenly.

    Attributes
    ----------
    speech_s : float
        Seconds of speech that were added.
    """

    def __init__(self) -> None:
        self.speech_s = 0.0
        self._energy = 0.0
        self._part: list[np.ndarray] = []
        self._part_length = 0
        # the first frame is centred at the first sample; zeros precede it
        self._rest = np.zeros(N_FFT // 2, np.float32)
        self._spectra: list[np.ndarray] = []
        self._count, self._stride = 0, 1

    def add(self, samples: np.ndarray) -> None:
        """Add samples that follow those before.

        Parameters
        ----------
        samples : ndarray of float32, shape (T,)
            Sound at 16 kHz.
        """
        self._part.append(samples)
        self._part_length += len(samples)
        if self._part_length >= PART_S * SAMPLE_RATE:
            self.end_file()

    def end_file(self) -> None:
        """End a recording: the next samples have a loud level of their own."""
        if not self._part_length:
            return
        samples = np.concatenate(self._part)
        self._part, self._part_length = [], 0
        seconds = len(samples) / SAMPLE_RATE
        levels = frame_levels([samples])
        loud_db = find_loud_level(levels)
        for start, end in segments_of_levels(levels, loud_db, SILENCE_DB, MIN_SILENCE_S, seconds):
            self.add_speech(samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)])

    def add_speech(self, samples: np.ndarray) -> None:
        """Add samples without removing silence.

        Parameters
        ----------
        samples : ndarray of float32, shape (T,)
            Sound at 16 kHz.
        """
        self.speech_s += len(samples) / SAMPLE_RATE
        self._energy += float(np.square(samples, dtype=np.float64).sum())
        self._rest = np.concatenate([self._rest, samples])
        while len(self._rest) >= WINDOW_SAMPLES:
            self._add_window(self._rest[:WINDOW_SAMPLES])
            self._rest = self._rest[WINDOW_HOP * HOP :]

    def _add_window(self, samples: np.ndarray) -> None:
        if self._count % self._stride == 0:
            self._spectra.append(mel_spectrum(samples))
        self._count += 1
        if len(self._spectra) > MAX_WINDOWS:
            self._spectra, self._stride = self._spectra[::2], 2 * self._stride

    def embed(self, encoder: SpeakerEncoder, *, adjust_level: bool = True) -> np.ndarray:
        """Embed the windows; the sample is complete then.

        Parameters
        ----------
        encoder : SpeakerEncoder
            The network with its weights.
        adjust_level : bool, default True
            Whether the level of the speech is adjusted.

        Returns
        -------
        ndarray of float32, shape (n, 256)
            One embedding per window, in order; no row without speech.
        """
        self.end_file()
        covered = len(self._rest) - N_FFT // 2
        # the first window is used however short it is
        if covered >= MIN_COVERAGE * WINDOW_FRAMES * HOP or (not self._count and covered > 0):
            self._add_window(np.pad(self._rest, (0, WINDOW_SAMPLES - len(self._rest))))
        self._rest = np.zeros(0, np.float32)
        if not self._spectra or not self._energy:
            return np.zeros((0, EMBEDDING_SIZE), np.float32)
        spectra = torch.from_numpy(np.stack(self._spectra))
        if adjust_level:
            level = 10 * math.log10(self._energy / (self.speech_s * SAMPLE_RATE))
            spectra = spectra * 10 ** ((TARGET_DB - level) / 10)
        with torch.inference_mode():
            embeddings: np.ndarray = encoder(spectra).numpy()
        return embeddings
