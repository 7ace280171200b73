"""The form of DEP-Former with tensor operations only, against the model itself."""

import copy

import pytest
import torch
from model_builders import FUSIONS

from depmm.models.fusion.build import build_fusion
from depmm.models.fusion.dep_former.query_selection import QuerySelection
from depmm.models.onnx.attention import ExportedSelection, replace_attention

IN_DIMS = {"audio": 12, "face": 6}


def random_steps(batch: int, length: int) -> tuple[dict, dict]:
    """Make features and masks; every session has a step with each modality."""
    features = {name: torch.randn(batch, length, dim) for name, dim in IN_DIMS.items()}
    masks = {name: torch.rand(batch, length) < 0.7 for name in IN_DIMS}
    for mask in masks.values():
        mask[:, 0] = True
    return features, masks


@pytest.mark.parametrize("rounding", ["ceil", "floor"])
def test_the_selected_queries_are_counted_from_the_mask(rounding):
    selection = QuerySelection(5, rounding)
    lengths = torch.arange(1, 3000).unsqueeze(1)
    counts = ExportedSelection(selection).count(lengths).squeeze(1).tolist()
    assert counts == [selection.count(n) for n in range(1, 3000)]


@pytest.mark.parametrize("sharing", ["after_encoders", "every_layer", "none"])
@torch.no_grad()
def test_any_number_of_steps_gives_the_prediction_of_the_model(sharing):
    torch.manual_seed(0)
    settings = {**FUSIONS["dep_former"], "layers": [1, 1], "attention_sharing": sharing}
    fusion = build_fusion({"kind": "dep_former", **settings}, IN_DIMS, 1).eval()
    exported = copy.deepcopy(fusion)
    replace_attention(exported)
    for length in (1, 2, 3, 24, 129, 200):  # above 128 steps, keys are sampled
        features, masks = random_steps(3, length)
        masks["face"][2] = False  # a missing modality
        expected, _ = fusion(features, masks)
        assert torch.allclose(exported(features, masks)[0], expected, atol=1e-5)
