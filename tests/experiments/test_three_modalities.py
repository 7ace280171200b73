"""Sound, text as an embedding per step and a gait stream, through the command line."""

import json

import pandas as pd
import pytest
from three_modalities import WITHOUT_EMBEDDING, WITHOUT_GAIT, WORDS, write_three_modalities
from typer.testing import CliRunner

import depmm
from depmm.cli import app
from depmm.inference.errors import InferenceError
from depmm.interpret.query.explorer import build_content

METHODS = ("shapley", "integrated_gradients", "permutation")


def call(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    return result.output


@pytest.mark.slow
def test_a_modality_needs_a_data_spec_and_a_config_only(tmp_path, monkeypatch):
    write_three_modalities(tmp_path)
    monkeypatch.chdir(tmp_path)
    call("index", "walk.yaml", "recordings", "--out", "manifest")
    # status 1: two sessions have steps without an embedding, which are listed
    extracted = call(
        "extract", "manifest", "recordings", "--out", "store", "--workers", "1", code=1
    )
    assert "16 sessions extracted, 0 extracted before, 0 lost; 2 failures" in extracted
    call("train", "config.yaml")
    call("evaluate", "runs/walk")
    call("explain", "runs/walk", *(part for name in METHODS for part in ("--method", name)))
    run = tmp_path / "runs" / "walk"

    predictions = pd.read_parquet(run / "predictions.parquet")
    assert len(predictions) == 16
    assert predictions["y_prob"].between(0, 1).all()
    flow = json.loads((run / "data_summary.json").read_text())["flow"]["modalities"]
    missing = pd.DataFrame(flow).groupby("modality")["missing"].sum()
    assert missing.to_dict() == {"audio": 0, "gait": len(WITHOUT_GAIT), "text": 1}
    used = json.loads((run / "metrics.json").read_text())["coverage"]["used_signal"]
    n_missing = sum(map(len, WITHOUT_EMBEDDING.values()))
    assert used["text"]["total"] == 16 * len(WORDS) - n_missing
    assert (used["gait"]["total"], used["gait"]["used"]) == (14 * 40, 14 * 32)
    report = (run / "report.html").read_text()
    assert "missing in 2 of 8 labelled sessions" in report

    steps = pd.read_parquet(run / "attributions.parquet").set_index(["session", "step"])
    for method in ("occlusion", "integrated_gradients", "permutation"):
        values = steps[[f"{method}_{name}" for name in ("audio", "text", "gait")]]
        missing = values.isna() | (values == 0)  # a step that is not read has no effect
        assert missing.loc["p15"].all().tolist() == [False, True, False]  # no embedding
        assert not missing.loc["p06"].any(axis=None)
    branches = pd.read_parquet(run / "branches.parquet").set_index(["session", "branch"])
    present = branches["present"].unstack("branch")  # noqa: PD010
    assert set(present) == {"multimodal", "audio", "gait", "text", "cross"}
    assert present.loc["p15", ["audio", "gait"]].all()
    assert not present.loc["p15", ["text", "cross"]].any()
    labels = {row["label"] for row in build_content(steps.reset_index())["measures"]}
    assert {"voice only", "gait only", "text only", "gait encoder"} <= labels

    table = call("ask", "runs/walk", "modalities")
    assert all(name in table for name in ("audio", "gait", "text"))
    assert "gait and text" in call("ask", "runs/walk", "agreement")
    with pytest.raises(InferenceError) as info:
        depmm.Predictor(run)
    assert (info.value.setting, info.value.value) == ("data.features", "gait_joints")
