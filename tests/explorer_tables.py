"""Attributions of simulated sessions as tables, for the tests of the explorer."""

import numpy as np
import pandas as pd

HOSTILE = "</script><script>alert(1)</script>"
WORDS = {HOSTILE: "negative", "joy": "positive", "table": "neutral"}
MEASURES = ["occlusion", "occlusion_audio", "occlusion_face"]
FEW = {"draws": 200, "permutations": 99}


def make_attributions(
    subjects=12, seeds=1, words=tuple(WORDS), measures=(*MEASURES, "selected_face")
):
    """Make subjects of two labels who read each word once per seed; the first one, twice."""
    rng = np.random.default_rng(0)
    rows = []
    for subject in range(subjects):
        for seed in range(seeds):
            read = [*words, *words] if subject == 0 else list(words)
            for step, word in enumerate(read):
                effect = subject % 2 * (word == words[0]) * 2
                values = np.append(effect + rng.normal(size=3), rng.integers(5) / 4)
                key = (
                    "c",
                    f"p{subject:02}",
                    f"p{subject:02}<b>s</b>",
                    "test",
                    0,
                    seed,
                    subject % 2,
                )
                rows.append((*key, (subject + 1) / 16, step, word, WORDS.get(word), *values))
    names = ["corpus", "subject", "session", "split", "fold", "seed", "label", "y_prob", "step"]
    table = pd.DataFrame(rows, columns=[*names, "word", "valence", *MEASURES, "selected_face"])
    table = table.assign(reference="training word")
    missing = [name for name in (*MEASURES, "selected_face") if name not in measures]
    return table.astype({"label": "Int8"}).drop(columns=missing)


def make_branches(steps):
    sessions = steps[["corpus", "subject", "session", "split", "fold", "seed"]].drop_duplicates()
    return pd.concat(
        [
            sessions.assign(branch="multimodal", logit=1.5, gate=0.8, present=True),
            sessions.assign(branch="face", logit=np.nan, gate=0.3, present=False),
        ]
    )


def make_whole(steps):
    """Make the attribution of all steps of each session; it differs between the labels."""
    key = ["corpus", "subject", "session", "split", "fold", "seed", "label", "y_prob"]
    sessions = steps[key].drop_duplicates(ignore_index=True)
    value = 3 * sessions["label"].astype(float) + sessions["y_prob"]
    return sessions.assign(reference="training", logit=value, reference_logit=0.0, all_steps=value)


def make_modalities(steps):
    sessions = make_whole(steps).drop(columns="y_prob")
    return pd.concat([sessions.assign(modality=name, shapley=0.5) for name in ("audio", "face")])


def make_regions(steps):
    """Make shares that are larger for the mouth with label 1 and for the eyes with label 0."""
    rows = []
    for region, sign, area in (("mouth", 1, 0.1), ("eyes", -1, 0.9)):
        share = 0.5 + sign * (
            0.2 * (steps["label"].astype(float) - 0.5) + 0.02 * steps["occlusion"]
        )
        rows.append(steps.assign(modality="face", region=region, share=share, area=area))
    columns = ["corpus", "subject", "session", "split", "fold", "seed", "label", "step"]
    return pd.concat(rows)[[*columns, "modality", "region", "share", "area"]]


def make_predictions(steps):
    """Make predictions in which all but one of the subjects with label 1 are women."""
    subjects = steps[["corpus", "subject", "session", "label"]].drop_duplicates("session")
    women = (subjects["label"] == 1) & (subjects["subject"] != "p01")
    return subjects.assign(gender=women.map({True: "female", False: "male"})).drop(columns="label")
