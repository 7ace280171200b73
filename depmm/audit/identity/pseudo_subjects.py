"""Pseudo-subjects of corpora without subject ids: sessions with similar voices.

A cluster may join two subjects with similar voices, which only makes a split more careful, or leave
two sessions of one subject apart, which a result must state.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from depmm.audit.identity.session_embeddings import SessionEmbeddings, unit
from depmm.files.checksums import write_table
from depmm.schemas.manifest import PSEUDO_SUBJECTS, SESSION_KEY

# Share of the sessions whose halves are nearer than the cut. Halves are shorter than sessions, so
# that sessions of one subject are mostly nearer than halves: see docs/how-to/identity.md
CUT_QUANTILE = 0.5
_BLOCK = 512  # rows of the matrix of distances that are in memory at once


def cluster_sessions(embeddings: SessionEmbeddings, quantile: float = CUT_QUANTILE) -> np.ndarray:
    """Cluster sessions by voice.

    Agglomerative clustering of each corpus with average linkage and cosine distance. The cut is a
    quantile of the distances between the halves of a session.

    Parameters
    ----------
    embeddings : SessionEmbeddings
        Voices of sessions.
    quantile : float, default 0.5
        The quantile; a larger one gives larger clusters.

    Returns
    -------
    ndarray of int, shape (n,)
        Cluster of each session, from 0 in each corpus.
    """
    corpora = embeddings.sessions["corpus"].to_numpy()
    clusters = np.zeros(len(corpora), int)
    for corpus in np.unique(corpora):
        rows = corpora == corpus
        clusters[rows] = _cluster(embeddings.halves[rows], quantile)
    return clusters


def _cluster(halves: np.ndarray, quantile: float) -> np.ndarray:
    from sklearn.cluster import AgglomerativeClustering

    distances = 1 - (halves[:, 0] * halves[:, 1]).sum(axis=1)
    cut = float(np.quantile(distances, quantile))
    vectors = unit(halves.sum(axis=1))
    pairs = []
    for start in range(0, len(vectors), _BLOCK):
        near = np.argwhere(1 - vectors[start : start + _BLOCK] @ vectors.T <= cut)
        pairs.append(near + np.array([start, 0]))
    one, other = np.concatenate(pairs).T
    graph = coo_matrix((np.ones(len(one), bool), (one, other)), shape=(len(vectors),) * 2)
    # average linkage joins no two sets without a pair within the cut, so that the components of
    # these pairs can be clustered one by one, in little memory
    _, component = connected_components(graph, directed=False)
    labels = np.zeros(len(vectors), int)
    n_clusters = 0
    for index in np.unique(component):
        rows = np.flatnonzero(component == index)
        part = np.zeros(1, int)
        if len(rows) > 1:
            part = AgglomerativeClustering(
                None, metric="cosine", linkage="average", distance_threshold=cut
            ).fit_predict(vectors[rows])
        labels[rows] = n_clusters + part
        n_clusters += int(part.max()) + 1
    return labels


def write_pseudo_subjects(embeddings: SessionEmbeddings, folder: Path) -> int:
    """Write ``pseudo_subjects.parquet``, which ``split.group_by: pseudo_subject`` reads.

    Parameters
    ----------
    embeddings : SessionEmbeddings
        Voices of sessions; the embeddings are not written. Sessions with less than 5 s of speech
        are left out.
    folder : Path
        Folder of the manifest.

    Returns
    -------
    int
        Number of pseudo-subjects.
    """
    embeddings = embeddings.long_sessions()
    table = embeddings.sessions[SESSION_KEY]
    names = [f"V{cluster:05}" for cluster in cluster_sessions(embeddings)]
    table = table.assign(pseudo_subject=pd.Series(names, index=table.index, dtype="str"))
    PSEUDO_SUBJECTS.check(table)
    write_table(folder / PSEUDO_SUBJECTS.file, table)
    return len(table[["corpus", "pseudo_subject"]].drop_duplicates())
