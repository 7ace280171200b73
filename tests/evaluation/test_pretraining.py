"""The report warns if a pre-trained encoder was trained on the evaluated corpus."""

import json
from typing import Any

import pytest
from report_html import ReportPage
from report_predictions import make_predictions

from depmm.config import Config
from depmm.evaluation.reports.report import write_report


def config_of(pretrained_on: list[str]) -> Config:
    audio = {"kind": "speech_transformer", "source": "folder", "pretrained_on": pretrained_on}
    return Config.model_validate(
        {
            "name": "run",
            "split": {"kind": "official"},
            "data": {"manifest": "manifest", "store": "store", "modalities": ["audio"]},
            "model": {"encoders": {"audio": audio}, "fusion": {"kind": "mean_pool"}},
        }
    )


@pytest.mark.parametrize(
    ("pretrained_on", "status"),
    [
        (["librispeech", "ravdess"], "problem"),
        (["librispeech"], "checked"),
        ([], "not checked"),
    ],
)
def test_the_report_of_ravdess_warns_of_an_encoder_trained_on_it(pretrained_on, status, tmp_path):
    predictions = make_predictions().assign(corpus="ravdess")
    config: Any = config_of(pretrained_on)
    arguments = {"title": "t", "n_bootstrap": 20, "confidence": 0.95, "config": config}
    write_report(predictions, tmp_path, **arguments)
    content = json.loads((tmp_path / "metrics.json").read_text())
    line = next(line for line in content["leakage"] if line["name"] == "initial weights")
    warnings = [text for text in content["warnings"] if "ravdess" in text]
    page = ReportPage((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert line["status"] == status
    assert len(warnings) == (status == "problem")
    assert all(warning in page.text for warning in warnings)
    assert line["result"][1:] in page.text
    assert ("No model was trained on its test subjects" in page.text) == (status != "problem")
