"""Grad-CAM by hand; it depends on the weights and finds a learned corner."""

import numpy as np
import pandas as pd
import pytest
import torch
from grad_cam_models import (
    AUDIO_ENCODERS,
    DEPNET,
    SE_RESNET,
    build_tiny_model,
    make_audio,
    make_crops,
    train_corner_model,
)

from depmm.inputs import Inputs
from depmm.interpret.attribution.grad_cam import compute_grad_cam
from depmm.interpret.errors import ExplanationError
from depmm.models.model import DepressionModel


@pytest.fixture(scope="module")
def corner_model() -> DepressionModel:
    return train_corner_model()


def corner_share(table: pd.DataFrame) -> float:
    maps = np.stack(table["heatmap"])
    return float((maps[:, :12, :12].sum((1, 2)) / maps.sum((1, 2))).mean())


def test_map_finds_a_learned_corner(corner_model):
    crops = make_crops(8, seed=1)
    table = compute_grad_cam(corner_model, "face", crops)
    assert table["row"].tolist() == list(range(8))
    assert corner_share(table[1::2]) > 0.7  # of (12 / 32)^2 = 0.14 of the crop
    assert table["peak"][1::2].min() > table["peak"][::2].max()
    assert corner_share(table[::2]) < 0.4


def test_map_depends_on_the_weights(corner_model):
    """The model randomisation test of Adebayo et al., NeurIPS 2018."""
    crops = make_crops(8, seed=1)
    learned = compute_grad_cam(corner_model, "face", crops)
    weights = {name: value.clone() for name, value in corner_model.state_dict().items()}
    similar = []
    for seed in range(5):
        torch.manual_seed(seed)
        for module in corner_model.encoders["face"].projection.modules():
            if isinstance(module, torch.nn.Linear):
                module.reset_parameters()
        changed = compute_grad_cam(corner_model, "face", crops)
        pairs = zip(learned["heatmap"][1::2], changed["heatmap"][1::2], strict=True)
        similar += [np.corrcoef(a.ravel(), b.ravel())[0, 1] if b.any() else 0 for a, b in pairs]
    corner_model.load_state_dict(weights)
    assert np.median(similar) < 0.5


def test_map_by_hand_leaves_the_model_unchanged():
    """Same inputs, same kernels: the prediction has the same bits before and after."""
    model = build_tiny_model(
        audio={"kind": "spectrogram_cnn", **AUDIO_ENCODERS["spectrogram_cnn"]}, face=SE_RESNET
    )
    crops = make_crops(2, seed=0, size=16)["face"].values.expand(-1, 2, -1, -1, -1, -1)
    inputs = make_audio([[16000, 9000], [0, 12000]]) | {"face": Inputs(crops, np.ones((2, 2)))}
    with torch.no_grad():
        before = model(inputs).logits
    table = compute_grad_cam(model, "audio", inputs)
    assert table[["row", "step", "frame"]].to_numpy().tolist() == [[0, 0, 0], [0, 1, 0], [1, 1, 0]]
    assert not [h for module in model.modules() for h in module._forward_hooks.values()]
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    with torch.no_grad():
        assert torch.equal(model(inputs).logits, before)
    # the tail of the network again, from the same maps
    encoder, audio = model.encoders["audio"], inputs["audio"]
    present = torch.from_numpy(audio.lengths > 0)
    spectrogram = encoder.image(audio.values[present], audio.lengths[audio.lengths > 0])
    maps = encoder.convolutions[:-1](spectrogram).detach().requires_grad_()
    features = torch.zeros(2, 2, 4).masked_scatter(
        present.unsqueeze(-1), encoder.dense(encoder.convolutions[-1](maps))
    )
    features, masks = {"audio": features}, {"audio": present}
    with torch.no_grad():
        face, face_mask = model.encode(inputs)
    features["face"], masks["face"] = face["face"], face_mask["face"]
    model.fuse(features, masks)[0].sum().backward()
    weight = maps.grad.mean((2, 3), keepdim=True)
    cam = (weight * maps).sum(1).relu().detach()
    np.testing.assert_allclose(table["peak"], cam.amax((1, 2)), rtol=1e-3)
    assert table["peak"].min() > 1e-5  # far above the rounding of weights times maps
    for heatmap, expected, frames in zip(table["heatmap"], cam, (32, 18, 24), strict=True):
        size = (513, frames)
        large = torch.nn.functional.interpolate(expected[None, None], size, mode="bilinear")[0, 0]
        np.testing.assert_allclose(heatmap, large / large.max().clamp(min=1e-30), atol=1e-3)


@pytest.mark.parametrize("kind", AUDIO_ENCODERS)
def test_map_has_the_size_of_its_audio_in_any_batch(kind):
    model = build_tiny_model(audio={"kind": kind, **AUDIO_ENCODERS[kind]})
    with torch.no_grad():  # so that the maps are positive
        model.fusion.output_layers["audio"][1].weight.abs_()
    lengths = [[16000, 7000], [5000, 0]]
    table = compute_grad_cam(model, "audio", make_audio(lengths))
    encoder = model.encoders["audio"]
    front_end = encoder.branches["spectrogram"] if kind == "emoaudionet" else encoder
    front_end = getattr(front_end, "spectrogram", None) or front_end.mfcc
    frames = front_end.count_frames(torch.tensor([16000, 7000, 5000])).tolist()
    assert [heatmap.shape[1] for heatmap in table["heatmap"]] == frames
    for heatmap, peak in zip(table["heatmap"], table["peak"], strict=True):
        assert (heatmap.min() >= 0, heatmap.max()) == (True, pytest.approx(float(peak > 0)))
    assert (table["peak"] > 0).any()
    alone = compute_grad_cam(model, "audio", make_audio([[5000]], size=5000))
    np.testing.assert_allclose(alone["peak"][0], table["peak"][2], rtol=1e-3)
    np.testing.assert_allclose(alone["heatmap"][0], table["heatmap"][2], atol=1e-3)


def test_depnet_has_maps_of_its_selected_crops():
    model = build_tiny_model(face=DEPNET)
    crops = torch.randint(0, 256, (1, 2, 4, 3, 32, 32)).byte()
    table = compute_grad_cam(model, "face", {"face": Inputs(crops, np.array([[4, 1]]))})
    assert table["frame"].tolist() == [1, 3, 0]  # the middles of equal segments
    assert table["step"].tolist() == [0, 0, 1]
    assert {heatmap.shape for heatmap in table["heatmap"]} == {(32, 32)}


def test_maps_of_several_frames_and_missing_faces():
    model = build_tiny_model(face=SE_RESNET)
    crops = torch.randint(0, 256, (2, 2, 3, 3, 16, 24)).byte()
    faces = {"face": Inputs(crops, np.array([[0, 2], [3, 0]]))}
    table = compute_grad_cam(model, "face", faces)
    expected = [[0, 1, 0], [0, 1, 1], [1, 0, 0], [1, 0, 1], [1, 0, 2]]
    assert table[["row", "step", "frame"]].to_numpy().tolist() == expected
    assert {heatmap.shape for heatmap in table["heatmap"]} == {(16, 24)}
    both = build_tiny_model(audio={"kind": "mfcc_cnn", "channels": [4]}, face=SE_RESNET)
    without_audio = faces | make_audio([[0, 0], [0, 0]])
    assert compute_grad_cam(both, "audio", without_audio).empty


def test_unsuitable_inputs_are_rejected():
    model = build_tiny_model(audio={"kind": "voice_vector"}, face=SE_RESNET)
    embedding = Inputs(torch.zeros(1, 1, 8), np.ones((1, 1)), embedded=True)
    inputs = make_audio([[4000]], size=4000) | {"face": embedding}
    with pytest.raises(ExplanationError) as info:
        compute_grad_cam(model, "audio", inputs)
    assert info.value.value == "VoiceVector"
    with pytest.raises(ExplanationError) as info:
        compute_grad_cam(model, "face", inputs)
    assert info.value.setting == "data.precompute_embeddings"
    with pytest.raises(ExplanationError) as info:
        compute_grad_cam(build_tiny_model(face=SE_RESNET), "audio", inputs)
    assert info.value.value == "audio"
