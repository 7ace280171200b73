"""Planted bandwidth, noise and hum: a small version of statistics/recording_statistics.py."""

import pytest

from experiments.benchmarks.statistics.recording_statistics import load, recover


@pytest.mark.slow
def test_planted_bandwidth_noise_and_hum_are_recovered(real_data):
    folder = real_data / "ravdess_speech"
    if not folder.is_dir():
        pytest.skip(f"{folder} does not exist")
    found = recover(load(folder, n_per_speaker=1)[::2], seed=1)
    found = found.set_index(["planted", "how", "column"]).sort_index()
    for edge in (3400, 5000, 7000):
        for how in ("FIR, 511 taps", "elliptic, order 8", "soxr, to a lower rate and back"):
            row = found.loc[(f"low-pass {edge} Hz", how, "bandwidth_hz")]
            assert edge - 100 <= row["min"] <= row["max"] <= edge + 500
    for how in ("soxr HQ", "scipy resample_poly", "torchaudio, width 64"):
        row = found.loc[("8 kHz in 48 kHz", how, "bandwidth_hz")]
        assert 3900 <= row["min"] <= row["max"] <= 4800
    for level_db in (-60, -50, -40):
        row = found.xs(f"noise {level_db} dB").xs("noise_floor_db", level="column").iloc[0]
        assert row["min"] > level_db - 1
        assert row["max"] < level_db + 2
    for mains in (50, 60):
        medians = found.loc[f"hum {mains} Hz", "median"].sort_values().tolist()
        assert medians == [found.loc[(f"hum {mains} Hz", f"{k} dB", "hum_db"), "median"]
                           for k in (-40, -30, -20)]  # fmt: skip
        assert found.loc[("nothing", "", "hum_db"), "max"] < medians[0]
        assert 4 < medians[1] - medians[0] < 10.5
