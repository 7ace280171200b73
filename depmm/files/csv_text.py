"""CSV for spreadsheets: cells that a spreadsheet would run as formulas are text."""

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

# also the full-width forms, which East Asian versions of spreadsheets accept
_FORMULA = re.compile(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def to_csv(table: "pd.DataFrame") -> str:
    """Format a table as CSV, with an apostrophe before cells that begin like a formula.

    Numbers, also as text, are not changed. Subject and session ids are not changed either, because
    an id begins with a letter, a digit or an underscore; the tables of depmm can therefore be read
    again.

    Parameters
    ----------
    table : DataFrame
        The rows; the index is not written.

    Returns
    -------
    str
        The text, with line feeds.

    References
    ----------
    OWASP, "CSV Injection", https://owasp.org/www-community/attacks/CSV_Injection.
    """
    from pandas.api.types import is_datetime64_any_dtype, is_numeric_dtype

    safe = table.copy(deep=False)
    for index, (_, column) in enumerate(table.items()):
        if not is_numeric_dtype(column) and not is_datetime64_any_dtype(column):
            safe.isetitem(index, column.map(neutralize).array)
    safe.columns = [neutralize(name) for name in table.columns]
    return str(safe.to_csv(index=False, lineterminator="\n"))


def neutralize(value: Any) -> Any:
    """Put an apostrophe before a text that begins like a formula and is not a number.

    Carriage returns become line feeds.

    Parameters
    ----------
    value : object
        Value of a cell.

    Returns
    -------
    object
        The value, or the changed text.
    """
    if not isinstance(value, str):
        return value
    if "\r" in value:  # would end the row: the csv module does not quote it
        value = value.replace("\r\n", "\n").replace("\r", "\n")
    if _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value
