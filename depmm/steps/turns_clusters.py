"""Turns by clustering the voices of windows into two speakers.

The means of up to five neighbouring windows of a segment of speech are clustered by Ward's method:
they depend less on the words than single windows. Then every window is scored along the axis
through the means of the clusters, and the most likely sequence of speakers is found, in which a
change costs more inside of a segment of speech than across a pause. The means are updated until the
sequence is stable.

References
----------
Park, Kanda, Dimitriadis, Han, Watanabe and Narayanan, "A review of speaker diarization", Computer
Speech & Language 72, 2022, 101317 (windows, embeddings, clustering, resegmentation: sections 2.3
to 2.6).
"""

from dataclasses import dataclass

import numpy as np

from depmm.steps.table import StepsError
from depmm.steps.turns import MIN_TURN_S, Turn, join_turns, speaker_names

MIN_WINDOWS = 4
MAX_NEIGHBOURS = 5  # windows whose mean is clustered, about 3.5 s
MAX_CLUSTERED = 2000  # means for Ward's method, whose memory grows with their square: 32 MB
MAX_UPDATES = 10
CHANGE_COST = 2.0  # of the log probability, inside of a segment of speech
PAUSE_CHANGE_COST = 0.7  # a change across a pause
_MIN_LOG = -4.0  # of a window: a single outlier does not change the sequence


@dataclass(frozen=True)
class Clusters:
    """The speakers of the windows of a recording.

    Attributes
    ----------
    labels : ndarray of int64, shape (W,)
        Cluster of each window, 0 or 1.
    silhouettes : ndarray of float64, shape (W,)
        Silhouette of each window, -1 to 1.
    """

    labels: np.ndarray
    silhouettes: np.ndarray

    @property
    def separation(self) -> float:
        """Mean silhouette of the windows."""
        return float(self.silhouettes.mean())


def cluster_windows(embeddings: np.ndarray, windows: np.ndarray) -> Clusters:
    """Cluster the windows of a recording into two speakers.

    Parameters
    ----------
    embeddings : ndarray, shape (W, D)
        Embeddings in the order of time, of length 1 or scaled.
    windows : ndarray, shape (W, 3)
        Start, end and index of the segment of speech.

    Returns
    -------
    Clusters
        The speakers.

    Raises
    ------
    StepsError
        If there is too little speech.
    """
    from sklearn.cluster import AgglomerativeClustering

    if len(windows) < MIN_WINDOWS:
        raise StepsError(
            f"The recording has {len(windows)} windows of speech; two voices need at least "
            f"{MIN_WINDOWS}.",
            value=len(windows),
            remedy="Use a longer recording, or a transcript.",
        )
    points = np.asarray(embeddings, np.float64)
    unit = _find_units(windows)
    means = np.stack([points[unit == index].mean(axis=0) for index in range(unit[-1] + 1)])
    stride = -(-len(means) // MAX_CLUSTERED)
    some = AgglomerativeClustering(2, linkage="ward").fit_predict(means[::stride])
    labels = some[unit // stride]  # of a mean that was left out: those of its neighbour
    is_pause = np.concatenate([[True], np.diff(windows[:, 2]) != 0])
    for _ in range(MAX_UPDATES):
        updated = _best_sequence(_log_probabilities(points, labels), is_pause)
        if len(np.unique(updated)) < 2 or np.array_equal(updated, labels):
            break
        labels = updated
    return Clusters(labels, silhouettes(points, labels))


def _find_units(windows: np.ndarray) -> np.ndarray:
    """Return the index of the group of neighbours of each window, (W,)."""
    segment = windows[:, 2]
    first = np.flatnonzero(np.concatenate([[True], segment[1:] != segment[:-1]]))
    lengths = np.diff([*first, len(windows)])
    sizes = [
        len(part)
        for length in lengths
        for part in np.array_split(np.empty(length), -(-length // MAX_NEIGHBOURS))
    ]
    return np.repeat(np.arange(len(sizes)), sizes)


def _log_probabilities(points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the log probability of each speaker, (W, 2), from two normal distributions.

    The distributions are those of the projections to the axis through the means of the clusters,
    with one variance.
    """
    axis = points[labels == 1].mean(axis=0) - points[labels == 0].mean(axis=0)
    projected = points @ axis
    means = np.array([projected[labels == k].mean() for k in (0, 1)])
    variance = float(np.square(projected - means[labels]).mean()) + 1e-12
    logs = -np.square(projected[:, None] - means) / (2 * variance)
    logs -= np.logaddexp(logs[:, :1], logs[:, 1:])
    limited: np.ndarray = np.maximum(logs, _MIN_LOG)
    return limited


def _best_sequence(logs: np.ndarray, is_pause: np.ndarray) -> np.ndarray:
    """Find the most likely sequence of speakers with the costs of changes (Viterbi)."""
    cost = np.where(is_pause, PAUSE_CHANGE_COST, CHANGE_COST)
    total = logs[0]
    came_from = np.zeros(logs.shape, np.int64)
    for i in range(1, len(logs)):
        options = total[:, None] - cost[i] * (1 - np.eye(2))
        came_from[i] = options.argmax(axis=0)
        total = options.max(axis=0) + logs[i]
    path = np.zeros(len(logs), np.int64)
    path[-1] = total.argmax()
    for i in range(len(logs) - 1, 0, -1):
        path[i - 1] = came_from[i, path[i]]
    return path


def silhouettes(points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Compute the silhouettes of two clusters with squared Euclidean distances.

    They equal ``sklearn.metrics.silhouette_samples(metric="sqeuclidean")``, in memory that does not
    grow with the square of the number of points: the mean squared distance to the points of a
    cluster is the squared distance to its mean plus its variance.

    Parameters
    ----------
    points : ndarray, shape (W, D)
        The points.
    labels : ndarray of int, shape (W,)
        0 or 1.

    Returns
    -------
    ndarray of float64, shape (W,)
        (b - a) / max(a, b), with the mean distances a to the other points of the own cluster and b
        to those of the other cluster; 0 for the only point of a cluster.

    References
    ----------
    Rousseeuw, "Silhouettes: a graphical aid to the interpretation and validation of cluster
    analysis", Journal of Computational and Applied Mathematics 20, 1987.
    """
    distances = np.zeros((len(points), 2))
    counts = np.bincount(labels, minlength=2)
    if not counts.all():
        return np.zeros(len(points))
    for k in (0, 1):
        members = points[labels == k]
        mean = members.mean(axis=0)
        variance = np.square(members - mean).sum(axis=1).mean()
        distances[:, k] = np.square(points - mean).sum(axis=1) + variance
    rows, own = np.arange(len(points)), counts[labels]
    a = distances[rows, labels] * own / np.maximum(own - 1, 1)  # without the point itself
    b = distances[rows, 1 - labels]
    result: np.ndarray = np.where(own > 1, (b - a) / np.maximum(np.maximum(a, b), 1e-12), 0.0)
    return result


def cluster_turns(clusters: Clusters, windows: np.ndarray, speech: np.ndarray) -> list[Turn]:
    """Convert the speakers of windows to turns.

    Parameters
    ----------
    clusters : Clusters
        The speakers of the windows.
    windows : ndarray, shape (W, 3)
        Start, end and index of the segment of speech.
    speech : ndarray, shape (n, 2)
        Start and end of the segments in seconds.

    Returns
    -------
    list of Turn
        Turns with the speakers ``speaker_1`` and ``speaker_2``. A segment is divided in the middle
        between the centres of windows. The confidence is (1 + s) / 2 for the mean silhouette s of
        the windows: 0.5 is between the clusters.
    """
    names = speaker_names(clusters.labels)
    centres = windows[:, :2].mean(axis=1)
    turns = []
    for index, (start, end) in enumerate(speech.tolist()):
        of_segment = np.flatnonzero(windows[:, 2] == index)
        if not len(of_segment):
            continue
        middles = (centres[of_segment][1:] + centres[of_segment][:-1]) / 2
        edges = [start, *middles.tolist(), end]
        for window, first, last in zip(of_segment, edges[:-1], edges[1:], strict=True):
            confidence = float((1 + clusters.silhouettes[window]) / 2)
            turns.append(Turn(first, last, names[int(clusters.labels[window])], confidence))
    return [turn for turn in join_turns(turns) if turn.end_s - turn.start_s >= MIN_TURN_S]
