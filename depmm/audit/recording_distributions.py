"""Distributions of the statistics of recordings, by corpus."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from depmm.schemas.recordings import RECORDINGS


@dataclass(frozen=True)
class RecordingDistribution:
    """Distribution of one statistic over the recordings of a corpus.

    Attributes
    ----------
    corpus : str
        Corpus id.
    column : str
        Column of :data:`depmm.schemas.recordings.RECORDINGS`.
    unit : str or None
        Unit of the values.
    n_files, n_missing, n_distinct : int
        Number of recordings with and without a value, and of different values.
    minimum, median, maximum : float or None
        Of a column of numbers.
    most_frequent : str or None
        Of a column of text: the most frequent value.
    """

    corpus: str
    column: str
    unit: str | None
    n_files: int
    n_missing: int
    n_distinct: int
    minimum: float | None = None
    median: float | None = None
    maximum: float | None = None
    most_frequent: str | None = None


def describe_recordings(table: pd.DataFrame) -> Iterator[RecordingDistribution]:
    """Describe the statistics of recordings.

    Parameters
    ----------
    table : DataFrame
        ``table`` of :class:`depmm.audit.findings.RecordingStatistics`.

    Yields
    ------
    RecordingDistribution
        One per corpus and column that was measured for at least one of its recordings.
    """
    columns = {column.name: column for column in RECORDINGS.columns}
    for corpus, rows in table.groupby(level="corpus", sort=True):
        for name in rows:
            values = rows[name].dropna()
            if values.empty:
                continue
            column = columns[str(name)]
            is_text = column.dtype == "str"
            yield RecordingDistribution(
                str(corpus),
                column.name,
                column.unit,
                len(values),
                len(rows) - len(values),
                int(values.nunique()),
                minimum=None if is_text else float(values.min()),
                median=None if is_text else float(values.median()),
                maximum=None if is_text else float(values.max()),
                most_frequent=str(values.mode().iloc[0]) if is_text else None,
            )
