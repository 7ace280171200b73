"""Extract the feature streams of a session: select the rows of each step by their times."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from depmm.config import StreamConfig
from depmm.corpora.manifest_rules import parse_reader
from depmm.media.errors import MediaError, as_media_error
from depmm.media.features.feature_files import feature_names, read_features
from depmm.media.warnings import Warn
from depmm.store.errors import StoreWriteError
from depmm.store.failures import ReadingWarnings
from depmm.store.session_writer import SessionWriter
from depmm.store.step_coverage import Window, masked_steps
from depmm.store.stream_coverage import FileSpan, warn_about_length


@dataclass
class _Extraction:
    """What the files of a session have in common."""

    root: Path
    windows: list[Window]
    writer: SessionWriter
    allow_pickle: bool
    warnings: ReadingWarnings
    spans: list[tuple[FileSpan, Warn]] = field(default_factory=list)


def extract_streams(
    root: Path,
    rows: Sequence[dict[str, Any]],
    windows: list[Window],
    recorded_until: np.ndarray,
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
    recorded_until : ndarray, shape (L,)
        End of the decoded sound or video of each step in seconds; NaN without any.
    writer : SessionWriter
        Receives the tensors ``feature.<name>.*``.
    allow_pickle : bool
        Whether pickled ``.npy`` files are read, which runs code from the file.
    warnings : ReadingWarnings
        Receives the warnings about the files.

    Returns
    -------
    streams : dict of str to dict
        ``rate_hz``, ``columns``, ``n_features`` and ``file``, the first one, of each stream that
        could be read.
    failures : list of tuple
        Name of the stream, file and error of what could not be read.
    """
    job = _Extraction(root, windows, writer, allow_pickle, warnings)
    streams: dict[str, dict[str, Any]] = {}
    failures: list[tuple[str, str, MediaError]] = []
    for name in sorted({row["name"] for row in rows}):
        stream_rows = [row for row in rows if row["name"] == name]
        reader = parse_reader(stream_rows[0]["reader"])
        ranges = np.zeros((len(windows), 2), np.int64)
        summary: dict[str, Any] = {}
        start = writer.mark()
        for path in dict.fromkeys(row["path"] for row in stream_rows):
            steps = [row["step"] for row in stream_rows if row["path"] == path]
            before = writer.mark()
            try:
                read = _extract_file(job, path, name, reader, steps, ranges, summary)
                summary = summary or read
                span = job.spans[-1][0]
                empty = [step for step in steps if ranges[step, 0] == ranges[step, 1]]
                error = masked_steps(
                    path,
                    steps,
                    [windows[step] for step in steps],
                    empty,
                    f"{name} features",
                    span.end_s - span.period_s,
                    span.start_s,
                )
                if error is not None:
                    failures.append((name, path, error))
            except StoreWriteError:  # for example a full disk, which is not a fault of the file
                raise
            except Exception as error:  # discard everything from a damaged file
                writer.rewind(before)
                ranges[steps] = 0
                failures.append((name, path, as_media_error(path, error)))
        if (ranges[:, 1] > ranges[:, 0]).any():
            writer.append(f"feature.{name}.step_rows", ranges)
            streams[name] = summary
        else:
            writer.rewind(start)
    for span, warn in job.spans:
        warn_about_length(span, windows, recorded_until, [other for other, _ in job.spans], warn)
    return streams, failures


def _extract_file(
    job: _Extraction,
    path: str,
    name: str,
    reader: StreamConfig,
    steps: list[int],
    ranges: np.ndarray,
    earlier: dict[str, Any],
) -> dict[str, Any]:
    """Store the steps of one file; return the summary of the stream."""
    file, warn = job.root / path, job.warnings.of(name, path)
    summary = {"rate_hz": reader.rate_hz, "columns": feature_names(file, reader), "file": path}
    span = FileSpan(name, steps, 1 / reader.rate_hz)
    blocks = span.observe(read_features(file, reader, job.allow_pickle, warn=warn))
    for position, times, values in cut_rows(blocks, [job.windows[step] for step in steps]):
        step = steps[position]
        summary["n_features"] = span.n_features
        if earlier and any(earlier[key] != summary[key] for key in ("n_features", "columns")):
            raise MediaError(
                path,
                f"has {span.n_features} columns, which differ from the {earlier['n_features']} of "
                f"{earlier['file']}, an earlier file of the session.",
                "Export both files with the same columns.",
                value=span.n_features,
            )
        job.writer.append(f"feature.{name}.time_s", times)
        end = job.writer.append(f"feature.{name}.values", values)
        if ranges[step, 0] == ranges[step, 1]:
            ranges[step, 0] = end - len(values)
        ranges[step, 1] = end
    summary["n_features"] = span.n_features
    job.spans.append((span, warn))
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
