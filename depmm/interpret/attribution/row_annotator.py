"""Keys, labels and words of the rows of explained batches."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from depmm.schemas.manifest import SESSION_KEY


class RowAnnotator:
    """Add session keys, labels and words to the rows of a batch.

    Parameters
    ----------
    sessions : DataFrame
        Sessions of an ``ExperimentData``, one row per index of its data set.
    steps : DataFrame
        Steps of the manifest, with the indices 0, 1, 2, ... in each session.
    fold : int
        Fold of the model.
    seed : int
        Seed of the model.
    binary : bool
        Whether the targets are labels, 0 or 1.
    """

    def __init__(
        self, sessions: pd.DataFrame, steps: pd.DataFrame, fold: int, seed: int, binary: bool
    ) -> None:
        label = sessions["target"] if binary else pd.Series(pd.NA, sessions.index)
        self.sessions = sessions[[*SESSION_KEY, "split"]].assign(
            fold=np.int32(fold), seed=np.int32(seed), label=label.astype("Int8")
        )
        keys = sessions[SESSION_KEY].assign(index=np.arange(len(sessions)))
        ordered = keys.merge(steps[[*SESSION_KEY, "step", "text", "valence"]], on=SESSION_KEY)
        ordered = ordered.sort_values(["index", "step"], ignore_index=True)
        self.first_step = np.searchsorted(ordered["index"], keys["index"])
        self.words = ordered[["text", "valence"]].rename(columns={"text": "word"})
        self.n_steps = np.bincount(ordered["index"], minlength=len(keys))

    def list_words(self, indices: NDArray[np.int64]) -> list[list[str | None]]:
        """List the words of the steps of sessions.

        Parameters
        ----------
        indices : ndarray of int, shape (B,)
            Index in the data set of each session.

        Returns
        -------
        list of (list of (str or None)), length B
            Words in the order of the steps; None for a step without text.
        """
        text = self.words["word"].astype(object).where(self.words["word"].notna(), None)
        return [
            text.iloc[self.first_step[index] :][: self.n_steps[index]].tolist() for index in indices
        ]

    def annotate(self, table: pd.DataFrame, indices: NDArray[np.int64]) -> pd.DataFrame:
        """Replace the row of the batch by the keys of its session.

        Parameters
        ----------
        table : DataFrame
            Columns ``row`` (of the batch), optionally ``step``, and others.
        indices : ndarray of int, shape (B,)
            Index in the data set of each session of the batch.

        Returns
        -------
        DataFrame
            The table with the keys, ``split``, ``fold``, ``seed`` and ``label`` in place of
            ``row``, and ``word`` and ``valence`` after ``step``.
        """
        index = indices[table["row"]]
        parts = [self.sessions.take(index)]
        columns = table.drop(columns="row")
        if "step" in table:
            after = list(columns).index("step") + 1
            words = self.words.take(self.first_step[index] + table["step"])
            parts += [columns.iloc[:, :after], words, columns.iloc[:, after:]]
        else:
            parts.append(columns)
        return pd.concat([part.reset_index(drop=True) for part in parts], axis=1)
