"""Attention received: by hand, in parts, and as a part of the output of a layer."""

import numpy as np
import pytest
import torch
from attention_models import FUSION, LAYER, build_tiny, get_layer, get_layers, make_steps
from einops import rearrange

from depmm.interpret.attribution.attention import compute_attention_received, record_attention
from depmm.models.masking import masked_mean


def test_attention_received_by_hand():
    k = torch.tensor([3.0, 1.0]).log().reshape(1, 1, 2, 1)
    q = torch.tensor([1.0, 0.0]).reshape(1, 1, 2, 1)  # reads .75, .25 and .5, .5
    mask = torch.ones(1, 2, dtype=torch.bool)
    for weight, expected in (([1, 0], [3 / 4, 1 / 4]), ([1, 0.5], [2 / 3, 1 / 3])):
        given = torch.tensor(weight).float().reshape(1, 1, 2)
        received = compute_attention_received(q, k, given, mask).flatten().tolist()
        assert received == pytest.approx(expected, abs=1e-6)
    mask[0, 0] = False
    received = compute_attention_received(q, k, given, mask).flatten().tolist()
    assert received == pytest.approx([0, 1], abs=1e-6)


def test_attention_received_in_several_parts():
    q, k = torch.randn(2, 1, 2, 300, 4, generator=torch.Generator().manual_seed(0))
    weight = torch.linspace(0.1, 1, 300).expand(1, 2, -1)
    read = (q @ k.transpose(-1, -2) / 2).softmax(-1)
    expected = (weight.unsqueeze(-1) * read).sum(2) / weight.sum(-1, keepdim=True)
    received = compute_attention_received(q, k, weight, torch.ones(1, 300, dtype=torch.bool))
    torch.testing.assert_close(received, expected)


@pytest.mark.parametrize(
    "changes",
    [
        {"attention_sharing": "every_layer"},
        {"sampling_factor": 3},
        {"sampling_factor": 100},
        {"attention_sharing": "none"},
    ],
)
@torch.no_grad()
def test_attention_received_explains_the_output(changes):
    """The sum of a layer's output over the present positions is a function of it.

    ``sum_q out = n mean(v) + W (received . v - mean(v))`` with W the sum of the weights.
    """
    model = build_tiny(**changes)
    features, masks = make_steps([24, 10, 24])
    masks["face"][2, ::3] = False  # the shared index selects some of these
    n_heads, outputs = FUSION["n_heads"], {}
    has_unit = "attention_sharing" not in changes
    for encoder in ("multimodal", "face"):
        for block, layer in get_layers(encoder if has_unit else "multimodal"):
            attention = get_layer(model, encoder, block, layer).attention
            attention = getattr(attention, "attention", attention)
            key = (encoder, block, layer)
            attention.project.register_forward_hook(
                lambda module, args, out, key=key: outputs.update({(*key, "v"): out})
            )
            attention.out.register_forward_hook(
                lambda module, args, out, key=key: outputs.update({(*key, "out"): args[0]})
            )
    table = record_attention(model, features, masks).attention
    table = table[table["encoder"] != "audio"]
    for (row, encoder, block, layer, head), steps in table.groupby(LAYER):
        v = rearrange(
            outputs[encoder, block, layer, "v"], "b l (n h d) -> n b h l d", n=3, h=n_heads
        )
        out = rearrange(outputs[encoder, block, layer, "out"], "b l (h d) -> b h l d", h=n_heads)
        v, out = v[2, row, head], out[row, head]
        token = np.arange(len(steps)) // 2**block
        if row == 2:
            if block > 0:
                continue  # tokens of missing steps have no row to take their share from
            token = steps["step"].to_numpy()
        steps = steps.assign(token=token)
        first = steps.drop_duplicates("token")
        a = first["confidence"].fillna(1)
        weight = (a * first["selected"] + (1 - a) * first["shared_selected"].fillna(False)).sum()
        received, present = torch.zeros(len(v)), torch.zeros(1, len(v), dtype=torch.bool)
        shares = steps.groupby("token")["attention_received"].sum()
        received[shares.index], present[0, shares.index] = torch.tensor(shares.to_numpy()), True
        mean = masked_mean(v[None], present)[0]
        expected = present.sum() * mean + weight * (received @ v - mean)
        torch.testing.assert_close(out[present[0]].sum(0), expected, rtol=1e-4, atol=1e-4)
