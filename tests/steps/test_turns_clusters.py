"""Clusters of windows: silhouettes against scikit-learn, the sequence, and turns."""

import numpy as np
import pytest
from sklearn.metrics import silhouette_samples

from depmm.steps import turns_clusters
from depmm.steps.table import StepsError
from depmm.steps.turns_clusters import cluster_turns, cluster_windows, silhouettes
from depmm.steps.turns_embeddings import cut_windows

SPEECH = np.array([[0.0, 4.0], [4.5, 6.0], [6.5, 10.5], [11.0, 13.0], [13.2, 15.0]])
SPEAKERS = [0, 1, 0, 1, 1]


def embed(windows, distance, seed=0):
    """Embeddings of length 1 around the direction of the speaker of each segment."""
    rng = np.random.default_rng(seed)
    directions = np.eye(16)[:2] * distance
    labels = np.array(SPEAKERS)[windows[:, 2].astype(int)]
    points = directions[labels] + rng.standard_normal((len(windows), 16)) / 4
    return points / np.linalg.norm(points, axis=1, keepdims=True), labels


@pytest.mark.parametrize("counts", [(7, 12), (1, 9)])
def test_silhouettes_equal_those_of_scikit_learn(counts):
    rng = np.random.default_rng(0)
    points = rng.standard_normal((sum(counts), 5)) + 3
    labels = np.repeat([0, 1], counts)
    expected = silhouette_samples(points, labels, metric="sqeuclidean")
    assert silhouettes(points, labels) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("limit", [2000, 5])
def test_two_voices(monkeypatch, limit):
    monkeypatch.setattr(turns_clusters, "MAX_CLUSTERED", limit)  # fewer than means
    windows = cut_windows(SPEECH)
    points, labels = embed(windows, 1.5)
    clusters = cluster_windows(points, windows)
    assert abs(np.corrcoef(clusters.labels, labels)[0, 1]) == pytest.approx(1.0)
    assert clusters.separation > 0.3
    turns = cluster_turns(clusters, windows, SPEECH)
    assert [(turn.start_s, turn.end_s, turn.speaker) for turn in turns] == [
        (0.0, 4.0, "speaker_1"), (4.5, 6.0, "speaker_2"), (6.5, 10.5, "speaker_1"),
        (11.0, 15.0, "speaker_2"),
    ]  # fmt: skip
    assert all(0 < turn.confidence <= 1 for turn in turns)


def test_a_single_unlike_window_inside_of_a_segment_is_no_turn():
    speech = np.array([[0.0, 6.0], [7.0, 13.0]])
    windows = cut_windows(speech)
    labels = (windows[:, 2] == 1).astype(int)
    points = np.eye(8)[labels] + 0.05 * np.random.default_rng(0).standard_normal((len(labels), 8))
    points[5] = np.eye(8)[:2].sum(axis=0) * 0.45 + 0.2 * points[-1]  # a little nearer to the other
    clusters = cluster_windows(points, windows)
    assert len(cluster_turns(clusters, windows, speech)) == 2


def test_too_little_speech():
    windows = cut_windows(np.array([[0.0, 1.0], [2.0, 3.0]]))
    with pytest.raises(StepsError) as raised:
        cluster_windows(np.eye(2), windows)
    assert raised.value.value == 2
