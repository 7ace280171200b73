"""The model card."""

import re

import pytest
import yaml
from report_predictions import noisy_predictions

from depmm.config import load_config, load_experiment
from depmm.evaluation.reports.content import evaluate_predictions
from depmm.evaluation.reports.model_card import write_model_card


def test_the_card_can_be_read_by_the_hub_and_contains_no_ids(corpus, tmp_path):
    from huggingface_hub import ModelCard

    content = evaluate_predictions(noisy_predictions(0.2), n_bootstrap=100, confidence=0.9)
    config = load_config(corpus.config)
    write_model_card(tmp_path, content, config, ["seed-0-fold-0", "seed-0-fold-1"])
    card = ModelCard.load(tmp_path / "README.md")
    results = {result.metric_type: result for result in card.data.eval_results}
    assert list(results) == ["balanced_accuracy", "auroc", "rmse", "mae"]
    auroc = content["metrics"]["auroc"]
    assert results["auroc"].metric_value == pytest.approx(auroc["value"], abs=1e-4)
    assert results["auroc"].metric_name == (
        f"AUROC (90 % CI {auroc['ci_low']:.2f} to {auroc['ci_high']:.2f})"
    )
    assert card.data.license == "other"
    assert card.data.tags[-2:] == ["audio", "face"]
    assert 'from_pretrained("path/to/this/folder/seed-0-fold-0")' in card.text
    for words in (
        "not a diagnostic device",
        "24 subjects with 24 sessions",
        "Intended use",
        "Limitations",
    ):
        assert words in card.text
    assert not re.search(r"\bp\d+\b", card.content)  # ids of subjects
    assert str(corpus.folder) not in card.content
    head = (tmp_path / "README.md").read_text(encoding="utf-8").split("---")[1]
    assert yaml.safe_load(head)["model-index"][0]["name"] == "tiny"


def test_the_card_of_a_tuned_classical_model_names_what_the_folds_chose(corpus, tmp_path):
    overrides = [
        *("data.modalities=[audio]", "model=null", "training=null"),
        "classical={model: {kind: svm}, measures: {audio: [voice]}, pooling: [mean, std]}",
        "classical.refit=true",
        "tuning={metric: auroc, grid: {classical.model.C: [0.1, 1.0]}}",
    ]
    content = evaluate_predictions(noisy_predictions(0.2), n_bootstrap=100, confidence=0.9)
    write_model_card(tmp_path, content, load_experiment(corpus.config, overrides), ["a", "b"])
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    for words in (
        "Measures of audio: `voice`",
        "`svm` on sessions (mean and standard deviation of the measures over steps)\n",
        "Fitted again on training and validation subjects",
        "`classical.model.C` (`tuning.csv`)",
        "depmm predict",
    ):
        assert words in text
    for words in ("attention of", "weights may", "fusion of modalities", "from_pretrained"):
        assert words not in text
