"""The speaker encoder of Resemblyzer 0.1.4: a voice as a vector of 256 numbers.

The network was trained with the generalised end-to-end loss, so that the cosine similarity of two
embeddings is high if the speaker is the same. This is an implementation of the described
architecture; the weights are those of the package (Apache-2.0), see
:mod:`depmm.media.identity.voice_model`.

References
----------
Wan, Wang, Papir and Lopez Moreno, "Generalized end-to-end loss for speaker verification", ICASSP
2018, arXiv:1710.10467 (LSTM and loss: sections 2.1 and 3).
"""

import functools

import numpy as np
import torch
from librosa.filters import mel as mel_bands
from torch import Tensor, nn

from depmm.config import SAMPLE_RATE

N_FFT, HOP = 400, 160  # samples: 25 ms and 10 ms
N_MELS = 40
WINDOW_FRAMES = 160  # 1.6 s, the length of the utterances in training
# samples that the frames of a window read: each frame is centred and reads half a transform beyond
WINDOW_SAMPLES = (WINDOW_FRAMES - 1) * HOP + N_FFT
WINDOW_HOP = 77  # frames between windows: 1.3 windows per second
EMBEDDING_SIZE = 256
N_LAYERS = 3


class SpeakerEncoder(nn.Module):
    """LSTM over mel spectra whose last state is projected to the unit sphere.

    All layers have the size of the embedding, and embeddings have no negative values.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(N_MELS, EMBEDDING_SIZE, N_LAYERS, batch_first=True)
        self.linear = nn.Linear(EMBEDDING_SIZE, EMBEDDING_SIZE)

    def forward(self, mel: Tensor) -> Tensor:
        """Embed windows of 1.6 s.

        Parameters
        ----------
        mel : Tensor, shape (B, T, 40)
            Mel power spectra of :func:`mel_spectrum`, not logarithmic.

        Returns
        -------
        Tensor, shape (B, 256)
            Embeddings of length 1; 0 if all values of the projection are negative.
        """
        _, (state, _) = self.lstm(mel)
        return nn.functional.normalize(torch.relu(self.linear(state[-1])), dim=1)


def mel_spectrum(samples: np.ndarray) -> np.ndarray:
    """Compute the mel power spectra of one window of 1.6 s.

    The spectra equal ``librosa.feature.melspectrogram(n_fft=400, hop_length=160, n_mels=40)`` of a
    longer recording at the frames of the window.

    Parameters
    ----------
    samples : ndarray of float32, shape (25840,)
        Sound at 16 kHz, from half a transform (200 samples) before the first centre of a frame.

    Returns
    -------
    ndarray of float32, shape (160, 40)
        Power per mel band; proportional to the square of the gain.
    """
    window, bands = _transform()
    frames = np.lib.stride_tricks.sliding_window_view(samples, N_FFT)[::HOP]
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2
    return np.asarray(power @ bands.T, np.float32)


@functools.cache
def _transform() -> tuple[np.ndarray, np.ndarray]:
    window = np.hanning(N_FFT + 1)[:-1]  # periodic
    return window, mel_bands(sr=SAMPLE_RATE, n_fft=N_FFT, n_mels=N_MELS)
