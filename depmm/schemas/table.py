"""What a table that depmm writes contains: its columns with type, unit and meaning."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from depmm.errors import DepmmError

if TYPE_CHECKING:
    import pandas as pd

DataType = Literal["str", "int64", "float64", "bool"]


class SchemaError(DepmmError):
    """A table that does not have the columns of its schema."""


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    name : str
        Name in the file.
    dtype : {"str", "int64", "float64", "bool"}
        Type of the values. An integer or Boolean column that is ``nullable`` is written with
        pandas' nullable type of the same name.
    meaning : str
        What a value says, one sentence without a full stop.
    unit : str, optional
        Unit of the values, for example ``s`` or ``dB``.
    nullable : bool, default False
        Whether a value may be missing.
    required : bool, default True
        Whether every table of the kind has the column.
    """

    name: str
    dtype: DataType
    meaning: str
    unit: str | None = None
    nullable: bool = False
    required: bool = True


@dataclass(frozen=True)
class TableSchema:
    """The columns of one table.

    Attributes
    ----------
    file : str
        Name of the file, for example ``sessions.parquet``.
    meaning : str
        What one row is, one sentence.
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
        """Names of the columns, in their order."""
        return [column.name for column in self.columns]

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
            or holds missing values although it is not nullable.
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
    match dtype:
        case "str":
            if isinstance(known.dtype, pd.StringDtype):  # tables of many millions of rows
                return True
            return bool(known.map(lambda value: isinstance(value, str)).all())
        case "int64":
            return types.is_integer_dtype(known.infer_objects())
        case "float64":
            return types.is_float_dtype(known) and not types.is_bool_dtype(known)
        case "bool":
            return types.is_bool_dtype(known.infer_objects())
