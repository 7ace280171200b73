"""No branch of the forward pass depends on data: tensors without values, and compilation."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from depmm.models.fusion.build import build_fusion
from depmm.models.heads import build_head

SIZES = {"adapter_hidden_dim": 24, "adapter_dim": 12, "embed_dim": 16, "n_heads": 2}
SIZES |= {"head_dim": 8, "ffn_dim": 16}
IN_DIMS = {"audio": 10, "face": 14}
FIGURE = {"kind": "dep_former", **SIZES, "layers": [1, 2]}
RELEASE = {"kind": "dep_former_release", **SIZES, "n_stacks": 2, "num_steps": 72}
SETTINGS = {
    "figure": FIGURE,
    "num_steps": {**FIGURE, "num_steps": 72},
    "every_layer": {**FIGURE, "attention_sharing": "every_layer", "fuse": "logits"},
    "none": {**FIGURE, "attention_sharing": "none", "cross_attention": []},
    "fixed": {**FIGURE, "fusion_weights": "fixed", "cross_attention": ["face", "audio"]},
    "release": RELEASE,
    "mean_pool": {"kind": "mean_pool"},
}


def make_inputs(length: int, batch: int = 3):
    features = {name: torch.randn(batch, length, dim) for name, dim in IN_DIMS.items()}
    masks = {name: torch.ones(batch, length, dtype=torch.bool) for name in IN_DIMS}
    return features, masks


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", SETTINGS)
def test_tensors_without_values(name, training, complete):
    lengths = [72] if SETTINGS[name].get("num_steps") else [1, 72, 200]  # sampled keys from 129 on
    with FakeTensorMode():
        fusion = build_fusion(SETTINGS[name], IN_DIMS, 1).train(training)
        for length in lengths:
            logits, _ = fusion(*make_inputs(length), complete=complete)
            loss = build_head("binary", "number", 0, 1).loss(logits, torch.zeros(3)).sum()
            if training:
                loss.backward()


@pytest.mark.slow
@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("name", ["figure", "num_steps", "every_layer", "release"])
def test_compiled_fusions_give_the_same_numbers(name, complete):
    torch.manual_seed(0)
    fusion = build_fusion({**SETTINGS[name], "dropout": 0.0}, IN_DIMS, 1).eval()
    features, masks = make_inputs(72)
    if not complete:
        masks["face"][0, 50:] = masks["audio"][0, 50:] = masks["face"][1] = False
    expected, _ = fusion(features, masks, complete)
    expected.sum().backward()
    gradients = {name: parameter.grad for name, parameter in fusion.named_parameters()}
    fusion.zero_grad()
    torch._dynamo.reset()
    compiled = torch.compile(fusion, fullgraph=True, backend="aot_eager")
    fused, _ = compiled(features, masks, complete)
    torch.testing.assert_close(fused, expected, rtol=1e-4, atol=1e-5)
    fused.sum().backward()
    for name, parameter in fusion.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], rtol=1e-3, atol=1e-4)
