"""Settings of feature files and of times: rates and units by comparison with the recordings."""

import itertools
import math
import re
import statistics
from pathlib import Path
from typing import Any

from depmm.corpora.patterns import NUMBER
from depmm.new_spec.contents import probe_content
from depmm.new_spec.files import FileKind
from depmm.new_spec.spans import Layout
from depmm.new_spec.words import END, FACE_COLUMNS, NOT_FEATURES, START, TIME, TRACKS, track_of

_PROBED = 3  # recordings whose duration is measured
# usual frame rates, in Hz
_FRAME_RATES = (0.2, 0.5, 1, 2, 5, 10, 12.5, 15, 20, 24, 25, 29.97, 30, 50, 60, 100, 200)
_SAMPLE_RATES = (16000, 22050, 44100, 48000)  # in Hz
_HOPS = (128, 160, 256, 320, 512, 1024)  # in samples
_MAX_DEVIATION = 0.002  # of a measured rate from a usual one; 1 s in 8 minutes
_MAX_SHORT_DEVIATION = 0.03  # the same, of a few rows


def stream_settings(
    kind: FileKind, primary: FileKind, root: Path, taken: set[str]
) -> tuple[str, dict[str, Any], str]:
    """Describe the features of a kind of files.

    Parameters
    ----------
    kind : FileKind
        Files with features.
    primary : FileKind
        The main recordings, for rates.
    root : Path
        The folder.
    taken : set of str
        Names of other streams; the new name is added.

    Returns
    -------
    tuple of (str, dict, str)
        Modality, keys under ``features:``, and a comment.
    """
    content, words = kind.content, kind.words
    modality = track_of(words)
    notes = []
    if modality is None:
        face = sum(bool(FACE_COLUMNS.match(name)) for name in content.columns)
        modality = "face" if face >= 3 else "audio"
        notes.append(f"GUESS: features of {modality}; another modality is possible")
    settings: dict[str, Any] = {"name": _stream_name(words, taken)}
    rate, how = _rate(kind, primary, root)
    settings["rate_hz"] = rate
    notes.append(how)
    settings |= content.settings
    if content.columns:
        time = next((name for name in content.columns if TIME.match(name)), None)
        if time is not None:
            settings["time"] = time
        drop = [name for name in content.columns if name.lower() in NOT_FEATURES]
        if drop:
            settings["drop"] = drop
        if "success" in content.columns:
            settings["valid"] = [{"column": "success", "at_least": 1}]
    return modality, settings, "; ".join(notes)


def _stream_name(words: list[str], taken: set[str]) -> str:
    cleaned = [re.sub(r"[^a-z0-9]", "", word) for word in words]
    known = [word for word in cleaned if word in TRACKS]
    name = (cleaned[-1] if cleaned else "") or "features"
    if name not in TRACKS and known:
        name = f"{known[-1]}_{name}" if len(name) > 1 else known[-1]
    if not re.match(r"[a-z]", name):
        name = f"f_{name}"
    base, number = name, 2
    while name in taken:
        name, number = f"{base}_{number}", number + 1
    taken.add(name)
    return name


def _rate(kind: FileKind, primary: FileKind, root: Path) -> tuple[float, str]:
    """Find the rows per second: by the time column, or by the length of a recording."""
    content = kind.content
    time = next((cells for name, cells in content.columns.items() if TIME.match(name)), None)
    if time is not None and len(numbers := _numbers(time)) > 2:
        steps = [b - a for a, b in itertools.pairwise(numbers) if b > a]
        if steps:
            median = statistics.median(steps)
            # times are rounded, and may have gaps
            regular = [step for step in steps if 0.5 * median <= step <= 1.5 * median]
            rate, how = _tidy(1 / statistics.fmean(regular), 0.5 / len(regular))
            return rate, f"rate by the time column ({how})"
    if primary.content.kind == "recording":
        rates, counts = [], []
        for path, recording in _pairs(kind.layout, primary.layout):
            seconds = _duration(root / recording)
            rows = _count_rows(root / path)
            if seconds and rows:
                rates.append(rows / seconds)
                counts.append(rows)
        if rates:
            # one window more or less at the ends
            rate, how = _tidy(statistics.median(rates), 2 / statistics.median(counts))
            return rate, f"GUESS: rate by the length of the recordings ({how})"
    return 1.0, "GUESS: one row per second; state the rate of the rows"


def _count_rows(path: Path) -> int:
    """Count all rows of a file of features, of which only the first ones are probed."""
    found = probe_content(path)
    if found.shape:
        return found.shape[int(found.settings.get("axis", 0))]
    if not found.columns or path.suffix.lower() == ".xlsx":
        return found.n_rows
    encoding = found.settings.get("encoding", "utf-8")
    with path.open(encoding=encoding, errors="replace") as file:
        n_lines = sum(not line.isspace() for line in file)
    return n_lines - bool(found.settings.get("header", True))


def _tidy(measured: float, error: float) -> tuple[float, str]:
    """Replace a measured rate by the nearest usual one within its error, and describe it.

    Parameters
    ----------
    measured : float
        Rows per second.
    error : float
        Relative error of the measurement.

    Returns
    -------
    rate : float
        Rows per second: usual, or measured with 6 digits.
    how : str
        Where it comes from.
    """
    usual = {
        sample_rate / hop: f"{sample_rate} Hz with a hop of {hop} samples"
        for sample_rate, hop in itertools.product(_SAMPLE_RATES, _HOPS)
    } | dict.fromkeys(_FRAME_RATES, "")
    nearest = min(usual, key=lambda rate: abs(math.log(rate / measured)))
    seen = f"{measured:.6g} rows per second measured"
    if abs(nearest / measured - 1) > max(_MAX_DEVIATION, min(error, _MAX_SHORT_DEVIATION)):
        return float(f"{measured:.6g}"), seen
    return float(f"{nearest:.6g}"), f"{usual[nearest]}; {seen}" if usual[nearest] else seen


def _numbers(cells: list[str]) -> list[float]:
    return [float(cell) for cell in cells if NUMBER.fullmatch(cell)]


def _pairs(layout: Layout, primary: Layout) -> list[tuple[str, str]]:
    """Pair some files with recordings of the same subject and visit."""
    names = [n for n in ("subject", "visit", "date") if n in set(layout.fields.values())]
    names = [n for n in names if n in set(primary.fields.values())]
    if not names:
        return []

    def keys(which: Layout) -> list[tuple[str, ...]]:
        spans = [next(s for s, n in which.fields.items() if n == name) for name in names]
        return list(zip(*(which.values(span) for span in spans), strict=True))

    recordings = dict(zip(keys(primary), primary.shape.sample, strict=True))
    pairs = [
        (path, recordings[key])
        for path, key in zip(layout.shape.sample, keys(layout), strict=True)
        if key in recordings
    ]
    return pairs[:: max(1, len(pairs) // _PROBED)][:_PROBED]


def _duration(path: Path) -> float | None:
    from depmm.media.duration import duration_s
    from depmm.media.errors import MediaError

    try:
        return duration_s(path)
    except (MediaError, ValueError):
        return None


def step_times(kind: FileKind, primary: FileKind, root: Path) -> tuple[dict[str, str], Any, str]:
    """Find the columns of start and end of steps, and their unit.

    Parameters
    ----------
    kind : FileKind
        A table of steps.
    primary : FileKind
        The main recordings, whose lengths are compared with the times.
    root : Path
        The folder.

    Returns
    -------
    tuple of (dict, str or float, str)
        ``start`` and ``end`` -> column; ``times`` of the spec; and a comment.
    """
    columns = {name: cells for name, cells in kind.columns.items() if name[0] != "@"}
    if kind.content.settings.get("header", True):
        start = next((name for name in columns if START.match(name)), next(iter(columns)))
        end = next((name for name in columns if END.match(name)), None)
    else:
        start, end = list(columns)[:2]
    fields = {"start": start} | ({"end": end} if end else {})
    if any(":" in cell for cell in columns[start]):
        return fields, "clock", "clock times"
    last = max(_numbers(columns[end or start]), default=0.0)
    if re.search(r"ms$|millis", start, re.I):
        return fields, "milliseconds", "milliseconds by the name of the column"
    lengths = []
    if primary.content.kind == "recording":
        sample = primary.layout.shape.sample
        for path in sample[:: max(1, len(sample) // 8)][:8]:
            if seconds := _duration(root / path):
                lengths.append(seconds)
    if not lengths or not last:
        return fields, "seconds", "GUESS: seconds; write milliseconds, clock or units per second"
    longest = max(lengths)
    ratio = last / longest
    seen = f"the last time is {last:g}, the longest of {len(lengths)} recordings {longest:.4g} s"
    if ratio < 3:
        return fields, "seconds", f"seconds: {seen}"
    if 300 < ratio < 3000:
        return fields, "milliseconds", f"milliseconds: {seen}"
    usual = min((10.0, 25.0, 30.0, 100.0, 16000.0, 25000.0, 44100.0, 48000.0),
                key=lambda unit: abs(math.log(unit / ratio)))  # fmt: skip
    return fields, usual, f"GUESS: {usual:g} units per second; {seen}"
