"""Inputs as in the release of DEP-Former: 224 x 224 face values and 1000 voice values per step.

How the released arrays were computed from recordings is not published. These encoders have no
parameters: they compute the closest equivalent from the store, so that the layout of the release
(with its 50176 x 1000 adapter, which has most of the parameters) can be trained on any corpus.

References
----------
Ye et al., "DEP-Former", IEEE TCSVT 35(3), 2025, released code.
"""

import torch
from torch import Tensor, nn

from depmm.models.encoders.encoder import Encoder, check_crop_size
from depmm.models.masking import length_mask

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, weights of red, green and blue
MIN_RMS = 1e-5  # -100 dB full scale


class FaceMap(Encoder):
    """Compute the flattened mean grey-scale face of each step.

    Parameters
    ----------
    face_size : int
        Height and width of the crops in pixels.
    """

    luma: Tensor

    def __init__(self, face_size: int) -> None:
        super().__init__()
        self.face_size = face_size
        self.embed_dim = face_size**2
        self.register_buffer("luma", torch.tensor(LUMA).view(3, 1, 1))

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Average the valid crops.

        Parameters
        ----------
        x : Tensor, shape (N, T, 3, face_size, face_size), uint8
            RGB crops.
        lengths : Tensor, shape (N,)
            Valid crops, at least 1.

        Returns
        -------
        Tensor, shape (N, face_size ** 2)
            Values in [-1, 1].

        Raises
        ------
        ModelError
            If the crops have another size.
        """
        check_crop_size(x, self.face_size)
        weight = length_mask(lengths, x.shape[1]) / lengths.unsqueeze(1)
        mean = torch.einsum("nt,ntchw->nchw", weight, x.to(weight.dtype))
        return (mean * self.luma).sum(1).flatten(1) / 127.5 - 1


class VoiceVector(Encoder):
    """Compute the level of the voice in equally long parts of each step.

    Parameters
    ----------
    points : int
        Number of parts.
    """

    def __init__(self, points: int) -> None:
        super().__init__()
        self.points = self.embed_dim = points

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Compute the level.

        Parameters
        ----------
        x : Tensor, shape (N, T)
            Waveforms in [-1, 1].
        lengths : Tensor, shape (N,)
            Valid samples, at least 1.

        Returns
        -------
        Tensor, shape (N, points)
            Decimal logarithm of the RMS, from -5 (silence) to 0, plus 2.5.
        """
        part = torch.arange(self.points, device=x.device)
        start = part * lengths.unsqueeze(1) // self.points
        # in a step with fewer samples than points, neighbouring points share a sample
        end = torch.maximum((part + 1) * lengths.unsqueeze(1) // self.points, start + 1)
        # float64, because a float32 sum over a long step would lose quiet parts
        energy = nn.functional.pad(x.double().square().cumsum(1), (1, 0))
        total = energy.gather(1, end) - energy.gather(1, start)
        rms = (total.clamp(min=0) / (end - start)).sqrt().to(x.dtype)
        return rms.clamp(min=MIN_RMS).log10() + 2.5
