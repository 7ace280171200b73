"""An answer as text, CSV, JSON or a figure."""

import os
from pathlib import Path

import pandas as pd

FORMATS = {".txt": "table", ".csv": "csv", ".json": "json", ".svg": "figure", ".png": "figure"}


def choose_format(form: str | None, out: Path | None, run: Path) -> str:
    """Choose table, csv, json or figure by what was asked for and the ending of the file.

    Raises
    ------
    ValueError : an unknown ending, one that contradicts the format, a figure without a file, a
        folder that is not there, a file of the run that is there already
    """
    if out is None:
        if form == "figure":
            raise ValueError("a figure needs a file: --out words.svg or words.png")
        return form or "table"
    if out.suffix not in FORMATS:
        raise ValueError(f"--out {out}: the ending is none of {', '.join(FORMATS)}")
    if form and form != FORMATS[out.suffix]:
        raise ValueError(
            f"--out {out} is a {FORMATS[out.suffix]}, --format says {form}: leave one out"
        )
    if not out.parent.is_dir():
        raise ValueError(f"--out {out}: {out.parent} is no folder")
    if out.exists() and run.resolve() in out.resolve().parents:
        raise ValueError(
            f"--out {out} is there, in the folder of the run: choose another name, or delete it"
        )
    return FORMATS[out.suffix]


def write_answer(answer: pd.DataFrame, form: str, out: Path) -> list[str]:
    """Write an answer to a file, whole or not at all; returns notes for the reader."""
    notes: list[str] = []
    if form == "figure":
        from depmm.interpret.query.dot_chart import as_figure  # Matplotlib is slow to load

        content, notes = as_figure(answer, out.suffix)
    else:
        content = as_text(answer, form).encode()
    part = out.with_suffix(out.suffix + ".part")
    part.write_bytes(content)
    os.replace(part, out)
    return notes


def as_text(answer: pd.DataFrame, form: str) -> str:
    """Write an answer as a ``table`` for a reader, as ``csv`` or as ``json`` (a list of rows).

    Numbers are rounded in the table only; what is undefined is NaN there, empty in CSV and null in
    JSON, which knows no infinity either.
    """
    if form == "csv":
        return answer.to_csv(index=False, lineterminator="\n")
    if form == "json":
        return (answer.to_json(orient="records", indent=1, force_ascii=False) or "") + "\n"
    title = answer.attrs.get("title")
    with pd.option_context("display.unicode.east_asian_width", True):
        table = answer.to_string(
            index=False, float_format=lambda value: f"{value:.3f}", max_colwidth=60
        )
    return f"{title}\n{table}\n" if title else f"{table}\n"
