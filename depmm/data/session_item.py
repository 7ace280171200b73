"""Signals of one session, as a dataset reads them and a batch pads them."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SessionItem:
    """Signals of one session.

    Attributes
    ----------
    index : int
        Row of the dataset.
    signals : dict of str to list of ndarray, shape (T, ...)
        Signal of each step by modality, empty in steps without it: waveforms (T,) float32, crops
        (T, 3, height, width) uint8, bytes of text (T,) uint8, or rows (T, F) float32. An embedding
        is one row, (1, K).
    embedded : frozenset of str, default frozenset()
        Modalities whose signals are embeddings.
    on_host : frozenset of str, default frozenset()
        Modalities whose signals stay on the CPU.
    """

    index: int
    signals: dict[str, list[np.ndarray]]
    embedded: frozenset[str] = frozenset()
    on_host: frozenset[str] = frozenset()

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
        selected = {name: steps[step : step + 1] for name, steps in self.signals.items()}
        return SessionItem(self.index, selected, self.embedded, self.on_host)
