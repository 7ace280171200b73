"""Tables of readings and matrices of subjects, for the tests of word statistics."""

import numpy as np
import pandas as pd

from depmm.interpret.query.group_effects import UNIT

FAST = {"permutations": 99, "draws": 0}


def make_readings(
    values: dict[str, list[float]], labels: list[int], valence: str = "neutral", **columns: object
) -> pd.DataFrame:
    """Make one row per subject and word, of ``values[word][subject]``."""
    table = pd.DataFrame(
        [
            ("c", f"p{subject}", labels[subject], word, valence, value)
            for word, column in values.items()
            for subject, value in enumerate(column)
        ],
        columns=["corpus", "subject", "label", "word", "valence", "occlusion"],
    )
    return table.astype({"label": "Int8"}).assign(**columns)


def get_by_subject(table: pd.DataFrame, values: list[object]) -> list[object]:
    """Return the value of the subject of each row."""
    return [values[int(name[1:])] for name in table["subject"]]


def make_matrix(
    values: np.ndarray, labels: np.ndarray, strata: list[str] | None = None
) -> pd.DataFrame:
    """Make a matrix of subjects."""
    n = len(labels)
    index = pd.MultiIndex.from_arrays(
        [["c"] * n, [f"p{k}" for k in range(n)], labels, strata or ["all"] * n, [0] * n],
        names=UNIT,
    )
    words = pd.Index([f"w{k:02d}" for k in range(values.shape[1])], name="word")
    return pd.DataFrame(values, index, words)


def make_modalities(subjects: int = 12, words: int = 6, shared: float = 1.0) -> pd.DataFrame:
    """Make voice and face of each word; their effects agree, the steps of a subject do not."""
    rng = np.random.default_rng(7)
    rows = []
    for subject in range(subjects):
        label = subject % 2
        for step in range(words):
            audio, face = rng.normal(size=2) + shared * label * step
            rows.append(("c", f"p{subject}", "1", 0, 0, label, step, f"w{step}", audio, face))
    names = ["corpus", "subject", "session", "fold", "seed", "label", "step", "word"]
    table = pd.DataFrame(rows, columns=[*names, "occlusion_audio", "occlusion_face"])
    return table.assign(valence="neutral", occlusion=table["occlusion_audio"])
