"""Cross-attention by hand, and mean and deviation of the Bernoulli fusion."""

from itertools import product

import numpy as np
import pytest
import torch

from depmm.models.fusion.dep_former.fusion import BernoulliFusion, CrossAttention

BRANCHES = ["multimodal", "audio", "face", "cross"]


def bernoulli_fusion(*probabilities: float) -> BernoulliFusion:
    fusion = BernoulliFusion(BRANCHES[: len(probabilities)], learned=True)
    with torch.no_grad():
        fusion.gate_logit.copy_(torch.logit(torch.tensor(probabilities)))
    return fusion.eval()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_bernoulli_fusion_expectation_and_samples():
    fuse = BernoulliFusion(["multimodal", "cross", "face", "audio"], learned=True)
    torch.nn.init.constant_(fuse.gate_logit, 0.7)
    logits = torch.tensor([[[1.0], [2.0], [3.0], [4.0]]])
    present = torch.ones(1, 4, dtype=torch.bool)
    p = torch.sigmoid(torch.tensor(0.7))
    fuse.eval()
    torch.testing.assert_close(fuse(logits, present), (10 * p).reshape(1, 1))
    draws = fuse.sample(logits, present, 4000, torch.Generator().manual_seed(0))
    assert draws.shape == (4000, 1, 1)
    assert abs(draws.mean().item() - 10 * p.item()) < 0.15
    # without the face branch, the other branches have the same total weight
    present[0, 2] = False
    torch.testing.assert_close(fuse(logits, present), (7 * p * 4 / 3).reshape(1, 1))
    fixed = BernoulliFusion(["multimodal", "cross", "face", "audio"], learned=False)
    torch.testing.assert_close(fixed(logits, ~torch.zeros(1, 4).bool()), torch.tensor([[1.9]]))
    assert not list(fixed.parameters())


def test_mean_and_deviation_of_samples_are_those_of_all_gate_patterns():
    p = [0.9, 0.5, 0.3, 0.2]
    fusion = bernoulli_fusion(*p)
    z = torch.tensor([[[1.0], [-2.0], [0.5], [3.0]]])
    present = torch.ones(1, 4, dtype=torch.bool)
    sampled = fusion.sample(z, present, 20_000, generator())
    assert sampled.shape == (20_000, 1, 1)
    patterns = list(product([0, 1], repeat=4))
    probabilities = [
        np.prod([q if g else 1 - q for g, q in zip(gates, p, strict=True)]) for gates in patterns
    ]
    fused = np.array([np.dot(gates, z.flatten().numpy()) for gates in patterns])
    mean = np.dot(probabilities, fused)
    deviation = np.sqrt(np.dot(probabilities, (fused - mean) ** 2))
    assert fusion(z, present).item() == pytest.approx(mean, abs=1e-5)
    assert sampled.mean().item() == pytest.approx(mean, abs=4 * deviation / np.sqrt(20_000))
    assert sampled.std().item() == pytest.approx(deviation, rel=0.02)


def test_a_missing_branch_is_ignored():
    fusion = bernoulli_fusion(0.9, 0.5, 0.3)
    z = torch.tensor([[[1.0], [-2.0], [0.5]]])
    present = torch.tensor([[True, True, False]])
    sampled = fusion.sample(z, present, 20_000, generator())
    z[0, 2] = 1e6
    torch.testing.assert_close(fusion.sample(z, present, 20_000, generator()), sampled)
    assert sampled.mean().item() == pytest.approx(fusion(z, present).item(), abs=0.05)


@pytest.mark.parametrize("p", [(1.0, 1.0), (1.0, 0.0), (0.0, 1.0)])
def test_certain_gates_do_not_vary(p):
    fusion = bernoulli_fusion(*p)
    z, present = torch.randn(5, 2, 1, generator=generator()), torch.ones(5, 2, dtype=torch.bool)
    sampled = fusion.sample(z, present, 50, generator())
    torch.testing.assert_close(sampled, fusion(z, present).expand(50, 5, 1), rtol=0, atol=1e-6)
    assert (sampled == sampled[:1]).all()  # exactly: gates of 0 and 1 cause no rounding


@torch.no_grad()
def test_cross_attention_by_hand():
    torch.manual_seed(0)
    layer = CrossAttention(4, n_heads=1, head_dim=3, dropout=0.5).eval()
    query, key, value = (torch.randn(2, 3, 4) for _ in range(3))
    key_mask = torch.tensor([[True, True, False], [False, False, False]])
    out = layer(query, key, value, key_mask)
    scores = layer.query(query[0]) @ layer.key(key[0, :2]).T / 3**0.5
    attended = layer.out(scores.softmax(-1) @ layer.value(value[0, :2]))
    torch.testing.assert_close(out[0], layer.norm(query[0] + attended), rtol=1e-4, atol=1e-5)
    assert out[1].isfinite().all()  # session without the key modality
