"""The diffs of the how-to pages apply to today's files, and what they add can be trained."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOW_TO = ROOT / "docs" / "how-to"
# added and removed lines per file, which the pages state
SIZES = {"own_encoder": (5, 61, 0), "own_fusion": (5, 74, 1), "own_modality": (2, 6, 1)}
TRIAL = """
import json
from pathlib import Path

import torch
import depmm
from model_builders import inputs_of, model_of
from depmm.config import load_config
from depmm.corpora.spec import load_spec
from depmm.inputs import Inputs
from depmm.models.model import build_model

def train_step(model, inputs):
    optimizer = torch.optim.SGD(model.train().parameters(), lr=0.1)
    before = [p.detach().clone() for p in model.parameters()]
    loss = model.head.loss(model(inputs).logits, torch.tensor([0.0, 1.0])).sum()
    loss.backward()
    optimizer.step()
    moved = [not torch.equal(a, b) for a, b in zip(before, model.parameters())]
    return loss.isfinite().item() and all(moved)

audio = inputs_of("sound_level")["audio"]
config = load_config("my_config.yaml")
gait = Inputs(torch.randn(2, 2, 80, 3), [[80, 80], [0, 40]])
stream = load_spec("clinic.yaml").recordings[1]
print(json.dumps({
    "package": depmm.__file__,
    "encoder": load_config(
        "demo_audio_only", ["model.encoders.audio={kind: sound_level}"]
    ).model.encoders["audio"].kind,
    "fusion": load_config("demo", ["model.fusion={kind: max_pool}"]).model.fusion.kind,
    "stream": [stream.modalities, stream.features.name, stream.features.columns],
    "trained": [
        train_step(model_of("sound_level", "mean_pool"), {"audio": audio}),
        train_step(model_of("mfcc_cnn", "max_pool"), {"audio": audio}),
        train_step(build_model(config.model), {"audio": audio, "gait": gait}),
    ],
    "modalities": config.data.modalities,
}))
"""


def block(page: str, language: str) -> str:
    """Return the only code block of a how-to page in a language."""
    text = (HOW_TO / f"{page}.md").read_text(encoding="utf-8")
    (content,) = re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)
    return content


@pytest.mark.slow
def test_the_diffs_of_the_pages_apply_and_train(tmp_path):
    # with its compiled modules, which are valid because the times of the files are kept
    shutil.copytree(ROOT / "depmm", tmp_path / "depmm")
    shutil.copytree(ROOT / "experiments" / "configs", tmp_path / "experiments" / "configs")
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "model_builders.py", tmp_path / "tests")
    (tmp_path / "clinic.yaml").write_text(block("own_corpus", "yaml"))
    (tmp_path / "my_config.yaml").write_text(block("own_modality", "yaml"))
    for page, size in SIZES.items():
        diff = block(page, "diff")
        for option in ("--numstat", "--apply"):
            done = subprocess.run(
                ["git", "apply", option, "-"],
                input=diff, cwd=tmp_path, capture_output=True, text=True,
            )  # fmt: skip
            assert done.returncode == 0, (page, done.stderr)
            if option == "--numstat":
                counts = [line.split("\t")[:2] for line in done.stdout.splitlines()]
                added, removed = (sum(map(int, column)) for column in zip(*counts, strict=True))
                assert (len(counts), added, removed) == size

    path = os.pathsep.join(map(str, (tmp_path, tmp_path / "tests")))
    done = subprocess.run(
        [sys.executable, "-c", TRIAL],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert Path(result.pop("package")).is_relative_to(tmp_path)
    assert result == {
        "encoder": "sound_level",
        "fusion": "max_pool",
        "stream": [["gait"], "joints", ["knee", "hip", "arm"]],
        "trained": [True, True, True],
        "modalities": ["audio", "gait"],
    }
