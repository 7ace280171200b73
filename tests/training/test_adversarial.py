"""Domain-adversarial training and balanced corpora."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from trained_runs import AUDIO, train_run

from depmm.config import AdversarialConfig, ConfigError, TrainingConfig, load_config
from depmm.data.errors import DataError
from depmm.data.nuisance import MISSING, encode_nuisance
from depmm.files.checksums import read_table
from depmm.interpret.probe import SessionEmbeddings, embed_run, measure_nuisance
from depmm.models.adversary import NuisanceHeads, measure_embedding_size
from depmm.models.model import DepressionModel, build_model
from depmm.runs.folder import RunFolder
from depmm.training.adversarial import (
    adversarial_strength,
    compute_nuisance_loss,
    is_adversary_weak,
)
from depmm.training.losses import compute_session_weights
from depmm.training.optim import build_optimizer, set_learning_rate

SECTION = "training.adversarial"
ADVERSARIAL = "training.adversarial={nuisance: [gender], hidden_dim: 4}"


def test_the_strength_follows_the_paper():
    settings = AdversarialConfig(nuisance=["gender"], weight=2.0)
    assert adversarial_strength(settings, 0.0) == 0
    assert adversarial_strength(settings, 0.5) == pytest.approx(2 * (2 / (1 + math.exp(-5)) - 1))
    assert adversarial_strength(settings, 1.0) == pytest.approx(2.0, abs=1e-3)


def test_missing_values_and_values_without_training_sessions_have_no_loss():
    sessions = pd.DataFrame(
        {"split": ["train", "train", "train", "test", "test"],
         "device": ["b", "a", None, "a", "c"], "n": [1, 2, 1, 3, 2]}
    )  # fmt: skip
    labels, classes = encode_nuisance(sessions, ["device", "n"], SECTION)
    assert labels["device"].tolist() == [1, 0, MISSING, 0, MISSING]
    assert classes == {"device": ["a", "b"], "n": ["1", "2"]}
    logits = {"device": torch.tensor([[0.0, 2.0], [0.0, 2.0], [5.0, -5.0]])}
    target = {"device": torch.from_numpy(labels["device"][:3])}
    weight = torch.tensor([0.5, 0.25, 0.25])
    loss = compute_nuisance_loss(logits, target, weight)
    expected = 0.5 * math.log(1 + math.exp(-2)) + 0.25 * math.log(1 + math.exp(2))
    assert float(loss) == pytest.approx(expected, abs=1e-5)
    with pytest.raises(DataError) as error:
        encode_nuisance(sessions, ["site"], SECTION)
    assert error.value.column == "site"
    with pytest.raises(DataError) as error:
        encode_nuisance(sessions, ["split"], SECTION)
    assert error.value.value == ["train"]


def test_the_target_is_no_nuisance(corpus):
    with pytest.raises(ConfigError) as error:
        load_config(corpus.config, ["training.adversarial={nuisance: [label]}"])
    assert error.value.setting == "training.adversarial.nuisance"
    with pytest.raises(ConfigError):
        load_config(corpus.config, ["training.adversarial={nuisance: [gender, gender]}"])
    with pytest.raises(ConfigError) as error:
        load_config(corpus.config, ["training.concept_erasure={nuisance: [label]}"])
    assert error.value.setting == "training.concept_erasure.nuisance"


def test_heads_change_the_training_and_are_not_saved(corpus, tmp_path):
    epochs = ["training.epochs=1", "training.learning_rate=1.0e-2", "training.batch_size=2"]
    plain = train_run(corpus, tmp_path / "plain", *AUDIO, *epochs)
    run = train_run(corpus, tmp_path / "run", *AUDIO, *epochs, ADVERSARIAL)
    first, second = (DepressionModel.from_pretrained(r.path).state_dict() for r in (plain, run))
    assert set(first) == set(second)
    assert any(not torch.equal(first[name], second[name]) for name in first)
    weak = ADVERSARIAL.replace("hidden_dim", "weight: 1.0e-12, hidden_dim")
    same = train_run(corpus, tmp_path / "weak", *AUDIO, *epochs, weak)
    third = DepressionModel.from_pretrained(same.path).state_dict()
    # the same initial weights and batches: only the reversed gradient differs
    for name, value in first.items():
        assert torch.allclose(value, third[name], atol=1e-6), name
    assert isinstance(run, RunFolder)


def test_erasure_changes_the_output_layers_only(corpus, tmp_path):
    epochs = ["training.epochs=1", "training.learning_rate=1.0e-2", "training.batch_size=2"]
    erase = "training.concept_erasure={nuisance: [gender]}"
    plain = train_run(corpus, tmp_path / "plain", *AUDIO, *epochs)
    run = train_run(corpus, tmp_path / "run", *AUDIO, *epochs, erase)
    first, second = (DepressionModel.from_pretrained(r.path).state_dict() for r in (plain, run))
    assert set(first) == set(second)
    changed = {name for name in first if not torch.equal(first[name], second[name])}
    assert changed == {
        "fusion.output_layers.audio.1.weight",
        "fusion.output_layers.audio.1.bias",
    }
    split = read_table(run.predictions).set_index("session")
    erased = embed_run(run, torch.device("cpu"))
    train = (erased.sessions["split"] == "train").to_numpy()
    gender = erased.sessions["gender"].to_numpy()[train]
    means = [erased.embeddings[train][gender == g].mean(axis=0) for g in ("female", "male")]
    assert means[0] == pytest.approx(means[1], abs=1e-6)
    # the output layer gives the same logits for the embedding with and without the nuisance
    weight, bias = (
        second[f"fusion.output_layers.audio.1.{n}"].double() for n in ("weight", "bias")
    )
    logits = torch.from_numpy(erased.embeddings) @ weight[0] + bias
    expected = split.loc[erased.sessions["session"], "y_prob"].to_numpy()
    assert torch.sigmoid(logits).numpy() == pytest.approx(expected, abs=1e-5)


def test_classes_are_weighted_within_each_corpus():
    labels, corpora = [1, 0, 0, 0, 1, 1, 0], ["a"] * 4 + ["b"] * 3
    weights = compute_session_weights(labels, True, corpora)
    assert weights[:4].tolist() == pytest.approx([2, 2 / 3, 2 / 3, 2 / 3])
    assert weights[4:].tolist() == pytest.approx([0.75, 0.75, 1.5])
    assert compute_session_weights(labels, False, corpora).tolist() == [1.0] * 7
    assert np.mean(weights) == pytest.approx(1)


def test_the_best_epoch_is_one_with_a_strong_adversary():
    settings = TrainingConfig(epochs=30, adversarial=AdversarialConfig(nuisance=["gender"]))
    weak = [is_adversary_weak(settings, epoch) for epoch in range(30)]
    # 2 / (1 + exp(-10 p)) - 1 = .95 at p = ln(39) / 10
    assert weak.index(False) == math.ceil(30 * math.log(39) / 10)
    assert not any(weak[weak.index(False) :])
    assert not is_adversary_weak(TrainingConfig(epochs=30), 0)


def test_the_heads_have_a_higher_learning_rate(corpus):
    settings = load_config(corpus.config, [*AUDIO, ADVERSARIAL])
    model = build_model(settings.model)
    model.nuisance_heads = NuisanceHeads(measure_embedding_size(model), {"gender": 2}, 4)
    optimizer = build_optimizer(model, settings.training)
    set_learning_rate(optimizer, 0.1)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert len(rates) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        expected = 1.0 if name.startswith("nuisance_heads.") else 0.1
        assert rates[id(parameter)] == pytest.approx(expected)


def unlearn(strength: float, seed: int, n_steps: int = 500) -> float:
    """Train on rows whose first two columns show a confounded nuisance; return its readability."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    label = (torch.arange(120) % 2).float()
    nuisance = torch.where(torch.rand(120, generator=generator) < 0.75, label, 1 - label)
    x = torch.randn(120, 20, generator=generator)
    x[:, :2] += 5 * (nuisance - 0.5).unsqueeze(1)
    x[:, 2] += 2 * (label - 0.5)
    encoder = nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 8))
    output, heads = nn.Linear(8, 1), NuisanceHeads(8, {"gender": 2}, 100)
    settings = AdversarialConfig(nuisance=["gender"], weight=max(strength, 1.0))
    groups = [
        {"params": [*encoder.parameters(), *output.parameters()], "lr": 3e-3},
        {"params": heads.parameters(), "lr": 3e-3 * settings.learning_rate_factor},
    ]
    optimizer = torch.optim.AdamW(groups)
    for step in range(n_steps):
        rows = torch.randint(0, 60, (8,), generator=generator)
        heads.strength = strength * adversarial_strength(settings, step / n_steps)
        embedding = encoder(x[rows])
        logits = {"gender": heads(embedding)["gender"]}
        loss = nn.functional.binary_cross_entropy_with_logits(output(embedding)[:, 0], label[rows])
        weight = torch.full((8,), 1 / 8)
        loss = loss + compute_nuisance_loss(logits, {"gender": nuisance[rows].long()}, weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        embedded = encoder(x[60:]).double().numpy()
    sessions = pd.DataFrame(
        {"corpus": "c", "subject": np.arange(60).astype(str), "session": "s", "split": "test",
         "gender": nuisance[60:].int().tolist()}
    )  # fmt: skip
    found = measure_nuisance([SessionEmbeddings(embedded, sessions, seed)], "gender")
    value: float = found["balanced_accuracy"]
    return value


@pytest.mark.slow
def test_a_confounded_nuisance_is_unlearned():
    plain, adversarial = ([unlearn(s, seed) for seed in range(3)] for s in (0.0, 1.0))
    assert np.mean(plain) > 0.8
    assert np.mean(adversarial) < np.mean(plain) - 0.08
