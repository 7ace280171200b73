"""Tests of cross-validated attributions."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from word_tables import make_readings

from depmm.interpret.query.explained_by import describe_models
from depmm.interpret.query.label_tests import (
    LabelTest,
    assign_models,
    compute_fold_p,
    compute_fold_z,
    is_directed,
)
from depmm.interpret.query.word_effects import compare_measures, compare_words

LABELS = [0, 1] * 10


def make_folds(values, folds, labels=LABELS, seeds=1):
    """Make readings of subjects that the model of their fold explains, for each seed."""
    table = make_readings(values, labels, split="test", seed=0)
    fold = [folds[int(name[1:])] for name in table["subject"]]
    parts = [table.assign(fold=fold, seed=seed) for seed in range(seeds)]
    return pd.concat(parts, ignore_index=True)


def test_z_is_standardised_by_all_labellings_within_folds():
    rng = np.random.default_rng(0)
    values, stratum = rng.normal(size=(8, 1)), np.repeat([0, 1], 4)
    positive = np.array([1, 1, 0, 0, 1, 0, 0, 0], dtype=bool)

    def total(chosen):
        return sum(
            (values[list(rows)].sum() - len(rows) * values[part].mean())
            for rows, part in zip(chosen, (slice(0, 4), slice(4, 8)), strict=True)
        )

    every = [
        total(pair)
        for pair in itertools.product(
            itertools.combinations(range(4), 2), itertools.combinations(range(4, 8), 1)
        )
    ]
    expected = total(((0, 1), (4,))) / np.std(every)
    assert compute_fold_z(values, positive, stratum).item() == pytest.approx(expected)
    halved = compute_fold_z(values, positive, stratum, partitions=4).item()
    assert halved == pytest.approx(expected / 2)


def test_p_of_z():
    z = np.array([2.0, -2.0, np.nan])
    p = compute_fold_p(z, LabelTest.CONCORDANCE, models=2)
    assert p[:2] == pytest.approx([stats.norm.sf(2**0.5), stats.norm.cdf(2**0.5)])
    assert np.isnan(p[2])
    assert compute_fold_p(z, LabelTest.BETWEEN_MODELS, models=1)[:2] == pytest.approx(p[:2])
    p = compute_fold_p(z, LabelTest.CONCORDANCE, models=3)
    assert p[0] == pytest.approx(stats.norm.sf(2 / 1.75**0.5))
    p = compute_fold_p(z, LabelTest.WITHIN_MODELS, models=5)
    assert p[:2] == pytest.approx([2 * stats.norm.sf(2 / 3**0.5)] * 2)


def test_values_without_a_difference_within_folds_have_no_z():
    positive, stratum = np.array([True, False] * 4), np.repeat([0, 1], 4)
    values = np.column_stack([np.repeat([0.1, 3.0], 4), np.where(positive, 1.0, np.nan)])
    assert np.isnan(compute_fold_z(values, positive, stratum)).all()


def test_models_of_the_same_subjects_have_one_code():
    folds = make_folds({"w": [0.0] * 20}, [k % 5 for k in range(20)], seeds=2)
    assert len(set(assign_models(folds))) == 5
    seeds = make_folds({"w": [0.0] * 20}, [0] * 20, seeds=3)
    assert set(assign_models(seeds)) == {0}
    assert set(assign_models(seeds.drop(columns=["fold", "seed"]))) == {0}


def test_test_is_chosen_by_the_models_and_the_measure():
    values = {"w": list(np.random.default_rng(1).normal(size=20))}
    several = make_folds(values, [k // 2 % 5 for k in range(20)]).assign(selected=0.5)
    single = make_folds(values, list(range(20)))
    options = {"draws": 0, "permutations": 9}
    assert compare_words(several, **options).attrs["test"] is LabelTest.CONCORDANCE
    both = compare_measures(several, ["occlusion", "selected"], **options)
    assert both.attrs["test"] is LabelTest.WITHIN_MODELS
    assert compare_words(single, **options).attrs["test"] is LabelTest.BETWEEN_MODELS
    for table, measure, test in (
        (single.assign(selected=0.5), "selected", LabelTest.SINGLE_SUBJECTS),
        (single.assign(split="train"), "occlusion", LabelTest.TRAINING_SUBJECTS),
        (single.assign(fold=0, split="train"), "occlusion", LabelTest.TRAINING_SUBJECTS),
    ):
        result = compare_words(table, measure, permutations=9)
        assert result.attrs["test"] is test
        assert result[["p", "q", "ci_low", "ci_high"]].isna().all(axis=None)
        assert result["difference"].notna().all()
    held_out = compare_words(single.assign(fold=0), **options)
    assert held_out.attrs["test"] is LabelTest.PERMUTATION
    assert not is_directed("selected_face")
    assert is_directed("occlusion_face")


def test_offsets_of_models_and_repeated_seeds_change_nothing():
    rng = np.random.default_rng(2)
    x = rng.normal(size=20) + np.array(LABELS)
    folds = [k // 2 % 5 for k in range(20)]
    shifted = x + 100.0 * np.array(folds)
    first = compare_words(make_folds({"w": list(x)}, folds), draws=0)
    second = compare_words(make_folds({"w": list(shifted)}, folds, seeds=3), draws=0)
    columns = ["n_positive", "n_negative", "effect", "p"]
    assert first[columns].iloc[0].tolist() == pytest.approx(second[columns].iloc[0].tolist())
    assert first["n_positive"].item() == 10


def test_repeated_folds_are_no_additional_evidence():
    rng = np.random.default_rng(3)
    x = list(rng.normal(size=20) + np.array(LABELS))
    once = make_folds({"w": x}, [k // 2 % 2 for k in range(20)])
    again = make_folds({"w": x}, [2 + k // 4 % 2 for k in range(20)])
    both = compare_words(pd.concat([once, again]), draws=0).iloc[0]
    p = [compare_words(table, draws=0)["p"].item() for table in (once, again)]
    assert min(p) - 0.01 <= both["p"] <= max(p) + 0.01
    assert both["n_positive"] == 10


@pytest.mark.parametrize("models", [5, 20])  # 20: one subject is left out
def test_an_effect_against_the_label_is_not_reported(models):
    folds = [k * models // 20 for k in range(20)]
    x = np.random.default_rng(4).normal(size=20) * 0.1
    table = make_folds({"for": list(x + LABELS), "against": list(x - LABELS)}, folds)
    result = compare_words(table, draws=0).set_index("word")
    assert result.index.tolist() == ["for", "against"]
    assert result.loc["for", "q"] < 0.01
    assert result.loc["against", "p"] > 0.99


def test_single_subjects_are_compared_between_models():
    x = np.random.default_rng(5).normal(size=20) + LABELS
    row = compare_words(make_folds({"w": list(x)}, list(range(20))), draws=0).iloc[0]
    y = np.array(LABELS) - 0.5
    z = y @ x / np.sqrt(5 / 19 * ((x - x.mean()) ** 2).sum())
    assert row["p"] == pytest.approx(stats.norm.sf(z / 2**0.5))


def test_models_and_subjects_are_counted(tmp_path):
    table = make_folds({"w": [0.0] * 20}, [k // 2 % 5 for k in range(20)])
    for fold in range(5):
        folder = tmp_path / f"seed-0-fold-{fold}"
        folder.mkdir()
        (folder / "model.safetensors").touch()
        (folder / "config.yaml").write_text("name: x\n")
        rows = [f"c,p{k},{'test' if k // 2 % 5 == fold else 'train'}" for k in range(20)]
        (folder / "split.csv").write_text("\n".join(["corpus,subject,split", *rows]) + "\n")
    (note,) = describe_models(tmp_path, table, LabelTest.CONCORDANCE)
    assert note.startswith("5 models explained 20 subjects, 4 subjects each.")
    assert "trained or validated with 16 of the explained subjects" in note
    (note,) = describe_models(None, table, LabelTest.PERMUTATION)
    assert note == "5 models explained 20 subjects, 4 subjects each."
