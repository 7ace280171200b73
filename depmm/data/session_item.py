"""Signals of one session, as a dataset reads them and a batch pads them."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class SessionItem:
    """Signals of one session.

    Attributes
    ----------
    index : int
        Row of the dataset.
    audio : list of ndarray of float32, shape (T,), or None
        Waveform of each step, empty without sound; (T, F) if a feature stream replaces it. None if
        the modality is not read.
    face : list of ndarray of uint8, shape (T, 3, height, width), or None
        Crops of each step, empty without a face; float32 (T, F) if a feature stream replaces them.
        None if the modality is not read.
    embeddings : dict of str to list of ndarray of float32, shape (1, K)
        Embeddings by modality: one row per step, (0, K) in steps without the modality.
    """

    index: int
    audio: list[np.ndarray] | None
    face: list[np.ndarray] | None
    embeddings: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def select_step(self, step: int) -> "SessionItem":
        """Select one step.

        Parameters
        ----------
        step : int
            Index of the step.

        Returns
        -------
        SessionItem
            The session as if it had this step only.
        """
        return SessionItem(
            self.index,
            None if self.audio is None else self.audio[step : step + 1],
            None if self.face is None else self.face[step : step + 1],
            {name: rows[step : step + 1] for name, rows in self.embeddings.items()},
        )
