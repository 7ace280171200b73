"""Streams of features of a session: the rows of each step, cut by their times."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from depmm.corpora.manifest_rules import parse_reader
from depmm.media.errors import MediaError
from depmm.media.feature_files import feature_names, read_features
from depmm.store.sessions import SessionWriter

Window = tuple[float, float]


def extract_streams(
    root: Path,
    rows: Sequence[dict[str, Any]],
    windows: list[Window],
    writer: SessionWriter,
    allow_pickle: bool,
) -> tuple[dict[str, dict[str, Any]], list[tuple[str, str, str]]]:
    """Keep the rows of each step of each stream of a session; each file is read once.

    Parameters
    ----------
    root : folder of the corpus
    rows : of ``features.parquet``: step, name, path, reader
    windows : start and end of each step in seconds
    writer : receives ``feature.<name>.*``
    allow_pickle : see ``read_features``

    Returns
    -------
    name -> rate, names and number of its columns, of the streams that could be read; and
    (name, path, reason) of what could not
    """
    streams: dict[str, dict[str, Any]] = {}
    failures: list[tuple[str, str, str]] = []
    for name in sorted({row["name"] for row in rows}):
        own = [row for row in rows if row["name"] == name]
        reader = parse_reader(own[0]["reader"])
        ranges = np.zeros((len(windows), 2), np.int64)
        summary: dict[str, Any] = {}
        for path in dict.fromkeys(row["path"] for row in own):
            numbers = [row["step"] for row in own if row["path"] == path]
            before = writer.mark()
            try:
                found = {"rate_hz": reader.rate_hz, "columns": feature_names(root / path, reader)}
                blocks = read_features(root / path, reader, allow_pickle)
                for place, times, values in cut_rows(blocks, [windows[n] for n in numbers]):
                    found["width"] = values.shape[1]
                    if (summary or found) != found:
                        raise MediaError(
                            path, f"its columns are not those of {name} in an earlier file of the "
                            "session. Export both alike."
                        )  # fmt: skip
                    if not len(values):
                        start = windows[numbers[place]][0]
                        reason = (
                            f"{path}: step {numbers[place]} starts at {start:.3f} s, after the end "
                            f"of the {name} features: it is masked."
                        )
                        failures.append((name, path, reason))
                        continue
                    writer.append(f"feature.{name}.time_s", times)
                    end = writer.append(f"feature.{name}.values", values)
                    ranges[numbers[place]] = end - len(values), end
                summary = found
            except MediaError as error:  # nothing of a damaged file is trusted
                writer.rewind(before)
                ranges[numbers] = 0
                failures.append((name, path, str(error)))
        if (ranges[:, 1] > ranges[:, 0]).any():
            writer.append(f"feature.{name}.step_rows", ranges)
            streams[name] = summary
    return streams, failures


def cut_rows(
    blocks: Iterator[tuple[np.ndarray, np.ndarray]], windows: list[Window]
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Cut the rows of windows out of blocks with rising times; only open windows are held.

    Parameters
    ----------
    blocks : seconds [T] and rows [T, F]
    windows : start and end in seconds; a row belongs to a window from its start on, before its end

    Yields
    ------
    number of the window, its times [N], its rows [N, F]; every window once
    """
    held: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {n: [] for n in range(len(windows))}
    values = np.zeros((0, 0), np.float32)
    for times, values in blocks:
        for place in list(held):
            first, last = np.searchsorted(times, windows[place])
            if first < last:
                held[place].append((times[first:last], values[first:last]))
            if windows[place][1] <= times[-1]:
                yield place, *_joined(held.pop(place), values)
    for place, parts in held.items():  # the file ended inside these
        yield place, *_joined(parts, values)


def _joined(
    parts: list[tuple[np.ndarray, np.ndarray]], like: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    if not parts:
        return np.zeros(0), like[:0]
    return np.concatenate([t for t, _ in parts]), np.concatenate([v for _, v in parts])
