"""The public API: names, examples, and loading of models by other libraries."""

import doctest
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import depmm
from depmm.inputs import Inputs

NAMES = [name for name in depmm.__all__ if name != "__version__"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run a small demo: corpus, store, explained run and a video."""
    from depmm.config import load_extract_config
    from depmm.corpora.index import index_corpus
    from depmm.corpora.manifest import write_manifest
    from depmm.corpora.spec import load_spec
    from depmm.simulation.word_reading import simulate_word_reading
    from depmm.store.extract import extract

    folder = tmp_path_factory.mktemp("demo")
    simulate_word_reading(folder / "recordings", subjects=12, steps=12, seed=0, workers=1)
    manifest, _ = index_corpus(load_spec("ewre_simulated"), folder / "recordings")
    write_manifest(manifest, folder / "corpora" / "demo" / "manifest")
    store = folder / "stores" / "demo"
    extract(manifest, folder / "recordings", store, load_extract_config("demo"), workers=0)
    video = next((folder / "recordings").rglob("*.mp4"))
    video.rename(folder / "reading.mp4")
    words = manifest.steps[manifest.steps["session"] == video.stem]
    words[["start_s", "end_s", "text"]].to_csv(folder / "steps.csv", index=False)
    before = Path.cwd()
    os.chdir(folder)
    try:
        run = depmm.train("demo", ["training.epochs=1", "data.workers=0"])
        depmm.explain(run)
        predictions = pd.read_parquet(run / "predictions.parquet")
        columns = ["subject", "session", "y_true", "y_prob"]
        other = predictions.loc[predictions["split"] == "test", columns]
        other.assign(y_prob=other["y_prob"] / 2).to_csv("other.csv", index=False)
    finally:
        os.chdir(before)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_examples_run(name, demo, monkeypatch):
    monkeypatch.chdir(demo)
    value = getattr(depmm, name)
    tests = doctest.DocTestFinder(recurse=False).find(value, name, globs={})
    assert sum(len(test.examples) for test in tests) >= 3
    for test in tests:
        result = doctest.DocTestRunner(verbose=False).run(test)
        assert result.failed == 0


def test_module_example_runs():
    (test,) = doctest.DocTestFinder(recurse=False).find(depmm, "depmm", globs={})
    assert doctest.DocTestRunner(verbose=False).run(test) == doctest.TestResults(0, 3)


def test_unknown_names_are_attribute_errors():
    assert set(dir(depmm)) == set(depmm.__all__)
    with pytest.raises(AttributeError):
        depmm.fit  # noqa: B018


@pytest.mark.parametrize(
    "imports",
    [
        "import depmm; from transformers import AutoConfig, AutoModel",
        "from transformers import AutoConfig, AutoModel; import depmm",
        "import depmm.models.model; from transformers import AutoConfig, AutoModel",
        "import depmm; from transformers import AutoModel, AutoConfig",
        "from transformers import AutoModel, AutoConfig; import depmm",
        "import depmm; from transformers import PreTrainedModel, Trainer, AutoConfig, AutoModel",
        "import depmm; from transformers import AutoImageProcessor, AutoModel, AutoConfig",
        "import depmm; from transformers import AutoFeatureExtractor, AutoModel, AutoConfig",
    ],
)
def test_auto_classes_load_the_model(imports, demo):
    code = (
        f"{imports}\n"
        "print(type(AutoConfig.from_pretrained('runs/demo')).__name__)\n"
        "print(type(AutoModel.from_pretrained('runs/demo')).__name__)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(depmm.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=demo, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["DepressionConfig", "DepressionModel"]


def test_a_fold_of_a_cross_validation_is_loaded_in_half_precision(demo, monkeypatch):
    monkeypatch.chdir(demo)
    settings = ["split={kind: k_fold, folds: 2}", "training.epochs=1", "name=halves"]
    run = depmm.cross_validate("demo", [*settings, "data.workers=0"])
    fold = depmm.DepressionModel.from_pretrained(run, subfolder="seed-0-fold-1")
    same = depmm.DepressionModel.from_pretrained(run / "seed-0-fold-1")
    for name, value in fold.state_dict().items():
        assert torch.equal(value, same.state_dict()[name]), name
    half = depmm.DepressionModel.from_pretrained(run / "seed-0-fold-1", dtype=torch.bfloat16)
    assert next(half.parameters()).dtype == torch.bfloat16
    inputs = {
        "audio": Inputs(
            torch.randn(1, 12, 16_000, generator=torch.Generator().manual_seed(0)),
            np.full((1, 12), 16_000),
        ),
        "face": Inputs(
            torch.randint(0, 256, (1, 12, 4, 3, 56, 56), dtype=torch.uint8), np.full((1, 12), 4)
        ),
    }
    with torch.no_grad():
        full, rounded = fold.eval()(inputs).prediction, half.eval()(inputs).prediction
    torch.testing.assert_close(rounded.float(), full, rtol=0, atol=3e-2)
