"""Durations of sessions whose steps overlap."""

import numpy as np
import pandas as pd

from depmm.corpora.step_durations import count_restarts, covered_s, session_durations
from depmm.schemas.manifest import SESSION_KEY


def test_covered_time_by_brute_force():
    rng = np.random.default_rng(0)
    groups, starts = rng.integers(0, 3, 60), rng.integers(0, 100, 60)
    ends = starts + rng.integers(1, 20, 60)
    found = covered_s(groups, starts, ends)
    for group in range(3):
        own = groups == group
        pairs = zip(starts[own], ends[own], strict=True)
        seconds = set().union(*(range(start, end) for start, end in pairs))
        assert found[group] == len(seconds)
    assert covered_s([], [], []).sum() == 0


def test_files_that_are_not_known():
    assert count_restarts([0.0, 1.0, 0.0, 2.0, 2.0]).tolist() == [0, 0, 1, 1, 2]
    assert count_restarts([]).tolist() == []


def steps(*rows):
    names = [*SESSION_KEY, "start_s", "end_s", "audio", "face"]
    return pd.DataFrame([("c", *row) for row in rows], columns=names)


def test_sessions():
    table = steps(
        ("a", "1", 0.0, 4.0, "a.wav", None),
        ("a", "1", 2.0, 6.0, "a.wav", None),  # overlaps
        ("a", "1", 0.0, 3.0, "b.wav", None),  # another file
        ("b", "1", 0.0, 4.0, None, None),  # features
        ("b", "1", 2.0, 6.0, None, None),
        ("b", "1", 0.0, 3.0, None, None),
        ("c", "1", 0.0, 1.0, None, "c.mp4"),
        ("c", "1", 1.0, None, None, "c.mp4"),
    )
    durations = session_durations(table)
    assert durations[("c", "a", "1")] == 9
    assert durations[("c", "b", "1")] == 9
    assert np.isnan(durations[("c", "c", "1")])
    ends = table["end_s"].fillna(3.0)
    assert session_durations(table, ends)[("c", "c", "1")] == 3


def test_files_of_features_are_those_of_each_session():
    rng = np.random.default_rng(0)
    session, starts = rng.integers(0, 5, 60), rng.integers(0, 9, 60).astype(float)
    ends = starts + rng.integers(1, 4, 60)
    rows = zip(session.astype(str), starts, ends, strict=True)
    found = session_durations(
        steps(*(("a", one, start, end, None, None) for one, start, end in rows))
    )
    for one in range(5):
        own = session == one
        seconds = covered_s(count_restarts(starts[own]), starts[own], ends[own]).sum()
        assert found["c", "a", str(one)] == seconds
