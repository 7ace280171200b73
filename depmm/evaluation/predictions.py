"""Reading of predictions tables, and the derived columns that metrics need."""

import csv
import io
from pathlib import Path

import pandas as pd

from depmm.corpora.instruments import find_scale
from depmm.corpora.tables.csv_files import read_csv
from depmm.evaluation.prediction_checks import (
    TARGET_COLUMNS,
    PredictionTableError,
    check_predictions,
    check_values,
)
from depmm.evaluation.stats.severity_metrics import severity_bands
from depmm.evaluation.thresholds import Threshold, apply_threshold
from depmm.evaluation.units import Unit, average_sessions
from depmm.files.checksums import read_bytes
from depmm.files.damage import DamagedFileError
from depmm.schemas.manifest import SESSION_KEY

NULLS = ["", "NA", "NaN", "nan", "null", "None"]  # missing values in a .csv, except of ids


def read_predictions(path: Path) -> pd.DataFrame:
    """Read a predictions table; ids of a .csv are read as text (01 differs from 1).

    Parameters
    ----------
    path : Path
        A .csv file (UTF-8, commas, decimal points) or a .parquet file.

    Returns
    -------
    DataFrame
        The rows, not checked.

    Raises
    ------
    PredictionTableError
        If the file has another suffix, is empty or cannot be read, a quotation mark is not closed,
        a row has too many or too few cells, or a column appears twice.
    DamagedFileError
        If the file does not match its checksum.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise PredictionTableError(
            f"{path}: the file is neither .csv nor .parquet. Save the table as one of the two.",
            file=path,
        )
    try:
        content = read_bytes(path)
        if path.suffix == ".parquet":
            return pd.read_parquet(io.BytesIO(content))
    except DamagedFileError:
        raise
    # a damaged Parquet file can raise nearly anything
    except Exception as error:
        if path.is_file() and not path.stat().st_size:
            raise PredictionTableError(
                f"{path}: the file is empty. Write a header and one row per session.", file=path
            ) from None
        raise PredictionTableError(
            f"{path}: the file cannot be read as {path.suffix[1:]} ({error}). Write it again.",
            file=path,
        ) from error
    return _read_csv(path)


def _read_csv(path: Path) -> pd.DataFrame:
    """Read a CSV file; pandas converts the columns after marks and widths have been checked."""
    names, rows = read_csv(path, ["subject", "session"], PredictionTableError)
    if duplicates := sorted({name for name in names if name and names.count(name) > 1}):
        raise PredictionTableError(
            f"{path}: column {duplicates[0]!r} occurs twice. Keep one of them.",
            file=path,
            column=duplicates[0],
        )
    text = dict.fromkeys([*SESSION_KEY, "split"], "str")
    # NA may be the id of a subject: only an empty field is a missing id
    nulls = {name: [""] if name in text else NULLS for name in names}
    lines = io.StringIO(newline="")
    csv.writer(lines).writerows([names, *(cells for _, cells in rows)])
    lines.seek(0)
    table: pd.DataFrame = pd.read_csv(lines, dtype=text, na_values=nulls, keep_default_na=False)
    return table


def prepare_predictions(
    predictions: pd.DataFrame, unit: Unit = "session", threshold: Threshold = "validation"
) -> tuple[pd.DataFrame, list[str]]:
    """Check a predictions table and add decisions and severity bands.

    Parameters
    ----------
    predictions : DataFrame
        See ``check_predictions``.
    unit : str, default "session"
        With ``"subject"`` or, for example, ``"subject,task"``, the sessions of each unit are
        averaged first (``average_sessions``); thresholds, decisions and bands are then those of
        the units.
    threshold : float or "validation", default "validation"
        Decision threshold (``apply_threshold``); not used without a binary target.

    Returns
    -------
    table : DataFrame
        The checked rows with ``y_pred``, ``threshold`` and ``threshold_source``
        (``apply_threshold``) for a binary target, and with ``band`` and ``band_pred`` (tested rows)
        for a severity target whose instrument has agreed severity levels.
    targets : list of str
        ``binary``, ``severity`` or both.

    Raises
    ------
    PredictionTableError
        If the table cannot be evaluated.
    """
    table = check_predictions(predictions)
    targets = find_targets(table)
    table = average_sessions(table, unit)
    if "binary" in targets:
        table = apply_threshold(table, threshold)
    instrument = get_instrument(table)
    if "severity" in targets and instrument is not None and find_scale(instrument).levels:
        tested = table.index[table["split"] == "test"]
        for band, score in (("band", "score"), ("band_pred", "score_pred")):
            bands = severity_bands(table.loc[tested, score], instrument)
            table[band] = pd.Series(bands, index=tested)
    return table, targets


def find_targets(table: pd.DataFrame) -> list[str]:
    """Find the targets with measured and predicted values of every tested row.

    Parameters
    ----------
    table : DataFrame
        Checked predictions.

    Returns
    -------
    list of str
        ``binary``, ``severity`` or both.

    Raises
    ------
    PredictionTableError
        If there is none, a tested row has no value, or the tested rows have several instruments.
    """
    is_test = table["split"] == "test"
    tested = table[is_test]
    targets = []
    for target, pair in TARGET_COLUMNS.items():
        if set(pair) <= set(table) and all(tested[name].notna().any() for name in pair):
            for name in pair:
                remedy = "Tested rows need a value: fill it, or leave the session out."
                check_values(table, is_test & table[name].isna(), name, remedy)
            targets.append(target)
    if not targets:
        raise PredictionTableError(
            "predictions: no tested row has a measured and a predicted value (columns: "
            f"{', '.join(map(str, table))}). Fill y_true and y_prob, or score and "
            "score_pred.",
            column="y_true",
        )
    instruments: list[str] = []
    if "severity" in targets and "instrument" in tested:
        instruments = sorted(tested["instrument"].dropna().astype(str).unique())
    if len(instruments) > 1:
        raise PredictionTableError(
            f"predictions: the tested rows have the instruments {', '.join(instruments)}. "
            "Errors in points cannot be pooled over instruments: evaluate them one by one.",
            column="instrument",
            value=instruments,
        )
    return targets


def get_instrument(table: pd.DataFrame) -> str | None:
    """Look up the instrument of the tested rows.

    Parameters
    ----------
    table : DataFrame
        Checked predictions.

    Returns
    -------
    str or None
        Name of the instrument; None if it is unknown or not unique.
    """
    if "instrument" not in table:
        return None
    names = table.loc[table["split"] == "test", "instrument"].dropna().unique()
    return str(names[0]) if len(names) == 1 else None
