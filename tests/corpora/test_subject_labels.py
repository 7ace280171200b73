"""The label of a subject whose sessions have several labels."""

import numpy as np
import pandas as pd

from depmm.corpora.subject_labels import subject_labels


def test_the_majority_decides_and_a_tie_is_positive():
    rows = [("1", 0), ("1", 1), ("1", 0), ("2", 0), ("2", 1), ("3", None), ("4", None), ("4", 0)]
    sessions = pd.DataFrame(rows, columns=["subject", "label"]).assign(corpus="c")
    labels = subject_labels(sessions.assign(label=sessions["label"].astype("Int64")))
    expected = [0.0, 1.0, np.nan, 0.0]
    np.testing.assert_array_equal(labels.to_numpy(), expected)
    assert labels.index.tolist() == [("c", name) for name in "1234"]
