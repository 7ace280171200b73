"""Small feature files and streams for tests of their readers."""

from pathlib import Path

import numpy as np

from depmm.config import StreamConfig
from depmm.media.features.feature_files import read_features
from depmm.media.warnings import MediaWarning


def stream_of(**changes) -> StreamConfig:
    """Describe a stream of 10 Hz."""
    return StreamConfig(**{"name": "x", "rate_hz": 10.0} | changes)


def read_all(
    path: Path, stream: StreamConfig
) -> tuple[np.ndarray, np.ndarray, dict[str, MediaWarning]]:
    """Read a file; return times, values and the warnings by name."""
    warnings: dict[str, MediaWarning] = {}

    def warn(warning: MediaWarning) -> None:
        assert warning.name not in warnings  # at most once per file
        warnings[warning.name] = warning

    times, values = zip(*read_features(path, stream, warn=warn), strict=True)
    return np.concatenate(times), np.concatenate(values), warnings


def write_table(path: Path, columns: dict[str, np.ndarray | list], sep: str = ", ") -> Path:
    """Write columns as delimited text with a header, as OpenFace does."""
    rows = [
        sep.join(f"{cell:.4f}" if isinstance(cell, float) else str(cell) for cell in row)
        for row in zip(*columns.values(), strict=True)
    ]
    path.write_text("\n".join([sep.join(columns), *rows]) + "\n")
    return path
