"""Tables of sessions for tests of splits."""

import random
from collections import Counter

import pandas as pd

from depmm.config import SplitConfig
from depmm.corpora.splits import count_folds, make_split


def make_sessions(
    labels: list[list[int | None]], corpus: str = "toy", splits: list[str | None] | None = None
) -> pd.DataFrame:
    """Make sessions of one subject per list, one session per label in it."""
    rows = [
        {
            "corpus": corpus, "subject": f"{index:02}", "session": f"{index:02}-{k}",
            "label": label, "split": splits[index] if splits else None, "gender": None,
        }
        for index, subject_labels in enumerate(labels)
        for k, label in enumerate(subject_labels)
    ]  # fmt: skip
    table = pd.DataFrame(rows).astype({"label": "Int64"})
    return table.assign(split=table["split"].astype("str"))


SESSIONS_OF_23 = make_sessions([[k % 3 == 0] * (1 + k % 4) for k in range(23)])  # 8 positive


def make_random_corpora(seed: int) -> pd.DataFrame:
    """Make up to three corpora that share ids, with random numbers of sessions and genders."""
    rng = random.Random(seed)
    rows = []
    for corpus in ["a", "b", "c"][: rng.randint(1, 3)]:
        female, positive, unknown = rng.random(), rng.uniform(0.2, 0.8), rng.choice([0, 0, 0.3])
        for index in range(rng.randint(12, 60)):
            gender = None if rng.random() < unknown else ["male", "female"][rng.random() < female]
            label = int(rng.random() < positive)
            rows += [
                (corpus, f"{index:02}", f"{index:02}-{k}", label, gender, None)
                for k in range(rng.randint(1, 3))
            ]
    names = ["corpus", "subject", "session", "label", "gender", "split"]
    return pd.DataFrame(rows, columns=names).astype({"label": "Int64"})


def make_splits(
    sessions: pd.DataFrame, config: SplitConfig, labels: pd.Series | None = None
) -> list[pd.DataFrame]:
    """Make the split of every fold."""
    return [
        make_split(sessions, config.model_copy(update={"fold": fold}), labels)
        for fold in range(count_folds(sessions, config))
    ]


def subjects_in(split: pd.DataFrame, name: str) -> set[tuple[str, str]]:
    """Return (corpus, subject) of the subjects in one part of a split."""
    rows = split[split["split"] == name]
    return set(zip(rows["corpus"], rows["subject"], strict=True))


def largest_difference(tested: list[pd.DataFrame], columns: list[str]) -> int:
    """Return the largest difference between folds in the number of subjects of a stratum."""
    counts = pd.DataFrame(
        [Counter(map(tuple, fold[columns].fillna("?").to_numpy().tolist())) for fold in tested]
    ).fillna(0)
    return int((counts.max() - counts.min()).max())
