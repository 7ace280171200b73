"""Gated multimodal unit: the equations by hand, and missing modalities."""

import math

import pytest
import torch

from depmm.models.fusion.build import build_fusion
from depmm.models.fusion.gated_multimodal_unit import GatedMultimodalUnit


@torch.no_grad()
def test_two_modalities_by_hand():
    unit = GatedMultimodalUnit({"audio": 1, "face": 1}, 1)
    unit.hidden["audio"].weight.fill_(2.0)
    unit.hidden["face"].weight.fill_(-1.0)
    unit.gates["audio"].weight.copy_(torch.tensor([[1.0, 3.0]]))
    x = {"audio": torch.tensor([[[0.5]]]), "face": torch.tensor([[[0.25]]])}
    hidden, gates = unit(x, None)
    z = 1 / (1 + math.exp(-(0.5 + 0.75)))
    expected = z * math.tanh(1.0) + (1 - z) * math.tanh(-0.25)
    assert (hidden * gates).sum().item() == pytest.approx(expected, abs=1e-6)


@torch.no_grad()
def test_three_modalities_have_a_gate_each():
    torch.manual_seed(0)
    unit = GatedMultimodalUnit({"audio": 2, "face": 3, "gait": 1}, 4)
    x = {"audio": torch.randn(1, 2, 2), "face": torch.randn(1, 2, 3), "gait": torch.randn(1, 2, 1)}
    joined = torch.cat(list(x.values()), -1)
    hidden, gates = unit(x, None)
    for index, name in enumerate(x):
        z = torch.sigmoid(joined @ unit.gates[name].weight.T)
        torch.testing.assert_close(gates[:, :, index], z)
        torch.testing.assert_close(
            hidden[:, :, index], torch.tanh(x[name] @ unit.hidden[name].weight.T)
        )


@torch.no_grad()
def test_gates_of_missing_modalities_are_given_to_the_others():
    torch.manual_seed(0)
    dims = {"audio": 2, "face": 2, "gait": 2}
    unit = GatedMultimodalUnit(dims, 3)
    x = {name: torch.randn(1, 3, 2) for name in dims}
    present = torch.tensor([[[True, True, True], [True, False, True], [False, False, False]]])
    full = unit(x, None)[1]
    gates = unit(x, present)[1]
    torch.testing.assert_close(gates[:, 0], full[:, 0])
    assert not gates[:, 1, 1].any()
    torch.testing.assert_close(gates[:, 1].sum(1), full[:, 1].sum(1))
    assert not gates[:, 2].any()
    pair = GatedMultimodalUnit({"audio": 2, "face": 2}, 3)
    alone = pair({n: x[n] for n in ("audio", "face")}, torch.tensor([[[False, True]] * 3]))[1]
    torch.testing.assert_close(alone[:, :, 1], torch.ones(1, 3, 3))


def test_parameters_of_the_paper():
    """Unit of the experiment of the paper: 4096 and 300 features, 512 hidden, Eqs. (1) to (3)."""
    unit = GatedMultimodalUnit({"text": 300, "visual": 4096}, 512)
    assert sum(p.numel() for p in unit.parameters()) == 2 * 512 * (300 + 4096)


@torch.no_grad()
def test_one_modality_has_no_gate():
    torch.manual_seed(0)
    model = build_fusion({"kind": "gated_multimodal_unit", "hidden_dim": 4}, {"audio": 3}, 1).eval()
    assert len(model.unit.gates) == 0
    x = torch.randn(2, 5, 3)
    fused, branches = model({"audio": x}, {"audio": torch.ones(2, 5, dtype=torch.bool)})
    expected = model.output_layer[1](torch.tanh(model.unit.hidden["audio"](x)).mean(1))
    torch.testing.assert_close(fused, expected)
    torch.testing.assert_close(branches["audio"], fused)
