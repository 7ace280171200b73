"""Classical models in files: round trips without pickle, and refusal of other content."""

import numpy as np
import pytest
import skops.io
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline

from depmm.config import ClassicalModelConfig, ClassicalSettings
from depmm.config.experiment import sections_by_kind
from depmm.files.damage import DamagedFileError
from depmm.models.classical.model import fit_model
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


def test_a_model_of_another_scikit_learn_is_refused(tmp_path, monkeypatch):
    model, _ = fit()
    save_model(model, tmp_path / "model.skops")
    monkeypatch.setattr("sklearn.__version__", "9.9.0")
    with pytest.raises(ModelError) as info:
        load_model(tmp_path / "model.skops")
    assert info.value.file == tmp_path / "model.skops"
