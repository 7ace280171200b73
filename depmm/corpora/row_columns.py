"""Rows of a table that is built row by row and kept by column."""

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd


class RowColumns:
    """Rows of a table, stored as one list per column.

    A dictionary per row needs several times the memory of the cells, and a manifest can have
    millions of rows.

    Attributes
    ----------
    columns : dict of str to list
        Cells by column; ``None`` where a row has no such cell.
    """

    def __init__(self) -> None:
        self.columns: dict[str, list[Any]] = {}
        self._n_rows = 0

    def __len__(self) -> int:
        return self._n_rows

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a row.

        Parameters
        ----------
        row : mapping of str to object
            Column -> cell. A column that earlier rows do not have is added, with ``None`` in them.
        """
        for name in row:
            if name not in self.columns:
                self.columns[name] = [None] * self._n_rows
        for name, cells in self.columns.items():
            cells.append(row.get(name))
        self._n_rows += 1

    def pop_table(self, categories: Collection[str] = ()) -> pd.DataFrame:
        """Move the rows into a table.

        Each list is released as soon as its column is built, so that the cells do not exist twice.
        The length is kept, as the number of rows that were added.

        Parameters
        ----------
        categories : collection of str, optional
            Columns that become categoricals.

        Returns
        -------
        DataFrame
            One row per added row, in their order.
        """
        table = pd.DataFrame(index=pd.RangeIndex(self._n_rows if self.columns else 0))
        columns = {}
        while self.columns:
            name = next(iter(self.columns))
            dtype = "category" if name in categories else None
            columns[name] = pd.Series(self.columns.pop(name), table.index, dtype)
        return pd.DataFrame(columns, table.index)
