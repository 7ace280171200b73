"""Sum of the logits of several runs: by hand, sessions that a run lacks, and refusals."""

import math

import numpy as np
import pandas as pd
import pytest

from depmm.evaluation.combination import CombinationError, combine_predictions
from depmm.evaluation.predictions import prepare_predictions

LABELS = [0, 1, 0, 1, 0, 1]


def table(y_prob, **columns):
    """Make two subjects of each split, one session each."""
    required = {
        "subject": [f"p{number}" for number in range(6)],
        "session": ["1"] * 6,
        "split": ["train", "train", "validation", "validation", "test", "test"],
        "y_true": LABELS,
        "y_prob": y_prob,
    }
    return pd.DataFrame({**required, **columns})


AUDIO = table([0.5, 0.5, 0.2, 0.7, 0.4, 0.9])
FACE = table([0.5, 0.8, 0.5, 0.6, 0.25, 0.3])


def probabilities(combined) -> dict[str, float]:
    rows = combined.predictions
    return dict(zip(rows["subject"], rows["y_prob"], strict=True))


def test_logits_are_added():
    combined = combine_predictions({"audio": AUDIO, "face": FACE})
    p = probabilities(combined)
    assert p["p1"] == pytest.approx(0.8)  # the logit of .5 is 0
    odds = (0.9 / 0.1) * (0.3 / 0.7)
    assert p["p5"] == pytest.approx(odds / (1 + odds))
    assert combined.missing == {"audio": 0, "face": 0}
    assert combined.clipped == 0
    assert combined.predictions["y_true"].tolist() == [0, 1, 0, 1, 0, 1]
    # of any number of runs, in any order
    text = FACE.assign(y_prob=[0.3, 0.3, 0.3, 0.3, 0.3, 0.4])
    three = combine_predictions({"face": FACE, "audio": AUDIO, "text": text})
    odds *= 0.4 / 0.6
    assert probabilities(three)["p5"] == pytest.approx(odds / (1 + odds))


def test_sessions_that_a_run_lacks_have_the_logits_of_the_others():
    combined = combine_predictions({"audio": AUDIO.drop([3, 4]), "face": FACE.drop([0])})
    p = probabilities(combined)
    assert p["p4"] == pytest.approx(0.25)
    assert p["p0"] == pytest.approx(0.5)
    assert combined.missing == {"audio": 2, "face": 1}
    assert len(combined.predictions) == 6
    # a row without a prediction is not a prediction
    empty = AUDIO.assign(y_prob=AUDIO["y_prob"].where(AUDIO["subject"] != "p3"))
    assert combine_predictions({"audio": empty, "face": FACE}).missing["audio"] == 1


def test_probabilities_without_a_logit_are_limited_and_counted():
    combined = combine_predictions({"audio": table([0, 1, 0.5, 0.5, 1, 0]), "face": FACE})
    assert combined.clipped == 4
    p = probabilities(combined)
    assert p["p0"] == pytest.approx(1e-7)
    assert math.isfinite(p["p4"])
    assert p["p4"] < 1


def test_severities_are_averaged():
    def scores(predicted):
        columns = {"score": [10.0] * 6, "score_pred": predicted, "y_true": None}
        return table(np.nan, **columns).drop(columns=["y_true", "y_prob"])

    audio, face = scores([1.0, 2, 3, 4, 5, 6]), scores([3.0, 2, 1, 0, 1, 2])
    combined = combine_predictions({"audio": audio, "face": face.drop([5])}).predictions
    rows = combined.set_index("subject").sort_index()
    assert rows["score_pred"].tolist() == [2, 2, 2, 2, 3, 6]
    assert "y_prob" not in combined or combined["y_prob"].isna().all()


def test_a_table_without_folds_is_combined_with_every_fold_and_seed():
    run = pd.concat(
        [
            AUDIO.assign(corpus="c", seed=seed, fold=0, y_prob=AUDIO["y_prob"] * (1 - seed / 2))
            for seed in (0, 1)
        ]
    )
    theirs = FACE.iloc[4:].drop(columns="split")
    combined = combine_predictions({"run": run, "theirs": theirs})
    rows = combined.predictions.query("subject == 'p5'").set_index("seed")["y_prob"]
    for seed, p in ((0, 0.9), (1, 0.45)):
        odds = (p / (1 - p)) * (0.3 / 0.7)
        assert rows[seed] == pytest.approx(odds / (1 + odds))
    assert any("with 2 models" in note for note in combined.notes)


@pytest.mark.parametrize("drop", [True, False])
def test_train_rows_that_a_run_does_not_predict_are_not_those_of_the_other(drop):
    train = FACE["split"] == "train"
    face = FACE[~train] if drop else FACE.assign(y_prob=FACE["y_prob"].mask(train))
    combined = combine_predictions({"audio": AUDIO, "face": face})
    rows = combined.predictions.set_index("subject")
    assert rows.loc[["p0", "p1"], "y_prob"].isna().all()
    assert rows.loc[["p0", "p1"], "y_true"].tolist() == [0, 1]  # of the baselines
    assert rows["y_prob"].notna().sum() == 4
    assert [note for note in combined.notes if "face" in note]


def test_each_fold_and_seed_is_combined_with_its_own():
    def repeat(first):
        folds = [
            table(np.array(first["y_prob"]) * scale, seed=seed, fold=0)
            for seed, scale in ((0, 1.0), (3, 0.5))
        ]
        return pd.concat(folds)

    combined = combine_predictions({"audio": repeat(AUDIO), "face": repeat(FACE)}).predictions
    rows = combined[combined["subject"] == "p5"].set_index("seed")["y_prob"]
    odds = (0.45 / 0.55) * (0.15 / 0.85)
    assert rows[3] == pytest.approx(odds / (1 + odds))
    assert len(combined) == 12


def test_covariates_come_from_the_first_run_that_knows_them():
    audio = AUDIO.assign(age=[20.0, None, None, None, None, None])
    face = FACE.assign(age=[20.0, 31, 32, 33, 34, 35], gender="female")
    combined = combine_predictions({"audio": audio, "face": face}).predictions
    rows = combined.set_index("subject")
    assert rows["age"].loc[["p0", "p5"]].tolist() == [20, 35]
    assert (rows["gender"] == "female").all()


def test_attributes_of_refusals():
    def refused(other, **expected):
        with pytest.raises(CombinationError) as info:
            combine_predictions({"audio": AUDIO, "face": other})
        for name, value in expected.items():
            assert getattr(info.value, name) == value, name

    moved = FACE["split"].where(FACE["subject"] != "p2", "test")
    refused(FACE.assign(split=moved), column="split", subject="p2", value=("validation", "test"))
    refused(FACE.assign(seed=7), column="seed", value=(0, 0))
    refused(FACE.assign(fold=2), column="fold", value=(0, 0))
    flipped = [1, *LABELS[1:]]
    refused(FACE.assign(y_true=flipped), column="y_true", subject="p0", session="1")
    refused(FACE.assign(subject=FACE["subject"] + "x"), column="subject")
    severity = FACE.assign(score=1.0, score_pred=2.0).drop(columns=["y_true", "y_prob"])
    refused(severity, column="score_pred", value="face")
    refused(FACE.assign(score=1.0, score_pred=2.0), column="y_prob", value="face")
    with pytest.raises(CombinationError) as info:
        combine_predictions({"audio": AUDIO})
    assert info.value.setting == "runs"


def test_validation_rows_of_one_run_alone_choose_no_threshold():
    theirs = FACE.iloc[4:].drop(columns="split")  # test rows only
    combined = combine_predictions({"audio": AUDIO.assign(corpus="c"), "theirs": theirs})
    assert combined.predictions["split"].tolist() == ["test", "test", "train", "train"]
    assert set(combined.predictions["corpus"]) == {"c"}
    assert any("2 validation rows" in note for note in combined.notes)
    prepared = prepare_predictions(combined.predictions)[0]
    assert set(prepared["threshold"]) == {0.5}
    assert combine_predictions({"audio": AUDIO, "face": FACE}).notes == []
