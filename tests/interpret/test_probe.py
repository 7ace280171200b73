"""Probe of nuisance variables in the fused embedding of sessions."""

import numpy as np
import pandas as pd
import pytest
from trained_runs import AUDIO, train_run
from typer.testing import CliRunner

from depmm.cli import app
from depmm.config import ConfigError
from depmm.files.checksums import read_json
from depmm.interpret.errors import ProbeError
from depmm.interpret.probe import (
    SessionEmbeddings,
    balanced_accuracy_interval,
    measure_nuisance,
    probe,
)


def embeddings(
    n: int = 40, effect: float = 4.0, test_share: float = 0.5, seed: int = 0
) -> SessionEmbeddings:
    """Embed two sessions of each subject; the first dimension shows the gender."""
    rng = np.random.default_rng(seed)
    gender = np.repeat(np.tile(["female", "male"], n // 2), 2)
    x = rng.normal(size=(2 * n, 6))
    x[:, 0] += effect * (gender == "male")
    x[:, 1:] += 5 * np.repeat(rng.normal(size=(n, 5)), 2, axis=0)  # identity of the subject
    subjects = np.repeat([f"s{index:02}" for index in range(n)], 2)
    split = np.where(np.repeat(np.arange(n), 2) < n * (1 - test_share), "train", "test")
    sessions = pd.DataFrame(
        {"corpus": "c", "subject": subjects, "session": np.arange(2 * n).astype(str),
         "split": split, "gender": gender, "constant": "x", "id_parity": subjects}
    )  # fmt: skip
    return SessionEmbeddings(x, sessions, 0)


def test_a_planted_nuisance_is_read_and_noise_is_not():
    planted = measure_nuisance([embeddings()], "gender")
    assert planted["protocol"] == "within"
    assert planted["subjects"] == 20
    assert planted["balanced_accuracy"] > 0.9
    assert planted["ci_low"] > 0.5
    absent = [measure_nuisance([embeddings(effect=0.0, seed=seed)], "gender") for seed in range(12)]
    assert abs(np.mean([entry["balanced_accuracy"] for entry in absent]) - 0.5) < 0.1
    assert sum(entry["ci_low"] <= 0.5 <= entry["ci_high"] for entry in absent) >= 8
    assert absent[0]["chance"] == 0.5


def test_a_nuisance_that_is_encoded_non_linearly_is_read_by_the_second_probe():
    model = embeddings(n=120, effect=0.0, test_share=1.0)
    male = (model.sessions["gender"] == "male").to_numpy()
    rng = np.random.default_rng(0)
    sign = np.where(rng.random(len(male)) < 0.5, 1, -1)
    model.embeddings[:, 0] = sign * 3 + rng.normal(size=len(male)) / 2
    model.embeddings[:, 1] = np.where(male, sign, -sign) * 3 + rng.normal(size=len(male)) / 2
    found = measure_nuisance(
        [SessionEmbeddings(model.embeddings[:, :2], model.sessions, 0)], "gender"
    )
    assert found["balanced_accuracy"] < 0.65
    assert found["nonlinear"]["balanced_accuracy"] > 0.95
    assert found["nonlinear"]["ci_low"] > 0.9


def test_few_test_subjects_are_probed_with_a_fit_on_training_subjects():
    result = measure_nuisance([embeddings(test_share=0.1)], "gender")
    assert result["protocol"] == "training"
    assert result["subjects"] == 4
    assert result["balanced_accuracy"] == 1
    assert result["ci_low"] < 0.8  # four subjects show little


def test_missing_values_are_left_out_and_unknown_columns_are_errors():
    model = embeddings()
    model.sessions.loc[model.sessions["subject"] == "s39", "gender"] = None
    assert measure_nuisance([model], "gender")["sessions"] == 38
    with pytest.raises(ProbeError) as error:
        measure_nuisance([model], "device")
    assert error.value.column == "device"
    with pytest.raises(ProbeError):
        measure_nuisance([model], "constant")


def test_the_interval_has_the_size_of_a_proportion_of_subjects():
    table = pd.DataFrame({"corpus": "c", "subject": [f"s{i}" for i in range(40)]})
    table["value"] = ["a", "b"] * 20
    table["predicted"] = table["value"]
    value, low, high = balanced_accuracy_interval(table)
    assert (value, high) == (1.0, 1.0)
    assert 0.88 < low < 0.96
    twice = pd.concat([table, table])  # the same subjects by a second model
    assert balanced_accuracy_interval(twice)[1] == pytest.approx(low, abs=1e-6)


@pytest.mark.slow
def test_a_run_is_probed_and_the_report_shows_it(corpus, tmp_path):
    store, place = tmp_path / "store", f"data.store={tmp_path / 'store'}"
    store.symlink_to(corpus.store)
    run = train_run(corpus, tmp_path / "run", *AUDIO, "training.epochs=1", place).path
    store.rename(tmp_path / "moved")
    moved = f"data.store={tmp_path / 'moved'}"
    result = CliRunner().invoke(
        app, ["probe", str(run), moved, "--nuisance", "gender", "--split", "test,validation"]
    )
    assert result.exit_code == 0, result.output
    content = read_json(run / "probe.json")
    assert content["splits"] == ["test", "validation"]
    assert 0 <= content["nuisance"]["gender"]["balanced_accuracy"] <= 1
    (tmp_path / "moved").rename(store)
    evaluated = CliRunner().invoke(app, ["evaluate", str(run)])
    assert evaluated.exit_code == 0, evaluated.output
    assert read_json(run / "metrics.json")["probe"] == content
    assert 'data-nuisance="gender"' in (run / "report.html").read_text()


def test_only_the_places_of_the_data_can_be_changed(tmp_path):
    with pytest.raises(ConfigError) as info:
        probe(tmp_path, ["gender"], overrides=["training.epochs=3"])
    assert info.value.setting == "training.epochs"
