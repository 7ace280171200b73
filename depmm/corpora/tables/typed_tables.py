"""Convert tables to the columns and types of their schema."""

import pandas as pd

from depmm.corpora.errors import ManifestError
from depmm.schemas import TableSchema


def apply_schema(
    table: pd.DataFrame, schema: TableSchema, location: str | None = None
) -> pd.DataFrame:
    """Order the columns of a table and convert them to the types of the schema.

    Parameters
    ----------
    table : DataFrame
        The rows; further columns, if the schema allows them, contain text.
    schema : TableSchema
        The schema.
    location : str, optional
        File of the table, for messages; by default, the name of the table.

    Returns
    -------
    DataFrame
        A copy.

    Raises
    ------
    ManifestError
        If a column is missing or unknown, or cannot be converted to its type.
    """
    name = location or schema.file.removesuffix(".parquet")
    check_columns(table, schema, location)
    dtypes = {column.name: column.pandas_dtype for column in schema.columns}
    further = [column for column in table.columns if column not in dtypes]
    if further and not schema.extra_columns:
        raise ManifestError(
            f"{name}: unknown columns {further}. Known: {', '.join(dtypes)}.",
            file=location,
            column=str(further[0]),
        )
    result = {}
    for column in [*(name for name in dtypes if name in table), *further]:
        dtype, values = dtypes.get(column, "str"), table[column]
        try:
            if dtype == "category" and values.dtype == "category":
                result[column] = values.cat.set_categories(sorted(values.cat.categories))
                continue
            if dtype in ("str", "category") and values.dtype != "str":
                is_text = values.isna() | values.map(lambda value: isinstance(value, str))
                if not is_text.all():
                    raise ValueError(f"{values[~is_text].iloc[0]} is not text")
            elif dtype == "bool" and values.isna().any():
                raise ValueError("empty cells")
            result[column] = values.astype(dtype)  # type: ignore[call-overload]
        except (ValueError, TypeError) as error:
            raise ManifestError(
                f"{name}: column {column!r} cannot be converted to {dtype.lower()}: {error}. "
                "Correct the column.",
                file=location,
                column=column,
            ) from None
    return pd.DataFrame(result, index=table.index)


def check_columns(table: pd.DataFrame, schema: TableSchema, location: str | None = None) -> None:
    """Check that no required column of a schema is missing.

    Parameters
    ----------
    table : DataFrame
        The rows.
    schema : TableSchema
        The schema.
    location : str, optional
        File of the table, for messages.

    Raises
    ------
    ManifestError
        If a column is missing.
    """
    required = [column.name for column in schema.columns if column.required]
    if missing := [column for column in required if column not in table.columns]:
        raise ManifestError(
            f"{location or schema.file.removesuffix('.parquet')}: column {missing[0]!r} is missing "
            f"(columns: {', '.join(map(str, table.columns))}). Add it, or run depmm index "
            "again.",
            file=location,
            column=missing[0],
        )
