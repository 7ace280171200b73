"""Clusters of voices as pseudo-subjects."""

from pathlib import Path

import numpy as np
from simulated_voices import simulated_sessions

from depmm.audit.identity.pseudo_subjects import cluster_sessions, write_pseudo_subjects
from depmm.files.checksums import read_table


def test_sessions_of_one_voice_are_one_pseudo_subject(tmp_path: Path) -> None:
    people = [[k] for k in range(30)] + [[3], [3], [7]]
    voices = simulated_sessions(people)
    clusters = cluster_sessions(voices)
    assert len(set(clusters)) == 30
    assert clusters[30] == clusters[31] == clusters[3]
    assert clusters[32] == clusters[7]
    assert write_pseudo_subjects(voices, tmp_path) == 30
    table = read_table(tmp_path / "pseudo_subjects.parquet")
    assert list(table) == ["corpus", "subject", "session", "pseudo_subject"]
    assert table["pseudo_subject"].nunique() == 30


def test_corpora_are_clustered_apart_and_one_session_is_one_cluster() -> None:
    voices = simulated_sessions([[0], [0], [0]])
    voices.sessions["corpus"] = ["a", "a", "b"]
    np.testing.assert_array_equal(cluster_sessions(voices)[[2]], [0])
