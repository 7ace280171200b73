"""Initial weights of another run, and the subjects on which they depend."""

import json

import pandas as pd
import pytest
import torch
from trained_runs import AUDIO, read_weights, train_run

from depmm.runs.folder import RunError

K_FOLD = "split={kind: k_fold, folds: 3}"
ONE_EPOCH = [*AUDIO, "training.epochs=1"]


def test_weights_that_depend_on_a_test_subject_are_refused(corpus, tmp_path, log):
    first = train_run(corpus, tmp_path / "first", *ONE_EPOCH, "name=first")
    start = f"training.init_from={first.path}"
    split = pd.read_csv(first.split, dtype="str")
    dependent = set(split.loc[split["split"] != "test", "subject"])
    with pytest.raises(RunError) as info:
        train_run(corpus, tmp_path / "second", *ONE_EPOCH, K_FOLD, start)
    assert (info.value.setting, info.value.file) == ("training.init_from", first.path)
    assert {subject for _, subject in info.value.value} <= dependent
    assert str(first.split) in info.value.remedy
    # also if the weights are those of a run in between
    between = train_run(corpus, tmp_path / "between", *ONE_EPOCH, start, "name=between")
    (between.path / "SHA256SUMS").unlink()
    split.assign(subject="other-" + split["subject"]).to_csv(between.split, index=False)
    with pytest.raises(RunError) as info:
        train_run(
            corpus,
            tmp_path / "third",
            *ONE_EPOCH,
            K_FOLD,
            f"training.init_from={between.path}",
        )
    assert info.value.file == between.path
    # unknown subjects are a warning
    first.split.unlink()
    log.clear()
    train_run(corpus, tmp_path / "fourth", *ONE_EPOCH, K_FOLD, start)
    warnings = [record for record in log.records if record.levelname == "WARNING"]
    assert [record.name for record in warnings] == ["depmm.runs.lineage"]


def test_matching_weights_of_another_run_are_loaded(corpus, tmp_path, log):
    first = train_run(corpus, tmp_path / "first", *ONE_EPOCH, "name=first")
    log.clear()
    second = train_run(
        corpus,
        tmp_path / "second",
        *ONE_EPOCH,
        "training.learning_rate=1.0e-12",
        "target={kind: severity, column: score, output: classes}",
        f"training.init_from={first.path}",
    )
    before, after = (read_weights(run) for run in (first, second))
    name = next(name for name in before if name.startswith("encoders.") and "weight" in name)
    torch.testing.assert_close(before[name], after[name], atol=1e-8, rtol=0)
    report = json.loads(second.initialization_report.read_text())[0]
    assert name in report["matched"]
    assert all(name.startswith("fusion.output_layers.") for name in report["mismatched"])
    assert report["mismatched"]
    assert not [record for record in log.records if record.levelname == "WARNING"]
