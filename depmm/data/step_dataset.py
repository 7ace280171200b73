"""Single steps of sessions as training samples."""

from collections.abc import Sequence

import numpy as np
from torch.utils.data import Dataset

from depmm.data.dataset import SessionDataset
from depmm.data.session_item import SessionItem


class StepDataset(Dataset[SessionItem]):
    """Every step with a signal as a session of its own.

    Parameters
    ----------
    dataset : SessionDataset
        The sessions.
    sessions : sequence of int
        Rows of ``dataset`` whose steps are read.

    Attributes
    ----------
    settings : DataConfig
        Settings of the sessions.
    sessions : ndarray of int64, shape (N,)
        Row of ``dataset`` to which each step belongs, which is also the ``index`` of its item.
    steps : ndarray of int64, shape (N,)
        Index of each step in its session.

    Raises
    ------
    StoreError
        If a session is missing or damaged.
    """

    def __init__(self, dataset: SessionDataset, sessions: Sequence[int]) -> None:
        self.dataset, self.settings = dataset, dataset.settings
        present = {
            index: np.any(list(dataset.present_steps(index).values()), axis=0) for index in sessions
        }
        self._n_steps = {index: len(mask) for index, mask in present.items()}
        steps = {index: np.flatnonzero(mask) for index, mask in present.items()}
        self.sessions = np.repeat(list(steps), [len(rows) for rows in steps.values()])
        self.steps = np.concatenate(list(steps.values()))

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, epoch_and_row: tuple[int | None, int]) -> SessionItem:
        """Read a step.

        Parameters
        ----------
        epoch_and_row : tuple of (int or None, int)
            Epoch for which augmentation is drawn (None: no augmentation), and row of this dataset.

        Returns
        -------
        SessionItem
            Its session, as if it had this step only.

        Raises
        ------
        StoreError
            If the session or its embedding is damaged.
        """
        epoch, row = epoch_and_row
        index = int(self.sessions[row])
        return self.dataset.read_step(epoch, index, int(self.steps[row]), self._n_steps[index])
