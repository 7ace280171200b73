"""Covariate baselines: parity with scikit-learn, train rows only, and the report."""

from html import unescape

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from depmm.evaluation.covariate_baselines import add_covariate_baselines, encode
from depmm.evaluation.prediction_checks import check_predictions
from depmm.evaluation.reports.content import evaluate_predictions
from depmm.evaluation.reports.report import write_report
from depmm.evaluation.units import average_properties

DRAWS = 30
NONE = "the predictions have no column"


def make_predictions(subjects=24, folds=2, effect=0.0):
    """Every subject is tested once; the duration depends on the label with ``effect``."""
    rng = np.random.default_rng(5)
    one = pd.DataFrame({"number": range(subjects)})
    label = one["number"] // 2 % 2
    one = one.assign(
        corpus="c",
        subject="p" + one["number"].astype(str),
        session="1",
        y_true=label,
        y_prob=rng.random(subjects),
        score=5.0 + 10 * label + rng.normal(size=subjects),
        score_pred=10 + rng.normal(size=subjects),
        gender=rng.choice(["female", "male", None], subjects),
        age=np.where(rng.random(subjects) < 0.3, np.nan, rng.integers(18, 80, subjects)),
        duration_s=np.exp(4 + effect * label + rng.normal(size=subjects)),
        n_steps=rng.integers(3, 9, subjects),
        interviewer=rng.choice(["i1", "i2"], subjects),
        instrument="PHQ-9",
    )
    tables = []
    for fold in range(folds):
        turn = (one["number"] // 4 - fold) % folds
        rest = np.where(one["number"] % 3 == 0, "validation", "train")
        split = np.where(turn == 0, "test", rest)
        tables.append(one.drop(columns="number").assign(fold=fold, seed=0, split=split))
    return pd.concat(tables, ignore_index=True)


def predict_baselines(table, target="binary"):
    """Checked rows with the predictions of the baselines, and the new columns."""
    checked = check_predictions(table)
    baselines, columns, not_possible = add_covariate_baselines(checked, target)
    new = [name for name in baselines if name not in checked]
    return baselines, new, columns, not_possible


@pytest.mark.parametrize("target", ["binary", "severity"])
def test_predictions_equal_those_of_a_scikit_learn_pipeline(target):
    table = make_predictions()
    first_test = table.index[table["split"] == "test"][0]
    table.loc[table["subject"] == table.loc[first_test, "subject"], "gender"] = "unknown"
    baselines, new, columns, not_possible = predict_baselines(table, target)
    assert columns["demographics"] == ["gender", "age"]
    assert not_possible == {}
    assert len(new) == (6 if target == "binary" else 3)
    ready = baselines.assign(
        duration_s=np.log(baselines["duration_s"]), gender=baselines["gender"].fillna("not known")
    )
    for baseline, names in columns.items():
        numeric = [name for name in names if name not in ("gender", "interviewer")]
        imputer = SimpleImputer(strategy="median", add_indicator=True)
        one_hot = OneHotEncoder(handle_unknown="ignore")
        categorical = [name for name in names if name not in numeric]
        last = Ridge() if target == "severity" else LogisticRegression(class_weight="balanced")
        for _, fold_rows in ready.groupby("fold"):
            model = make_pipeline(
                ColumnTransformer(
                    [
                        ("numeric", make_pipeline(imputer, StandardScaler()), numeric),
                        ("categorical", one_hot, categorical),
                    ]
                ),
                last,
            )
            train = fold_rows[fold_rows["split"] == "train"]
            model.fit(train[names], train["y_true" if target == "binary" else "score"])
            if target == "severity":
                expected = model.predict(fold_rows[names])
            else:
                expected = model.predict_proba(fold_rows[names])[:, 1]
                decided = baselines.loc[fold_rows.index, f"{baseline}_y_pred"].to_numpy()
                clear = np.abs(expected - 0.5) > 1e-4
                assert clear.mean() > 0.9
                assert (decided == (expected >= 0.5))[clear].all()
            column = f"{baseline}_{'score_pred' if target == 'severity' else 'y_prob'}"
            np.testing.assert_allclose(baselines.loc[fold_rows.index, column], expected, atol=1e-6)


def test_encoding_by_hand():
    known = pd.DataFrame(
        {"age": [20, np.nan, 40, 60, np.nan], "gender": ["f", None, "f", "m", "x"]}
    )
    encoded = encode(known, np.array([True, True, True, False, False]))
    # fitted on 20, (30), 40: mean 30, deviation sqrt(200 / 3); one of three is unknown
    age = (np.array([20, 30, 40, 60, 30]) - 30) / np.sqrt(200 / 3)
    absent = (np.array([0, 1, 0, 0, 1]) - 1 / 3) / np.sqrt(2 / 9)
    np.testing.assert_allclose(encoded[:, :2], np.stack([age, absent], axis=1))
    # women and unknown; m and x are not in the rows to fit on
    assert encoded[:, 2:].tolist() == [[1, 0], [0, 1], [1, 0], [0, 0], [0, 0]]
    ages = encode(known[["age"]], np.array([True, False, True, False, False]))
    assert ages.shape == (5, 1)  # no indicator column without missing values
    assert ages[:, 0] == pytest.approx([-1, 0, 1, 3, 0])


def test_predictions_do_not_depend_on_labels_of_tested_rows():
    table = make_predictions()
    changed = table.copy()
    tested = table["split"] == "test"
    # in another fold the same session is not tested, and its label is not changed
    changed.loc[tested, "y_true"] = 1 - changed.loc[tested, "y_true"]
    changed.loc[tested, "score"] = 27.0
    for target in ("binary", "severity"):
        before, _, _ = add_covariate_baselines(table, target)
        after, _, _ = add_covariate_baselines(changed, target)
        new = [name for name in before if name not in table]
        pd.testing.assert_frame_equal(before[new], after[new], atol=1e-6)


def test_a_prediction_depends_on_its_own_covariates_only():
    table = make_predictions()
    changed = table.copy()
    row = table.index[table["split"] == "test"][0]
    for name, value in {"age": 99, "gender": "x", "duration_s": 1e6, "interviewer": "new"}.items():
        changed.loc[row, name] = value
    before, _, _ = add_covariate_baselines(table, "binary")
    after, _, _ = add_covariate_baselines(changed, "binary")
    new = [name for name in before if name.endswith("y_prob") and name not in table]
    pd.testing.assert_frame_equal(
        before[new].drop(index=row), after[new].drop(index=row), atol=1e-6
    )
    assert ((before.loc[row, new] - after.loc[row, new]).abs() > 1e-4).all()


def test_validation_rows_are_used_without_train_rows():
    table = make_predictions()
    table = table[table["split"] != "train"].reset_index(drop=True)
    baselines, new, _, not_possible = predict_baselines(table)
    assert not_possible == {}
    renamed = table.assign(split=table["split"].replace("validation", "train"))
    other, _, _, _ = predict_baselines(renamed)
    np.testing.assert_allclose(
        baselines.sort_values(["fold", "subject"])[new],
        other.sort_values(["fold", "subject"])[new],
        atol=1e-6,
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda t: t.drop(columns=["gender", "age", "duration_s", "n_steps"]),
            {"demographics": f"{NONE} gender or age", "duration": f"{NONE} duration_s or n_steps"},
        ),
        (lambda t: t.assign(interviewer=None), {"interviewer": "interviewer of every tested"}),
        (
            lambda t: t.assign(
                gender=t["gender"].where(t["split"] == "test"),
                age=t["age"].where(t["split"] == "test"),
            ),
            {"demographics": "gender and age of the train rows of fold 0, seed 0: not known"},
        ),
        (
            lambda t: t[(t["split"] != "train") | (t["y_true"] == 1)],
            dict.fromkeys(
                ("demographics", "duration", "interviewer"),
                "the train rows of fold 0, seed 0 have one class only",
            ),
        ),
    ],
)
def test_reasons_of_baselines_that_are_not_possible(change, expected):
    _, new, columns, not_possible = predict_baselines(change(make_predictions()))
    assert set(not_possible) == set(expected)
    for baseline, reason in expected.items():
        assert not_possible[baseline].startswith(reason)
        assert not [name for name in new if name.startswith(baseline)]
    assert set(columns) == {"demographics", "duration", "interviewer"} - set(expected)


def test_covariates_unknown_for_tested_sessions_are_not_used():
    baselines, _, columns, _ = predict_baselines(make_predictions().assign(age=np.nan))
    assert columns["demographics"] == ["gender"]
    as_text = make_predictions()
    as_text["age"] = np.where(as_text["age"] > 40, "old", "young")
    baselines, _, columns, _ = predict_baselines(as_text)
    assert columns["demographics"] == ["gender", "age"]
    assert baselines["demographics_y_prob"].between(0, 1).all()


def test_a_model_that_is_not_better_than_duration_has_a_warning(tmp_path):
    table = make_predictions(subjects=60, effect=8.0).drop(columns=["interviewer", "age", "gender"])
    table["y_prob"] = 0.5 + 0.3 * (table["y_true"] - 0.5) + 0.2 * (table["y_prob"] - 0.5)
    severity = {"score": np.nan, "score_pred": np.nan}
    content = write_report(
        table.assign(**severity), tmp_path, title="length", n_bootstrap=DRAWS, confidence=0.95
    )
    assert content["verdict"]["outcome"] == "better"  # than a constant
    entry = content["covariate_baselines"]["binary"]["baselines"]["duration"]
    assert entry["columns"] == ["duration_s", "n_steps"]
    baselines, _, _, _ = predict_baselines(table)
    tested = baselines[baselines["split"] == "test"]
    auroc = sk.roc_auc_score(tested["y_true"], tested["duration_y_prob"])
    assert entry["metrics"]["auroc"]["value"] == pytest.approx(auroc)
    brier = [
        sk.brier_score_loss(tested["y_true"], tested[n]) for n in ("duration_y_prob", "y_prob")
    ]
    assert entry["metrics"]["brier"]["gain"]["value"] == pytest.approx(brier[0] - brier[1])
    assert entry["metrics"]["auroc"]["verdict"]["outcome"] == "not shown to be better"
    assert entry["metrics"]["recall"]["gain"] is None
    (note,) = (note for note in content["warnings"] if "duration_s and n_steps" in note)
    assert entry["metrics"]["auroc"]["verdict"]["text"] in note
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'data-baseline="duration"' in page
    assert note in unescape(page)
    missing = content["covariate_baselines"]["binary"]["not_possible"]
    assert missing.keys() == {"demographics", "interviewer"}
    assert f"demographics ({NONE} gender or age); interviewer ({NONE} interviewer)." in page
    assert f"gender ({NONE} gender); " in page  # not cut by it either


def test_severity_baselines_have_no_bands():
    only = make_predictions().assign(y_prob=np.nan)
    content = evaluate_predictions(only, n_bootstrap=DRAWS, confidence=0.95)
    baselines = content["covariate_baselines"]["severity"]["baselines"]
    assert set(baselines) == {"demographics", "duration", "interviewer"}
    assert "quadratic_kappa" in content["metrics"]
    assert "quadratic_kappa" not in baselines["duration"]["metrics"]  # it predicts no bands
    table, _, _, _ = predict_baselines(make_predictions(), "severity")
    tested = table[table["split"] == "test"]
    mae = [
        sk.mean_absolute_error(tested["score"], tested[n])
        for n in ("duration_score_pred", "score_pred")
    ]
    entry = baselines["duration"]["metrics"]["mae"]
    assert entry["value"] == pytest.approx(mae[0])
    assert entry["gain"]["value"] == pytest.approx(mae[0] - mae[1])


def test_the_properties_of_the_audit_are_a_baseline():
    rng = np.random.default_rng(4)
    labels = np.arange(60) % 2
    table = pd.DataFrame(
        {
            "corpus": "c", "subject": [f"S{k}" for k in range(60)], "session": "1", "fold": 0,
            "seed": 0, "split": np.where(np.arange(60) < 40, "train", "test"), "y_true": labels,
            "score": labels * 10.0,
        }
    )  # fmt: skip
    properties = table[["corpus", "subject", "session"]].assign(
        **{
            **{f"recording.x{k}": rng.normal(size=60) + labels for k in range(8)},
            "column.site": rng.choice(["a", "b"], 60).astype(object),
            "column.unknown": np.nan,
        }
    )
    shuffled = properties.sample(frac=1, random_state=0)
    added, columns, _ = add_covariate_baselines(table, "binary", shuffled)
    tested = table["split"] == "test"
    assert len(columns["properties"]) == 9
    assert sk.roc_auc_score(labels[tested], added.loc[tested, "properties_y_prob"]) > 0.9
    of_subjects = average_properties(properties, table, "subject")
    averaged, _, _ = add_covariate_baselines(table.assign(session="mean"), "binary", of_subjects)
    np.testing.assert_allclose(averaged["properties_y_prob"], added["properties_y_prob"])
    added, _, _ = add_covariate_baselines(table, "severity", properties)
    assert np.corrcoef(added.loc[tested, "properties_score_pred"], labels[tested])[0, 1] > 0.7
    _, _, reasons = add_covariate_baselines(table, "binary", properties.assign(corpus="other"))
    assert "not known" in reasons["properties"]
