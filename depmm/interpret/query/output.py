"""Output of a result as text, CSV, JSON or a figure."""

from pathlib import Path

import pandas as pd

from depmm.files.csv_text import to_csv
from depmm.files.writing import write_bytes
from depmm.interpret.errors import QuestionError

FORMATS = {".txt": "table", ".csv": "csv", ".json": "json", ".svg": "figure", ".png": "figure"}


def choose_format(form: str | None, out: Path | None, run: Path) -> str:
    """Choose the format of a result from the request and the suffix of the file.

    Parameters
    ----------
    form : {"table", "csv", "json", "figure"}, optional
        Requested format.
    out : Path, optional
        File to write.
    run : Path
        Folder of the run, whose files must not be overwritten.

    Returns
    -------
    {"table", "csv", "json", "figure"}
        The format.

    Raises
    ------
    QuestionError
        If the suffix is unknown or contradicts the format, a figure has no file, the folder of the
        file does not exist, or the file exists in the folder of the run.
    """
    if out is None:
        if form == "figure":
            raise QuestionError(
                "A figure needs a file. Give --out words.svg or --out words.png.",
                setting="out",
                value=form,
            )
        return form or "table"
    if out.suffix not in FORMATS:
        raise QuestionError(
            f"--out {out}: the suffix {out.suffix!r} is unknown. Use {', '.join(FORMATS)}.",
            setting="out",
            value=out.suffix,
        )
    if form and form != FORMATS[out.suffix]:
        raise QuestionError(
            f"--out {out} has the format {FORMATS[out.suffix]}, but --format is {form}. Leave one "
            "of the options out.",
            setting="format",
            value=form,
        )
    if not out.parent.is_dir():
        raise QuestionError(
            f"--out {out}: the folder {out.parent} does not exist.", setting="out", file=out.parent
        )
    if out.exists() and run.resolve() in out.resolve().parents:
        raise QuestionError(
            f"--out {out} exists in the folder of the run. Choose another name, or delete it.",
            setting="out",
            file=out,
        )
    return FORMATS[out.suffix]


def write_result(result: pd.DataFrame, form: str, out: Path) -> list[str]:
    """Write a result to a file, atomically.

    Parameters
    ----------
    result : DataFrame
        The result of a question.
    form : {"table", "csv", "json", "figure"}
        Format, from ``choose_format``.
    out : Path
        The file.

    Returns
    -------
    list of str
        Notes for the reader.
    """
    notes: list[str] = []
    if form == "figure":
        from depmm.interpret.query.dot_chart import draw_dot_chart  # Matplotlib is slow to import

        content, notes = draw_dot_chart(result, out.suffix)
    else:
        content = format_result(result, form).encode()
    write_bytes(out, content)
    return notes


def format_result(result: pd.DataFrame, form: str) -> str:
    """Format a result as text.

    Values are rounded in the table only. In CSV, text that a spreadsheet would run as a formula
    begins with an apostrophe (:func:`depmm.files.csv_text.to_csv`). Missing values are NaN in the
    table, empty in CSV and null in JSON, in which infinite values are null, too.

    Parameters
    ----------
    result : DataFrame
        The result of a question.
    form : {"table", "csv", "json"}
        Table with its title, CSV, or JSON (a list of rows).

    Returns
    -------
    str
        The text, which ends with a line break.
    """
    if form == "csv":
        return to_csv(result)
    if form == "json":
        return (result.to_json(orient="records", indent=1, force_ascii=False) or "") + "\n"
    title = result.attrs.get("title")
    with pd.option_context("display.unicode.east_asian_width", True):
        table = result.to_string(
            index=False, float_format=lambda value: f"{value:.3f}", max_colwidth=60
        )
    return f"{title}\n{table}\n" if title else f"{table}\n"
