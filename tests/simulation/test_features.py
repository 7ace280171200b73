"""Simulated feature files, read back with the reader of their stream."""

from pathlib import Path

import numpy as np
import pytest

from depmm.config import StreamConfig
from depmm.corpora.spec_schema import Simulation
from depmm.media.features.feature_files import read_features
from depmm.simulation.features import N_FEATURES, SHIFT_PER_UNIT, write_features

ARRAY = StreamConfig(name="embedding", format="npy", rate_hz=50.0)
TABLE = StreamConfig.model_validate(
    {
        "name": "units",
        "format": "table",
        "rate_hz": 50.0,
        "valid": [{"column": "confidence", "at_least": 0.5}],
    }
)


def written(path: Path, stream: StreamConfig, bluntness: float, **options: bool) -> np.ndarray:
    track = np.full(500, bluntness)
    write_features(path, stream, Simulation(), track, np.random.default_rng(0), **options)
    return np.concatenate([values for _, values in read_features(path, stream)])


@pytest.mark.parametrize("stream", [ARRAY, TABLE], ids=["array", "table"])
def test_the_mean_falls_with_bluntness(stream: StreamConfig, tmp_path: Path) -> None:
    suffix = "npy" if stream is ARRAY else "csv"
    low, high = (written(tmp_path / f"{b}.{suffix}", stream, b) for b in (0.0, 2.0))
    assert low.shape == (500, N_FEATURES + len(stream.valid))
    low, high = low[:, -N_FEATURES:], high[:, -N_FEATURES:]  # the validity column comes first
    assert np.nanmean(high) - np.nanmean(low) == pytest.approx(2 * SHIFT_PER_UNIT, abs=0.01)


def test_the_rows_that_a_stream_selects_are_simulated(tmp_path: Path) -> None:
    changes = {"select": {"column": "face", "value": "A"}, "time": "ms", "decimal": ","}
    changes |= {"sep": ";", "units_per_second": 1000.0}
    stream = StreamConfig.model_validate(TABLE.model_dump() | changes)
    assert len(written(tmp_path / "x.csv", stream, 0.0)) == 500
    assert "A" in (tmp_path / "x.csv").read_text()


def test_failed_tracking_makes_all_rows_invalid(tmp_path: Path) -> None:
    assert 0 < np.isnan(written(tmp_path / "a.csv", TABLE, 0.0)).all(axis=1).mean() < 0.15
    assert np.isnan(written(tmp_path / "b.csv", TABLE, 0.0, tracking_failed=True)).all()
    assert not written(tmp_path / "c.npy", ARRAY, 0.0, tracking_failed=True).any()
