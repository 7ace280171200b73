"""Inputs of DEP-Former: one picture of the face and one of the voice per word, flattened.

Fig. (a) of the paper shows face pictures and time-frequency pictures of single words as inputs. The
release contains the resulting numbers, a 224 x 224 face array and 1000 voice values per word, but
not how they were computed. These encoders have no parameters. They read either the recordings, of
which they compute the pictures of the figure, or the rows of a stream, such as the arrays of the
release (``data.features``), which are passed on as they are. The modality adapter of DEP-Former,
whose first layer is 50176 x 1000, is the trained part.

References
----------
Ye et al., "DEP-Former", IEEE TCSVT 35(3), 2025, Fig. (a) and released code.
"""

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from depmm.models.encoders.encoder import Encoder, check_crop_size
from depmm.models.encoders.frontends import SPEECH_HOP_LENGTH, SPEECH_N_FFT, LogMel
from depmm.models.errors import ModelError
from depmm.models.host import host_lengths, to_device
from depmm.models.masking import length_mask
from depmm.models.resize import bilinear_weights

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, weights of red, green and blue
# decibels that become -1 and 1 in a voice picture: the lower limit of `LogMel`, and about the
# highest value, that of a full-scale tone of low frequency
LOWEST_DB, HIGHEST_DB = -100.0, 20.0


class FaceMap(Encoder):
    """Compute the flattened grey-scale face picture of each step.

    The picture is the mean of the crops of a step. With ``data.frames_per_step: 1`` it is a single
    crop, which ``data.frame_choice`` selects.

    Parameters
    ----------
    face_size : int
        Height and width of the picture in pixels.
    """

    luma: Tensor

    def __init__(self, face_size: int) -> None:
        super().__init__()
        self.face_size = face_size
        self.embed_dim = face_size**2
        self.register_buffer("luma", torch.tensor(LUMA).view(3, 1, 1))

    def forward(self, x: Tensor, lengths: ArrayLike) -> Tensor:
        """Average the valid crops or rows.

        Parameters
        ----------
        x : Tensor, shape (N, T, 3, face_size, face_size), uint8, or (N, T, face_size ** 2)
            RGB crops, or rows of a stream, NaN where invalid.
        lengths : array_like of int, shape (N,)
            Valid crops or rows, at least 1, on the host.

        Returns
        -------
        Tensor, shape (N, face_size ** 2)
            Of crops, grey values from -1 (black) to 1 (white), row by row. Of rows, their mean, see
            ``mean_row``.

        Raises
        ------
        ModelError
            If the crops or rows have another size.
        """
        if x.ndim == 3:
            return mean_row(x, lengths, self.embed_dim, "face_size ** 2")
        check_crop_size(x, self.face_size)
        n_crops = to_device(host_lengths(lengths), x.device)
        weight = length_mask(n_crops, x.shape[1]) / n_crops.unsqueeze(1)
        mean = torch.einsum("nt,ntchw->nchw", weight, x.to(weight.dtype))
        return (mean * self.luma).sum(1).flatten(1) / 127.5 - 1


class VoiceVector(Encoder):
    """Compute the flattened time-frequency picture of the voice of each step.

    The picture is the log-mel spectrogram of the valid samples (frames of 32 ms every 10 ms),
    resized to a fixed number of columns as an image is, so that its first and last column are start
    and end of the step. The scale is the same for all steps: the level of the voice, which changes
    between words, is a part of the picture. Values are limited to 80 dB below the loudest value of
    the step, so that a pause in a loud word is not -1.

    Parameters
    ----------
    bands : int
        Mel bands between 0 and 8 kHz, from low to high.
    columns : int
        Columns over the duration of the step.
    """

    def __init__(self, bands: int, columns: int) -> None:
        super().__init__()
        self.columns = columns
        self.embed_dim = bands * columns
        self.log_mel = LogMel(bands, SPEECH_N_FFT, SPEECH_HOP_LENGTH, "hann")

    def forward(self, x: Tensor, lengths: ArrayLike) -> Tensor:
        """Compute the pictures, or average the valid rows.

        Parameters
        ----------
        x : Tensor, shape (N, T) or (N, T, bands * columns)
            Waveforms in [-1, 1], or rows of a stream, NaN where invalid.
        lengths : array_like of int, shape (N,)
            Valid samples or rows, at least 1, on the host.

        Returns
        -------
        Tensor, shape (N, bands * columns)
            Of waveforms, from -1 at -100 dB (silence) to 1 at 20 dB (about a full-scale tone), band
            by band.
            Of rows, their mean, see ``mean_row``.

        Raises
        ------
        ModelError
            If the rows have another size.
        """
        if x.ndim == 3:
            return mean_row(x, lengths, self.embed_dim, "bands * columns")
        decibels, n_frames = self.log_mel(x, lengths)
        columns = bilinear_weights(to_device(n_frames, x.device), decibels.shape[-1], self.columns)
        picture = torch.einsum("nft,ntc->nfc", decibels, columns)
        picture = (picture - LOWEST_DB) / (HIGHEST_DB - LOWEST_DB) * 2 - 1
        return picture.flatten(1)


def mean_row(rows: Tensor, lengths: ArrayLike, size: int, setting: str) -> Tensor:
    """Average the rows of each step; the values are not scaled.

    A step of one row is this row. Invalid values are left out of the mean; a value that is invalid
    in all rows of a step is 0.

    Parameters
    ----------
    rows : Tensor, shape (N, T, F)
        Rows of a stream, NaN where invalid.
    lengths : array_like of int, shape (N,)
        Valid rows, at least 1, on the host.
    size : int
        Expected number of values per row.
    setting : str
        Settings of the encoder from which ``size`` follows.

    Returns
    -------
    Tensor, shape (N, F)
        Mean row of each step.

    Raises
    ------
    ModelError
        If the rows have another number of values.
    """
    if rows.shape[-1] != size:
        raise ModelError(
            f"The rows of the stream have {rows.shape[-1]} values, but the encoder was built for "
            f"{size} ({setting}). Change the settings of the encoder, or choose another stream.",
            setting=setting,
            value=rows.shape[-1],
        )
    n_rows = to_device(host_lengths(lengths), rows.device)
    valid = rows.isfinite() & length_mask(n_rows, rows.shape[1]).unsqueeze(-1)
    return torch.where(valid, rows, 0.0).sum(1) / valid.sum(1).clamp(min=1)
