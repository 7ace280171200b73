"""Every config: a training step of its model at full size, and the figures of its header."""

import re
from fnmatch import filter as matching
from pathlib import Path

import numpy as np
import pytest
import torch
from imitated_gpu import CudaAutocast, OneDevice
from model_builders import text_inputs
from pretrained_sources import write_sources

from depmm.config import Config, load_experiment
from depmm.inputs import Inputs
from depmm.models.model import build_model
from depmm.training.losses import compute_batch_loss
from depmm.training.optim import build_optimizer, set_learning_rate
from experiments.results_page import TEMPLATE, Page

FOLDER = Path(__file__).parents[2] / "experiments" / "configs"
CONFIGS = {path: load_experiment(path) for path in sorted(FOLDER.glob("*.yaml"))}


def describe_step(config: Config) -> str:
    """Describe all settings on which a training step of this test depends."""
    data, target, training = config.data, config.target, config.training
    optimizer = training.optimizer, training.momentum, training.weight_decay, training.decay_biases
    return repr(
        (
            config.model, data.features, data.modalities, data.face_size, data.frames_per_step,
            target.kind, target.output, optimizer, training.auxiliary_loss_weight,
        )
    )  # fmt: skip


# one config of those that differ only in their corpus
NETWORKS = list(
    {describe_step(c): path for path, c in CONFIGS.items() if isinstance(c, Config)}.values()
)


def make_batch(config: Config) -> dict[str, Inputs]:
    """Make a batch of two sessions with two steps and one step."""
    generator = torch.Generator().manual_seed(0)
    present = np.array([[1, 1], [1, 0]])
    batch = {}
    for name in config.data.features:
        encoder = config.model.encoders[name]
        width = {
            "face_map": lambda e: e.face_size**2,
            "voice_vector": lambda e: e.bands * e.columns,
            "feature_cnn": lambda e: e.features,
        }[encoder.kind](encoder)
        rows = torch.randn(2, 2, 10, width, generator=generator)
        rows[0, 0, 3] = torch.nan
        batch[name] = Inputs(rows, present * [[10, 8], [10, 0]])
    signals = set(config.data.modalities) - set(config.data.features)
    if "audio" in signals:
        waveform = (torch.rand(2, 2, 12000, generator=generator) - 0.5) / 10
        batch["audio"] = Inputs(waveform, present * [[12000, 9000], [12000, 0]])
    if "face" in signals:
        size, frames = config.data.face_size, min(2, config.data.frames_per_step)
        shape = (2, 2, frames, 3, size, size)
        crops = torch.randint(0, 256, shape, generator=generator).byte()
        batch["face"] = Inputs(crops, present * frames)
    if "text" in signals:
        batch["text"] = text_inputs([["I sleep badly.", "No."], ["Yes, I do."]])
    return batch


@pytest.mark.slow
@pytest.mark.parametrize("path", NETWORKS, ids=lambda path: path.stem)
def test_every_config_takes_a_training_step(path, tmp_path):
    overrides = write_sources(load_experiment(path), tmp_path)
    config = load_experiment(path, overrides)
    if config.model.num_steps is not None:
        overrides.append("model.fusion.num_steps=2")  # as in make_batch
        config = load_experiment(path, overrides)
    torch.manual_seed(0)
    model = build_model(config.model, config.target.kind, (0.0, 3.0), config.target.output).train()
    optimizer = build_optimizer(model, config.training)
    set_learning_rate(optimizer, 1e-3)
    before = {name: value.clone() for name, value in model.named_parameters()}
    batch = make_batch(config)
    with OneDevice():
        output = model(batch)
    weight = torch.tensor([0.5, 0.5])
    loss = compute_batch_loss(
        model.head,
        output,
        torch.tensor([0.0, 1.0]),
        weight,
        config.training.auxiliary_loss_weight,
        config.training.branch_loss_weight,
    )
    loss.backward()
    optimizer.step()
    assert torch.isfinite(loss)
    changed = [name for name, value in model.named_parameters() if not value.equal(before[name])]
    frozen = [name for name, value in model.named_parameters() if not value.requires_grad]
    assert changed
    assert not set(changed) & set(frozen)
    half = torch.autocast("cpu", dtype=torch.bfloat16)
    with torch.no_grad(), half, CudaAutocast():
        assert model(batch).prediction.isfinite().all()


@pytest.fixture(scope="module")
def tables():
    """Names of the tables of the results page, also of those that are not recorded yet."""
    page = Page()
    page.render(TEMPLATE.read_text(encoding="utf-8"))
    return [*page.used, *page.missing]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_expected_figures_are_in_tables_or_published(path, tables):
    header = path.read_text(encoding="utf-8")
    (expected,) = re.findall(r"^# expected(.*\n(?:#   .*\n)*)", header, re.MULTILINE)
    text = " ".join(expected.replace("\n#", " ").split())
    measured = re.split("paper|on the official test set", text)[0]
    assert not re.search(r"(?<!\w)\.\d|\[", measured)
    for names in re.findall(r"tables? (.+?) of experiments/README", measured):
        for name in re.findall(r"\b[a-z]+_[a-z_*]+", names.replace("the table", "")):
            assert matching(tables, name), name
