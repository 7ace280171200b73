"""Compare the columns of a feature stream between the sessions of a store."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from depmm.store.failures import SessionKey


@dataclass(frozen=True)
class DifferentColumns:
    """A session whose stream has other columns than most sessions of its corpus.

    Attributes
    ----------
    key : tuple of str
        Corpus, subject and session id.
    stream : str
        Name of the stream.
    file : str
        Its file in the session.
    problem : str
        How the columns differ, a predicate after the file name.
    remedy : str
        What to do about it.
    n_features : int
        Number of features of the session.
    """

    key: SessionKey
    stream: str
    file: str
    problem: str
    remedy: str
    n_features: int


def find_different_columns(
    summaries: Mapping[SessionKey, dict[str, Any]], across_corpora: bool = False
) -> list[DifferentColumns]:
    """Find the sessions whose streams have other columns than most sessions of their corpus.

    Parameters
    ----------
    summaries : mapping of tuple to dict
        Summary of the session file of each session.
    across_corpora : bool, default False
        Whether streams of one name must have the same columns in all corpora.

    Returns
    -------
    list of DifferentColumns
        In the order of the sessions; of equally frequent columns, those that come first are right.
    """
    layouts: dict[tuple[str | None, str], Counter[tuple[int, tuple[str, ...]]]] = {}
    for (corpus, _, _), summary in summaries.items():
        for name, stream in summary["streams"].items():
            place = (None if across_corpora else corpus, name)
            layouts.setdefault(place, Counter())[_layout(stream)] += 1
    different = []
    for key, summary in summaries.items():
        for name, stream in summary["streams"].items():
            counts = layouts[None if across_corpora else key[0], name]
            usual, n_usual = counts.most_common(1)[0]
            if _layout(stream) != usual:
                different.append(
                    DifferentColumns(
                        key,
                        name,
                        stream["file"],
                        f"{_describe(_layout(stream), usual)} in {n_usual} of {counts.total()} "
                        "sessions.",
                        "Export it like the other sessions, or give it a stream of its own in the "
                        "data spec.",
                        stream["n_features"],
                    )
                )
    return different


def _layout(stream: Mapping[str, Any]) -> tuple[int, tuple[str, ...]]:
    return stream["n_features"], tuple(stream["columns"])


def _describe(layout: tuple[int, tuple[str, ...]], usual: tuple[int, tuple[str, ...]]) -> str:
    if layout[0] != usual[0]:
        missing = [name for name in usual[1] if name not in layout[1]]
        further = [name for name in layout[1] if name not in usual[1]]
        names = f"without {missing[0]!r}" if missing else f"with {further[0]!r}" if further else ""
        return f"has {layout[0]} features {names}".strip() + f", unlike {usual[0]}"
    position = next(i for i, (a, b) in enumerate(zip(layout[1], usual[1], strict=True)) if a != b)
    return (
        f"has the feature {layout[1][position]!r} in column {position + 1}, unlike "
        f"{usual[1][position]!r}"
    )
