"""Inputs of commands that no earlier command needs to write."""

from pathlib import Path

import pandas as pd

WORDS = {"joy": 1.0, "grief": 0.1, "table": 0.0}


def write_attributions(folder: Path) -> Path:
    """Write the attributions of 6 subjects and 3 words; ``joy`` has the largest effect."""
    folder.mkdir()
    rows = [
        ("c", f"p{subject}", "1", "test", 0, 0, subject % 2, step, word, "neutral",
         subject / 9 + subject % 2 * effect, 0.5)
        for subject in range(6)
        for step, (word, effect) in enumerate(WORDS.items())
    ]  # fmt: skip
    names = "corpus subject session split fold seed label step word valence occlusion selected"
    pd.DataFrame(rows, columns=names.split()).to_parquet(folder / "attributions.parquet")
    return folder


def make_predictions(first_prob: float = 0.1, n_subjects: int = 12) -> pd.DataFrame:
    """Make test predictions that are correct, except the probability of the first subject."""
    labels = [subject % 2 for subject in range(n_subjects)]
    return pd.DataFrame(
        {
            "subject": [f"0{subject}" for subject in range(n_subjects)],
            "session": "1",
            "y_true": labels,
            "y_prob": [first_prob, *(0.1 + 0.8 * label for label in labels[1:])],
        }
    )
