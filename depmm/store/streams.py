"""Extract the feature streams of a session: select the rows of each step by their times."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from depmm.config import StreamConfig
from depmm.corpora.manifest_rules import parse_reader
from depmm.media.errors import MediaError
from depmm.media.features.feature_files import feature_names, read_features
from depmm.media.warnings import Warn
from depmm.store.session_reading import SessionReading
from depmm.store.step_coverage import Window, masked_steps
from depmm.store.stream_coverage import FileSpan, warn_about_length


def extract_streams(
    reading: SessionReading, recorded_until: np.ndarray
) -> dict[str, dict[str, Any]]:
    """Store the rows of each step of each stream of a session; each file is read once.

    Parameters
    ----------
    reading : SessionReading
        The session; its writer receives the tensors ``feature.<name>.*``.
    recorded_until : ndarray, shape (L,)
        End of the decoded sound or video of each step in seconds; NaN without any.

    Returns
    -------
    dict of str to dict
        ``rate_hz``, ``columns``, ``n_features`` and ``file``, the first one, of each stream that
        could be read.
    """
    writer, windows = reading.writer, reading.job.windows()
    streams: dict[str, dict[str, Any]] = {}
    spans: list[tuple[FileSpan, Warn]] = []
    for name in sorted({row["name"] for row in reading.job.streams}):
        rows = [row for row in reading.job.streams if row["name"] == name]
        reader = parse_reader(rows[0]["reader"])
        ranges = np.zeros((len(windows), 2), np.int64)
        summary: dict[str, Any] = {}
        start = writer.mark()
        for path in dict.fromkeys(row["path"] for row in rows):
            span = FileSpan(
                name, [row["step"] for row in rows if row["path"] == path], 1 / reader.rate_hz
            )
            with reading.file(name, path, span.steps, ranges) as warn:
                read = _extract_file(reading, path, reader, span, ranges, summary, warn)
                summary = summary or read
                spans.append((span, warn))
        if (ranges[:, 1] > ranges[:, 0]).any():
            writer.append(f"feature.{name}.step_rows", ranges)
            streams[name] = summary
        else:
            writer.rewind(start)
    for span, warn in spans:
        warn_about_length(span, windows, recorded_until, [other for other, _ in spans], warn)
    return streams


def _extract_file(
    reading: SessionReading,
    path: str,
    reader: StreamConfig,
    span: FileSpan,
    ranges: np.ndarray,
    earlier: dict[str, Any],
    warn: Warn,
) -> dict[str, Any]:
    """Store the steps of one file; return the summary of the stream."""
    job, writer, name = reading.job, reading.writer, span.name
    file, windows = job.root / path, job.windows(span.steps)
    summary = {"rate_hz": reader.rate_hz, "columns": feature_names(file, reader), "file": path}
    blocks = span.observe(read_features(file, reader, job.allow_pickle, warn=warn))
    for position, times, values in cut_rows(blocks, windows):
        step = span.steps[position]
        summary["n_features"] = span.n_features
        if earlier and any(earlier[key] != summary[key] for key in ("n_features", "columns")):
            raise MediaError(
                path,
                f"has {span.n_features} columns, which differ from the {earlier['n_features']} of "
                f"{earlier['file']}, an earlier file of the session.",
                "Export both files with the same columns.",
                value=span.n_features,
            )
        writer.append(f"feature.{name}.time_s", times)
        end = writer.append(f"feature.{name}.values", values)
        if ranges[step, 0] == ranges[step, 1]:
            ranges[step, 0] = end - len(values)
        ranges[step, 1] = end
    summary["n_features"] = span.n_features
    empty = [step for step in span.steps if ranges[step, 0] == ranges[step, 1]]
    last_s = span.end_s - span.period_s
    if error := masked_steps(
        path, span.steps, windows, empty, f"{name} features", last_s, span.start_s
    ):
        reading.fail(name, path, error)
    return summary


def cut_rows(
    blocks: Iterator[tuple[np.ndarray, np.ndarray]], windows: list[Window]
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Select the rows of windows from blocks in order of time.

    The rows of a window come in one or more parts, one window after the other, so that only rows of
    windows that overlap are in memory.

    Parameters
    ----------
    blocks : iterator of tuple of ndarray, shapes (T,) and (T, F)
        Times in seconds, and rows.
    windows : list of tuple of float
        Start and end in seconds. A row belongs to a window if ``start <= time < end``.

    Yields
    ------
    index : int
        Index of the window, in the order of their starts.
    times : ndarray, shape (N,)
        Seconds, at least one.
    rows : ndarray, shape (N, F)
        Rows of the window, those after the rows of its part before.
    """
    order = sorted(range(len(windows)), key=lambda index: windows[index][0])
    waiting: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {
        rank: [] for rank in range(len(order))
    }
    current = 0  # rank of the first window that has not ended
    for times, values in blocks:
        for rank in range(current, len(order)):
            index = order[rank]
            if windows[index][0] > times[-1]:
                break
            first, last = np.searchsorted(times, windows[index])
            if rank > current:
                if first < last:
                    waiting[rank].append((times[first:last].copy(), values[first:last].copy()))
                continue
            for part in waiting.pop(rank, ()):
                yield index, *part
            if first < last:
                yield index, times[first:last], values[first:last]
            if windows[index][1] <= times[-1]:
                current += 1
    for rank in range(current, len(order)):
        for part in waiting.pop(rank, ()):
            yield order[rank], *part
