"""Trackers get metrics and settings of a run, and nothing that names a path or a subject."""

import sys
from types import SimpleNamespace

import accelerate.tracking
import pytest
from accelerate import Accelerator
from accelerate.tracking import GeneralTracker
from accelerate.utils import LoggerType

from depmm.config import ConfigError, load_config
from depmm.runs.folder import RunFolder
from depmm.training import trackers
from depmm.training.trackers import list_tracked_settings, tracking


class RecordingTracker(GeneralTracker):
    """A tracker that keeps what it is given."""

    name = "wandb"
    requires_logging_directory = False
    opened: list["RecordingTracker"] = []  # noqa: RUF012

    def __init__(self, run_name, **options):
        super().__init__()
        self.run_name, self.options, self.settings, self.rows, self.ended = (
            run_name, options, {}, [], False
        )  # fmt: skip
        self.opened.append(self)

    @property
    def tracker(self):
        return self

    def store_init_configuration(self, values):
        self.settings = values

    def log(self, values, step=None, **_):
        self.rows.append((step, values))

    def finish(self):
        self.ended = True


@pytest.fixture
def wandb(monkeypatch):
    """Replace Weights & Biases, which need not be installed."""
    monkeypatch.setattr(RecordingTracker, "opened", [])
    monkeypatch.setitem(accelerate.tracking.LOGGER_TYPE_TO_CLASS, "wandb", RecordingTracker)
    available = [*accelerate.tracking._available_trackers, LoggerType.WANDB]
    monkeypatch.setattr(accelerate.tracking, "_available_trackers", available)
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(Settings=SimpleNamespace))
    return RecordingTracker


def test_a_tracker_gets_the_metrics_of_each_run(corpus, tmp_path, wandb):
    config = load_config(corpus.config, ["training.trackers=[wandb]", f"out={tmp_path}"])
    accelerator = Accelerator(cpu=True)
    for name in ("seed-0-fold-0", "seed-0-fold-1"):  # one process trains several runs
        with tracking(
            config.training.trackers, config, RunFolder(tmp_path / name), accelerator
        ) as log_metrics:
            log_metrics({"val_auroc": 0.5}, 1)
            log_metrics({"val_auroc": 0.7}, 2)
    first, second = wandb.opened
    assert first.run_name == second.run_name == config.name
    assert [run.options["name"] for run in (first, second)] == ["seed-0-fold-0", "seed-0-fold-1"]
    assert first.options["settings"].console == "off"
    assert first.options["settings"].disable_git
    assert first.rows == second.rows == [(1, {"val_auroc": 0.5}), (2, {"val_auroc": 0.7})]
    assert first.ended
    assert second.ended
    assert not (tmp_path / "seed-0-fold-0" / "tensorboard").exists()


def test_trackers_get_no_path(corpus, tmp_path):
    config = load_config(corpus.config, ["training.epochs=7", f"out={tmp_path}"])
    training = config.training.model_copy(
        update={"init_from": tmp_path, "weights": {"face": tmp_path}}
    )
    settings = list_tracked_settings(config.model_copy(update={"training": training}))
    assert settings["training.epochs"] == 7
    assert settings["model.fusion.kind"] == config.model.fusion.kind
    assert "training.init_from" not in settings
    assert not [value for value in settings.values() if "/" in str(value)]


def test_a_missing_package_is_named_before_the_training(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(trackers, "get_available_trackers", lambda: [LoggerType.TENSORBOARD])
    config = load_config(corpus.config, ["training.trackers=[mlflow]", f"out={tmp_path}"])
    with (
        pytest.raises(ConfigError) as info,
        tracking(
            config.training.trackers, config, RunFolder(tmp_path / "run"), Accelerator(cpu=True)
        ),
    ):
        pass
    assert (info.value.setting, info.value.value) == ("training.trackers", "mlflow")


def test_mlflow_keeps_the_metrics_in_a_folder(corpus, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    config = load_config(corpus.config, ["training.trackers=[mlflow]", f"out={tmp_path}"])
    with tracking(
        config.training.trackers, config, RunFolder(tmp_path / "run"), Accelerator(cpu=True)
    ) as log_metrics:
        log_metrics({"val_auroc": 0.7}, 1)
    runs = mlflow.search_runs(experiment_names=[config.name])
    assert runs["metrics.val_auroc"].tolist() == [0.7]
