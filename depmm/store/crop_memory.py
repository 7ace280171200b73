"""Decoded face crops that a training keeps, because every epoch reads them again."""

import numpy as np

CROP_MEMORY = 128 * 2**20  # bytes in each process that loads data

CropKey = tuple[str, str, int, int]
"""Path and checksum of the session file, index of the frame, and size of the crop."""


class CropMemory:
    """Crops in memory, up to a number of bytes; further crops are not kept.

    Nothing is removed: with sessions in a random order, each crop that is kept is read from memory
    in every later epoch, whereas the crops that were read last would be replaced before that.

    Parameters
    ----------
    limit : int, default CROP_MEMORY
        Bytes.
    """

    def __init__(self, limit: int = CROP_MEMORY) -> None:
        self._crops: dict[CropKey, np.ndarray] = {}
        self._free = limit

    def get(self, key: CropKey) -> np.ndarray | None:
        """Return a crop that is kept.

        Parameters
        ----------
        key : tuple
            The crop.

        Returns
        -------
        ndarray of uint8, shape (size, size, 3), or None
            RGB, which must not be changed; None if it is not kept.
        """
        return self._crops.get(key)

    def add(self, key: CropKey, crop: np.ndarray) -> None:
        """Keep a crop if there is room for it.

        Parameters
        ----------
        key : tuple
            The crop.
        crop : ndarray of uint8, shape (size, size, 3)
            RGB.
        """
        if crop.nbytes <= self._free:
            self._free -= crop.nbytes
            self._crops[key] = crop
