"""Image transformers: equal to the transformers library for single crops, for any batch."""

import shutil

import numpy as np
import pytest
import torch
from model_builders import random_crops
from PIL import Image
from torch import Tensor
from transformers import AutoConfig, AutoImageProcessor, AutoModel, ViTForImageClassification
from vision_sources import SIZES, write_processor, write_vision_source

from depmm.config import ModelConfig
from depmm.models.encoders import image_transformer
from depmm.models.encoders.image_transformer import ImageTransformer
from depmm.models.errors import ModelError
from depmm.models.model import DepressionModel, build_model

FAMILIES = ["vit", "deit", "beit", "dinov2", "dinov2_with_registers", "dinov3_vit"]
FAMILIES += ["clip", "siglip"]
LENGTHS = [4, 1, 2]
LORA = {"rank": 2, "alpha": 4.0, "dropout": 0.0, "targets": []}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_vision_source(tmp_path_factory.mktemp("dinov2"), "dinov2")


def encoder_of(source: str, layer: int | None = -1, **settings) -> ImageTransformer:
    torch.manual_seed(1)
    arguments = {"adaptation": "frozen", "lora": {}, "embed_dim": 6, "dropout": 0.0, **settings}
    architecture = ImageTransformer.describe(source)
    encoder = ImageTransformer(source, layer=layer, architecture=architecture, **arguments)
    encoder.load_pretrained()
    return encoder.eval()


def by_hand(source: str, family: str, crops: Tensor) -> list[Tensor]:
    """Compute the vector of every hidden state of crops, with classes of transformers."""
    if family == "dinov3_vit":  # its processor needs torchvision
        mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
        pixels = (crops / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    else:
        processor = AutoImageProcessor.from_pretrained(source, backend="pil")
        images = [Image.fromarray(crop.permute(1, 2, 0).numpy()) for crop in crops]
        pixels = torch.as_tensor(np.asarray(processor(images)["pixel_values"])).float()
    network = AutoModel.from_pretrained(source).eval()
    network = getattr(network, "vision_model", network)
    with torch.no_grad():
        output = network(pixels, output_hidden_states=True)
    first = [state[:, 0] for state in output.hidden_states]
    if family == "siglip":
        states = [state.mean(dim=1) for state in output.hidden_states]
        return [*states[:-1], output.pooler_output]
    if family in ("vit", "deit"):
        return [*first[:-1], network.layernorm(output.hidden_states[-1])[:, 0]]
    if family == "clip":
        return [*first[:-1], network.post_layernorm(output.hidden_states[-1][:, 0])]
    if family == "beit":
        patches = output.hidden_states[-1][:, 1:]
        return [*first[:-1], network.pooler.layernorm(patches.mean(dim=1))]
    norm = network.norm if family == "dinov3_vit" else network.layernorm
    return [*first[:-1], norm(output.hidden_states[-1])[:, 0]]


@pytest.mark.parametrize("family", FAMILIES)
def test_each_step_equals_transformers_and_a_saved_model_needs_no_source(family, tmp_path):
    source = write_vision_source(tmp_path / "source", family)
    encoder = encoder_of(source, layer=None)
    crops = random_crops(3, 4, size=37 if "dinov2" in family else 32)
    together = encoder.precompute(crops, LENGTHS)
    assert together.shape == (3, encoder.precompute_dim) == (3, 4 * 2 * 16)
    for row, n in enumerate(LENGTHS):
        vectors = torch.stack(by_hand(source, family, crops[row, :n]))
        expected = torch.cat([vectors.mean(dim=1), vectors.std(dim=1, correction=0)], dim=1)
        # the standard deviation is that of masked_mean_and_std, with 1e-3 of rounding
        torch.testing.assert_close(together[row], expected.flatten(), rtol=0, atol=2e-3)
        mean = together[row].view(4, 2, 16)[:, 0]
        torch.testing.assert_close(mean, vectors.mean(dim=1), rtol=0, atol=1e-4)
    face = {"kind": "image_transformer", "source": source, "embed_dim": 8}
    model = build_model(ModelConfig(encoders={"face": face}, fusion={"kind": "mean_pool"})).eval()
    expected = model.encoders["face"](crops, LENGTHS)
    model.save_pretrained(tmp_path / "run")
    shutil.rmtree(source)
    loaded = DepressionModel.from_pretrained(tmp_path / "run").encoders["face"]
    torch.testing.assert_close(loaded(crops, LENGTHS), expected, rtol=0, atol=1e-5)
    assert not any(parameter.requires_grad for parameter in loaded.backbone.parameters())


def test_batch_and_padding_do_not_change_the_output(source, monkeypatch):
    encoder = encoder_of(source)
    crops = random_crops(4, 5)
    lengths = np.array([5, 2, 1, 3])
    with torch.no_grad():
        whole = encoder.precompute(crops, lengths)
        monkeypatch.setattr(image_transformer, "CROPS_AT_ONCE", 2)
        order = [2, 0, 3, 1]
        parts = encoder.precompute(crops[order], lengths[order])
        alone = [encoder.precompute(crops[i : i + 1, :n], [n]) for i, n in enumerate(lengths)]
    torch.testing.assert_close(parts, whole[order], rtol=0, atol=1e-4)
    torch.testing.assert_close(torch.cat(alone), whole, rtol=0, atol=1e-4)
    assert (whole[2, 16:].abs() < 1e-6).all()  # the deviation of one crop


def test_the_backbone_of_a_classifier_is_used(tmp_path):
    torch.manual_seed(0)
    network = ViTForImageClassification(AutoConfig.for_model("vit", num_labels=7, **SIZES))
    network.save_pretrained(tmp_path)
    encoder = encoder_of(write_processor(tmp_path, "vit"))
    assert encoder.backbone.pooler is None
    published, loaded = network.vit.state_dict(), encoder.backbone.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in published.items())


def test_the_last_state_is_one_of_the_mix(source):
    crops = random_crops(2, 3)
    everything = encoder_of(source, layer=None).precompute(crops, [3, 1]).view(2, 4, 32)
    for layer in (-1, 0, 2):
        chosen = encoder_of(source, layer=layer).precompute(crops, [3, 1])
        torch.testing.assert_close(chosen, everything[:, layer], rtol=0, atol=1e-5)


def test_gradients_reach_a_fine_tuned_network(source):
    encoder = encoder_of(source, adaptation="full").train()
    encoder(random_crops(2, 2), [2, 1]).square().sum().backward()
    gradient = encoder.backbone.embeddings.cls_token.grad
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 0


def test_low_rank_updates_of_all_projections_of_the_attention(tmp_path):
    encoder = encoder_of(write_vision_source(tmp_path, "siglip"), adaptation="lora", lora=LORA)
    assert encoder(random_crops(1, 2), [2]).isfinite().all()  # every update is used
    updated = {n for n, p in encoder.backbone.named_parameters() if p.requires_grad}
    layers = {name.rpartition(".lora_")[0] for name in updated}
    of_layers = {
        f"encoder.layers.{i}.self_attn.{name}"
        for i in range(3)
        for name in ("q_proj", "k_proj", "v_proj", "out_proj")
    }
    assert of_layers <= layers
    assert not any(".mlp." in name for name in layers)


def test_a_network_without_hidden_states_of_one_size_is_refused(tmp_path):
    config = AutoConfig.for_model("convnext", hidden_sizes=[8, 8, 8, 16], depths=[1, 1, 1, 1])
    config.save_pretrained(tmp_path)
    with pytest.raises(ModelError) as info:
        ImageTransformer.describe(write_processor(tmp_path, "vit"))
    assert (info.value.setting, info.value.value) == ("source", "convnext")
