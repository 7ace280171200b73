"""Extract the feature streams of a session: select the rows of each step by their times."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from depmm.config import StreamConfig
from depmm.corpora.manifest_rules import parse_reader
from depmm.media.errors import MediaError, as_media_error
from depmm.media.feature_files import feature_names, read_features
from depmm.media.warnings import Warn
from depmm.store.failures import ReadingWarnings
from depmm.store.session_file import SessionWriter

Window = tuple[float, float]
"""Start and end in seconds from the start of the recording."""


def extract_streams(
    root: Path,
    rows: Sequence[dict[str, Any]],
    windows: list[Window],
    writer: SessionWriter,
    allow_pickle: bool,
    warnings: ReadingWarnings,
) -> tuple[dict[str, dict[str, Any]], list[tuple[str, str, MediaError]]]:
    """Store the rows of each step of each stream of a session; each file is read once.

    Parameters
    ----------
    root : Path
        Folder of the corpus.
    rows : sequence of dict
        Rows of ``features.parquet``: step, name, path, reader.
    windows : list of tuple of float
        Start and end of each step, seconds.
    writer : SessionWriter
        Receives the tensors ``feature.<name>.*``.
    allow_pickle : bool
        Whether pickled ``.npy`` files are read, which runs code from the file.
    warnings : ReadingWarnings
        Receives the warnings about the files.

    Returns
    -------
    streams : dict of str to dict
        ``rate_hz``, ``columns`` and ``n_features`` of each stream that could be read.
    failures : list of tuple
        Name of the stream, file and error of what could not be read.
    """
    streams: dict[str, dict[str, Any]] = {}
    failures: list[tuple[str, str, MediaError]] = []
    for name in sorted({row["name"] for row in rows}):
        stream_rows = [row for row in rows if row["name"] == name]
        reader = parse_reader(stream_rows[0]["reader"])
        ranges = np.zeros((len(windows), 2), np.int64)
        summary: dict[str, Any] = {}
        for path in dict.fromkeys(row["path"] for row in stream_rows):
            steps = [row["step"] for row in stream_rows if row["path"] == path]
            before = writer.mark()
            try:
                summary, empty = _extract_file(
                    root, path, name, reader, steps, windows, writer, ranges, summary, allow_pickle,
                    warnings.of(name, path),
                )  # fmt: skip
                failures += [(name, path, error) for error in empty]
            except OSError:  # for example a full disk, which is not a fault of the file
                raise
            except Exception as error:  # discard everything from a damaged file
                writer.rewind(before)
                ranges[steps] = 0
                failures.append((name, path, as_media_error(path, error)))
        if (ranges[:, 1] > ranges[:, 0]).any():
            writer.append(f"feature.{name}.step_rows", ranges)
            streams[name] = summary
    return streams, failures


def _extract_file(
    root: Path,
    path: str,
    name: str,
    reader: StreamConfig,
    steps: list[int],
    windows: list[Window],
    writer: SessionWriter,
    ranges: np.ndarray,
    earlier: dict[str, Any],
    allow_pickle: bool,
    warn: Warn,
) -> tuple[dict[str, Any], list[MediaError]]:
    """Store the steps of one file; return the summary of the stream and the steps without rows."""
    summary = {"rate_hz": reader.rate_hz, "columns": feature_names(root / path, reader)}
    empty = []
    blocks = read_features(root / path, reader, allow_pickle, warn=warn)
    for position, times, values in cut_rows(blocks, [windows[step] for step in steps]):
        summary["n_features"] = values.shape[1]
        if earlier and earlier != summary:
            raise MediaError(
                path,
                f"its columns differ from those of {name} in an earlier file of the session.",
                "Export both files with the same columns.",
            )
        step = steps[position]
        if not len(values):
            empty.append(
                MediaError(
                    path,
                    f"step {step} starts at {windows[step][0]:.3f} s, after the end of the {name} "
                    "features; it is masked.",
                    "Check the step times or the file.",
                    value=step,
                )
            )
            continue
        writer.append(f"feature.{name}.time_s", times)
        end = writer.append(f"feature.{name}.values", values)
        ranges[step] = end - len(values), end
    return summary, empty


def cut_rows(
    blocks: Iterator[tuple[np.ndarray, np.ndarray]], windows: list[Window]
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Select the rows of windows from blocks in order of time.

    Parameters
    ----------
    blocks : iterator of tuple of ndarray, shapes (T,) and (T, F)
        Times in seconds, and rows.
    windows : list of tuple of float
        Start and end in seconds. A row belongs to a window if ``start <= time < end``. Only rows of
        windows that have not ended are in memory.

    Yields
    ------
    index : int
        Index of the window; every window once.
    times : ndarray, shape (N,)
        Seconds.
    rows : ndarray, shape (N, F)
        The rows of the window.
    """
    open_windows: dict[int, list[tuple[np.ndarray, np.ndarray]]]
    open_windows = {index: [] for index in range(len(windows))}
    values = np.zeros((0, 0), np.float32)
    for times, values in blocks:
        for index in list(open_windows):
            first, last = np.searchsorted(times, windows[index])
            if first < last:
                open_windows[index].append((times[first:last], values[first:last]))
            if windows[index][1] <= times[-1]:
                yield index, *_concatenate(open_windows.pop(index), values)
    for index, parts in open_windows.items():  # the file ended inside these windows
        yield index, *_concatenate(parts, values)


def _concatenate(
    parts: list[tuple[np.ndarray, np.ndarray]], template: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    if not parts:
        return np.zeros(0), template[:0]
    times, rows = zip(*parts, strict=True)
    return np.concatenate(times), np.concatenate(rows)
