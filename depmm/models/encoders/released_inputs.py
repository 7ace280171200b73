"""The inputs of DEP-Former's release: a step's face as 224 x 224 numbers, its voice as 1000.

How the released arrays were made from recordings is not published. These encoders learn nothing
and make the closest there is from our store, so that the release's layout (and its 50176 x 1000
adapter, most of its parameters) can be trained and measured on any corpus.
"""

import torch
from torch import Tensor, nn

from depmm.models.encoders.encoder import Encoder

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, of red, green and blue
QUIETEST = 1e-5  # RMS, -100 dB full scale


class FaceMap(Encoder):
    """The mean grey face of a step, flattened.

    Parameters
    ----------
    face_size : pixels, height and width of the crops
    """

    luma: Tensor

    def __init__(self, face_size: int = 224):
        super().__init__()
        self.face_size = face_size
        self.embed_dim = face_size**2
        self.register_buffer("luma", torch.tensor(LUMA).view(3, 1, 1))

    def forward(self, crops: Tensor, length: Tensor) -> Tensor:
        """Average the valid crops.

        Parameters
        ----------
        crops : Tensor[N, T, 3, face_size, face_size] uint8 RGB
        length : Tensor[N] valid crops, at least 1

        Returns
        -------
        Tensor[N, face_size ** 2] in [-1, 1]

        Raises
        ------
        ValueError : crops of another size
        """
        if crops.shape[-2:] != (self.face_size, self.face_size):
            raise ValueError(
                f"crops are {tuple(crops.shape[-2:])}, face_map expects {self.face_size}: set "
                "data.face_size and the encoder's face_size to the same value"
            )
        valid = torch.arange(crops.shape[1], device=crops.device) < length.unsqueeze(1)
        weight = valid / length.unsqueeze(1)
        mean = torch.einsum("nt,ntchw->nchw", weight, crops.to(weight.dtype))
        return (mean * self.luma).sum(1).flatten(1) / 127.5 - 1


class VoiceVector(Encoder):
    """The level of a step's voice at equally spaced points, from its begin to its end.

    Parameters
    ----------
    points : numbers per step
    """

    def __init__(self, points: int = 1000):
        super().__init__()
        self.points = self.embed_dim = points

    def forward(self, waveform: Tensor, length: Tensor) -> Tensor:
        """Measure the level.

        Parameters
        ----------
        waveform : Tensor[N, T] in [-1, 1]
        length : Tensor[N] valid samples, at least 1

        Returns
        -------
        Tensor[N, points], log10 of the RMS from -5 (silence) to 0, plus 2.5
        """
        place = torch.arange(self.points, device=waveform.device)
        start = place * length.unsqueeze(1) // self.points
        # in a step of fewer samples than points, neighbouring points share one
        end = torch.maximum((place + 1) * length.unsqueeze(1) // self.points, start + 1)
        # float64: a long step adds up
        energy = nn.functional.pad(waveform.double().square().cumsum(1), (1, 0))
        total = energy.gather(1, end) - energy.gather(1, start)
        rms = (total.clamp(min=0) / (end - start)).sqrt().to(waveform.dtype)
        return rms.clamp(min=QUIETEST).log10() + 2.5
