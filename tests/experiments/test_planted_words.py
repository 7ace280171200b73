"""Planted words: designs, the pipeline in memory against that of the commands, and the summary."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from typer.testing import CliRunner

from depmm.cli import app
from depmm.training.cross_validation import cross_validate as cross_validate_on_disk
from experiments.benchmarks import planted_words
from experiments.benchmarks.planted_corpora import DESIGNS, Design, sample_corpus, write_corpus
from experiments.benchmarks.planted_training import cross_validate
from experiments.benchmarks.planted_words import STUDIES, Study, make_rows, read_studies, run_corpus

SPEC = Path(planted_words.__file__).with_name("planted_words_spec.yaml")


def call(*command: object) -> None:
    result = CliRunner().invoke(app, list(map(str, command)))
    assert result.exit_code == 0, result.output


@pytest.mark.slow
def test_attributions_equal_those_of_the_commands(tmp_path: Path) -> None:
    corpus = sample_corpus(DESIGNS["duration"], 18, 0)
    write_corpus(corpus, tmp_path / "recordings")
    call("index", SPEC, tmp_path / "recordings", "--out", tmp_path / "manifest")
    call("extract", tmp_path / "manifest", tmp_path / "recordings", "--out", tmp_path / "store")
    overrides = ["split.folds=2", "training.epochs=2"]
    settings = [
        *overrides,
        f"out={tmp_path / 'runs'}",
        "name=run",
        f"data.manifest={tmp_path / 'manifest'}",
        f"data.store={tmp_path / 'store'}",
        "split.seed=0",
    ]
    run = cross_validate_on_disk("planted_words", settings)
    call("explain", run, "--method", "permutation", "--method", "integrated_gradients")
    methods = ["occlusion", "permutation", "integrated_gradients", "selected"]
    expected = pd.read_parquet(run / "attributions.parquet")
    actual, _ = cross_validate(corpus, 0, methods, overrides=overrides)
    keys = ["fold", "subject", "session", "step"]
    expected, actual = (table.set_index(keys).sort_index() for table in (expected, actual))
    assert expected.index.equals(actual.index)
    assert (expected["word"] == actual["word"]).all()
    for name in methods:
        scale = expected[name].std()
        np.testing.assert_allclose(actual[name] / scale, expected[name] / scale, atol=1e-4)


@pytest.mark.slow
def test_planted_words_are_recovered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DESIGNS, "one_sided", Design("one_sided", effect=2.0))
    study = Study("one_sided", settings=("split.folds=2",), methods=("occlusion", "shapley"))
    monkeypatch.setitem(STUDIES, "one_sided", study)
    result = run_corpus("one_sided", 0)
    assert result["auroc"] > 0.9
    assert len(result["planted"]) == 6
    for method in ("shapley", "occlusion"):
        assert {row["word"] for row in result["words"][method][:6]} == set(result["planted"])


def test_the_summary_counts_false_words(tmp_path: Path) -> None:
    ranking = [("a", 0.01), ("x", 0.02), ("b", 0.2), ("y", 0.9)]
    words = [{"word": word, "effect": 1.0, "p": q, "q": q} for word, q in ranking]
    for seed, study in enumerate(["balanced", "null", "null"]):
        result = {"study": study, "seed": seed, "auroc": 0.9, "planted": ["a", "b"], "source": {}}
        shown = words if seed < 2 else [row | {"q": 1.0} for row in words]
        text = pd.Series(result | {"words": {"occlusion": shown}}).to_json()
        (tmp_path / f"{study}-{seed}.json").write_text(text)
    balanced, null = make_rows(read_studies(tmp_path))
    assert balanced["AUC"]["value"] == 0.75  # b is before y, but after x
    assert balanced["planted words with q < .05"] == balanced["other words with q < .05"] == 1
    assert balanced["false discovery rate"]["value"] == 0.5
    assert null["AUC"] is None
    assert null["other words with q < .05"] == 1.0  # without an effect, all of them are false
    exact = binomtest(1, 2).proportion_ci(method="exact")
    interval = null["corpora with a false word"]
    assert (interval["low"], interval["high"]) == pytest.approx((exact.low, exact.high))
