"""Classical models in files: round trips without pickle, and refusal of other content."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from depmm.config import ClassicalModelConfig, ClassicalSettings
from depmm.config.experiment import sections_by_kind
from depmm.files.damage import DamagedFileError
from depmm.models.classical.model import ClassicalModel, fit_model
from depmm.models.classical.saved import load_model, save_model
from depmm.models.errors import ModelError

SMALL = {"random_forest": {"n_trees": 3}, "gradient_boosting": {"n_trees": 3}, "adaboost": {}}
KINDS = [
    (kind, target)
    for kind, section in sections_by_kind(ClassicalModelConfig).items()
    for target in section.targets
]
COLUMNS = {"audio": ["a", "b"], "face": ["c"]}


def fit(kind: str = "ridge", target: str = "binary", fusion: str = "early"):
    rng = np.random.default_rng(0)
    values = {"audio": rng.standard_normal((40, 2)), "face": rng.standard_normal((40, 1))}
    values["audio"][0, 0] = np.nan
    labels = (np.nan_to_num(values["audio"][:, 0]) + values["face"][:, 0] > 0).astype(float)
    settings = ClassicalSettings(
        model={"kind": kind, **SMALL.get(kind, {})},
        measures={"audio": ["voice"], "face": ["face"]},
        fusion=fusion,
    )
    score_range = None if target == "binary" else (0.0, 27.0)
    scores = labels if target == "binary" else 27 * labels
    return fit_model(settings, COLUMNS, values, scores, score_range, 0), values


@pytest.mark.parametrize(("kind", "target"), KINDS)
def test_a_saved_model_predicts_the_same(tmp_path, kind, target):
    model, values = fit(kind, target)
    save_model(model, tmp_path / "model.skops")
    loaded = load_model(tmp_path / "model.skops")
    rows = np.arange(40)
    np.testing.assert_array_equal(loaded.predict(values, rows), model.predict(values, rows))
    assert (loaded.settings, loaded.binary, loaded.score_range, loaded.columns) == (
        model.settings, model.binary, model.score_range, model.columns
    )  # fmt: skip


def test_a_file_with_another_type_is_refused_before_it_is_built(tmp_path):
    built = []

    class Trap(PCA):
        def __setstate__(self, state):
            built.append(state)

    model, _ = fit()
    model.pipelines["all"] = make_pipeline(Trap())
    path = tmp_path / "model.skops"
    path.write_bytes(skops.io.dumps({"format": 1, "pipelines": model.pipelines}))
    with pytest.raises(ModelError) as info:
        load_model(path)
    assert info.value.file == path
    assert any("Trap" in name for name in info.value.value)
    assert not built


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "model.skops"
    for content in (b"pickle", skops.io.dumps({"format": 1}), skops.io.dumps([1])):
        path.write_bytes(content)
        with pytest.raises(DamagedFileError) as info:
            load_model(path)
        assert info.value.file == path


def refusal(model: ClassicalModel, path: Path) -> str:
    """Save a changed model, and return the message with which it is refused."""
    save_model(model, path)
    with pytest.raises(DamagedFileError) as info:
        load_model(path)
    assert info.value.file == path
    return str(info.value)


@pytest.mark.parametrize("field", ["left_child", "right_child", "feature"])
def test_indices_of_trees_are_checked(tmp_path, field):
    model, _ = fit("random_forest")
    tree = model.pipelines["all"][-1].estimators_[0].tree_
    state = tree.__getstate__()
    for value in (10**6, -7, 0 if field != "feature" else 3):
        nodes = state["nodes"].copy()
        nodes[field][0] = value
        tree.__setstate__(state | {"nodes": nodes})
        assert "of a tree" in refusal(model, tmp_path / "model.skops")


@pytest.mark.parametrize("target", ["binary", "severity"])
def test_indices_of_boosted_trees_are_checked(tmp_path, target):
    rng = np.random.default_rng(0)
    values = {"audio": rng.standard_normal((40, 2)), "face": rng.standard_normal((40, 1))}
    labels = (values["face"][:, 0] > 0).astype(float)
    settings = ClassicalSettings(
        model={"kind": "gradient_boosting", "n_trees": 1, "min_samples_leaf": 1},
        measures={"audio": ["voice"], "face": ["face"]},
    )
    scores = None if target == "binary" else (0.0, 1.0)
    model = fit_model(settings, COLUMNS, values, labels, scores, 0)
    estimator = model.pipelines["all"][-1]
    nodes = getattr(estimator, "regressor_", estimator)._predictors[0][0].nodes
    original = nodes.copy()
    assert not original["is_leaf"][0]
    for field, value in (("left", 10**6), ("right", 0), ("feature_idx", 3), ("is_categorical", 1)):
        nodes[:] = original
        nodes[field][0] = value
        assert "of a tree" in refusal(model, tmp_path / "model.skops")


def test_sizes_of_support_vectors_are_checked(tmp_path):
    for target in ("binary", "severity"):
        model, _ = fit("svm", target)
        estimator = model.pipelines["all"][-1]
        estimator = getattr(estimator, "regressor_", estimator)
        estimator._n_support = estimator._n_support + np.int32(1000)
        assert "support vectors" in refusal(model, tmp_path / "model.skops")


def test_other_estimators_than_those_of_the_settings_are_refused(tmp_path):
    path = tmp_path / "model.skops"
    model, _ = fit("ridge")
    other, _ = fit("svm")
    model.pipelines = other.pipelines
    assert "steps" in refusal(model, path)
    model, _ = fit("ridge")
    model.pipelines["all"].steps.insert(0, ("other", StandardScaler()))
    assert "steps" in refusal(model, path)
    model, _ = fit("k_nearest")
    model.pipelines["all"][-1].n_jobs = 1000
    assert "n_jobs" in refusal(model, path)
    model, _ = fit("ridge")
    del model.pipelines["all"][-1].coef_
    assert "does not predict" in refusal(model, path)


def test_compressed_content_is_refused(tmp_path):
    path = tmp_path / "model.skops"
    content = skops.io.dumps(np.zeros(10**6), compression=zipfile.ZIP_DEFLATED)
    assert len(content) < 10**5
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match="compressed"):
        load_model(path)


def test_a_model_of_another_scikit_learn_is_refused(tmp_path, monkeypatch):
    model, _ = fit()
    save_model(model, tmp_path / "model.skops")
    monkeypatch.setattr("sklearn.__version__", "9.9.0")
    with pytest.raises(ModelError) as info:
        load_model(tmp_path / "model.skops")
    assert info.value.file == tmp_path / "model.skops"
