"""Schema of the tables that depmm writes: columns with type, unit and meaning."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from depmm.errors import DepmmError

if TYPE_CHECKING:
    import pandas as pd

DataType = Literal["str", "int64", "float64", "bool", "list[str]"]


class SchemaError(DepmmError):
    """A table that does not have the columns of its schema."""


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    name : str
        Name in the file.
    dtype : {"str", "int64", "float64", "bool", "list[str]"}
        Type of the values. An integer or Boolean column that is ``nullable`` is written with
        pandas' nullable type of the same name.
    meaning : str
        Meaning of a value, without a full stop.
    unit : str, optional
        Unit of the values, for example ``s`` or ``dB``.
    nullable : bool, default False
        Whether a value may be missing.
    required : bool, default True
        Whether every table of the kind has the column.
    few_values : bool, default False
        Whether a column of text has few different values, so that it is a categorical in pandas: a
        long text that each of a million rows repeats is then in the memory once.
    """

    name: str
    dtype: DataType
    meaning: str
    unit: str | None = None
    nullable: bool = False
    required: bool = True
    few_values: bool = False

    @property
    def pandas_dtype(self) -> str:
        """The dtype of the column in pandas; nullable integers and Booleans have their own."""
        if self.few_values:
            return "category"
        if self.nullable and self.dtype in ("int64", "bool"):
            return {"int64": "Int64", "bool": "boolean"}[self.dtype]
        return self.dtype


@dataclass(frozen=True)
class TableSchema:
    """The columns of one table.

    Attributes
    ----------
    file : str
        Name of the file, for example ``sessions.parquet``.
    meaning : str
        Meaning of one row, one sentence.
    columns : tuple of Column
        The columns, in the order in which they are written.
    extra_columns : bool, default False
        Whether a table may have further columns, for example those that a data spec names.
    """

    file: str
    meaning: str
    columns: tuple[Column, ...]
    extra_columns: bool = False

    @property
    def names(self) -> list[str]:
        """The names of the columns, in their order."""
        return [column.name for column in self.columns]

    def build(self, rows: Sequence[Mapping[str, Any]]) -> "pd.DataFrame":
        """Build a table with the columns and types of the schema.

        Parameters
        ----------
        rows : sequence of mapping
            One mapping from column name to value for each row; may be empty.

        Returns
        -------
        DataFrame
            The rows, with the columns in their order.

        Raises
        ------
        SchemaError
            If the rows do not fit the schema.
        """
        import pandas as pd

        used = [c for c in self.columns if c.required or any(c.name in row for row in rows)]
        table = pd.DataFrame(list(rows), columns=[column.name for column in used])
        # a conversion of text would turn missing values into text
        numeric = [column for column in used if column.dtype not in ("str", "list[str]")]
        table = table.astype({column.name: column.pandas_dtype for column in numeric})
        self.check(table)
        return table

    def check(self, table: "pd.DataFrame") -> None:
        """Check that a table fits the schema before it is written.

        Parameters
        ----------
        table : DataFrame
            The rows.

        Raises
        ------
        SchemaError
            If a required column is missing, or a column is not in the schema, has another type,
            or has missing values although it is not nullable.
        """
        for column in self.columns:
            if column.name not in table:
                if not column.required:
                    continue
                raise SchemaError(
                    f"{self.file}: column {column.name} is missing.", column=column.name
                )
            values = table[column.name]
            if not column.nullable and values.isna().any():
                raise SchemaError(
                    f"{self.file}: column {column.name} has missing values.", column=column.name
                )
            if values.notna().any() and not _fits(values, column.dtype):
                raise SchemaError(
                    f"{self.file}: column {column.name} is {values.dtype}, not {column.dtype}.",
                    column=column.name,
                )
        extra = [str(name) for name in table if name not in self.names]
        if extra and not self.extra_columns:
            raise SchemaError(
                f"{self.file}: column {extra[0]} is not in its schema.", column=extra[0]
            )


def _fits(values: "pd.Series", dtype: DataType) -> bool:
    import pandas as pd
    from pandas.api import types

    known = values.dropna()
    if isinstance(known.dtype, pd.CategoricalDtype):
        known = known.cat.categories.to_series()
    match dtype:
        case "str":
            if isinstance(known.dtype, pd.StringDtype):  # no check of each of many million rows
                return True
            return bool(known.map(lambda value: isinstance(value, str)).all())
        case "list[str]":
            return bool(known.map(_is_list_of_text).all())
        case "int64":
            return types.is_integer_dtype(known.infer_objects())
        case "float64":
            return types.is_float_dtype(known)
        case "bool":
            return types.is_bool_dtype(known.infer_objects())


def _is_list_of_text(value: object) -> bool:
    import numpy as np

    # lists in Parquet files are read as arrays
    return isinstance(value, list | np.ndarray) and all(isinstance(item, str) for item in value)
