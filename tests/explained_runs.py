"""Tables of explained runs with twelve subjects, for tests of queries."""

from pathlib import Path

import numpy as np
import pandas as pd

WORDS = ["grief", "joy", "table", "violence"]

VALENCES = ["negative", "positive", "neutral", "negative"]

FAST = {"permutations": 99}


def make_tables(seeds: int = 2) -> dict[str, pd.DataFrame]:
    """Make tables of twelve subjects; ``grief`` is planted, p1 and p2 are misclassified."""
    rng = np.random.default_rng(0)
    attributions, sessions, branches, modalities, predictions = [], [], [], [], []
    for subject in range(12):
        label, wrong = subject % 2, subject in (1, 2)
        effects = rng.normal(size=4) * 0.3 + np.array([2.0 * label, 0, 0, 0])
        if subject == 1:
            effects[1] = -5.0  # differs from all other subjects with label 1
        gender = "female" if subject < 6 else "male"
        for seed in range(seeds):
            prob = 0.8 if label != wrong else 0.2 + 0.01 * subject
            key = ("c", f"p{subject}", f"p{subject}_1", "test", 0, seed)
            predictions.append((*key, label, prob, gender))
            for name, gate in (("audio", 0.25), ("face", 0.75)):
                branches.append((*key, label, name, label - 0.5 + rng.normal() * 0.1, gate, True))
                modalities.append((*key, label, name, rng.normal() + 2 * label * (name == "face")))
            whole = 2.0 * label + rng.normal() * 0.3
            sessions.append((*key, label, "training", whole, 0.0, whole, whole, 0.0))
            for step, word in enumerate(WORDS):
                voice, face = effects[step] + rng.normal() * 0.01, rng.normal()
                row = (
                    word,
                    VALENCES[step],
                    "training word",
                    voice,
                    voice,
                    face,
                    0.5,
                    0.25 * (step == 0) * label,
                )
                attributions.append((*key, label, prob, step, *row))
    key = ["corpus", "subject", "session", "split", "fold", "seed"]
    measures = ["occlusion", "occlusion_audio", "occlusion_face", "selected", "selected_face"]
    validation = [("c", f"v{k}", "1", "validation", 0, s, k, 0.3 + 0.4 * k, "male")
                  for k in (0, 1) for s in range(seeds)]  # fmt: skip
    return {
        "attributions": pd.DataFrame(
            attributions,
            columns=[
                *(*key, "label", "y_prob", "step", "word", "valence", "reference"),
                *measures,
            ],
        ).astype({"label": "Int8"}),
        "session_attributions": pd.DataFrame(
            sessions,
            columns=[
                *(*key, "label", "reference", "logit", "reference_logit"),
                *("all_steps", "all_steps_audio", "all_steps_face"),
            ],
        ).astype({"label": "Int8"}),
        "modalities": pd.DataFrame(
            modalities, columns=[*key, "label", "modality", "shapley"]
        ).astype({"label": "Int8"}),
        "branches": pd.DataFrame(
            branches, columns=[*key, "label", "branch", "logit", "gate", "present"]
        ).astype({"label": "Int8"}),
        "predictions": pd.DataFrame(
            predictions + validation, columns=[*key, "y_true", "y_prob", "gender"]
        ),
    }


def write_run(folder: Path, tables: dict[str, pd.DataFrame]) -> Path:
    """Write tables into a new folder."""
    folder.mkdir()
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet", index=False)
    return folder


def make_result() -> pd.DataFrame:
    """Make a result with intervals, missing and infinite values, and special characters."""
    result = pd.DataFrame(
        {
            "word": ["grief", "悲伤", "$x_", "a<b"],
            "valence": ["negative", None, "neutral", "neutral"],
            "effect": [1.5, np.inf, -0.5, 0.1],
            "ci_low": [0.5, np.nan, -1.0, np.nan],
            "ci_high": [2.5, np.nan, 0.1, np.nan],
            "q": [0.01, np.nan, 0.4, 0.9],
        }
    )
    result.attrs["title"] = "a title"
    return result
