"""Grad-CAM: by hand, it follows the weights, a learned corner lights up; regions and places."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from depmm.config import ModelConfig, load_config
from depmm.data.experiment_data import load_experiment_data
from depmm.interpret.attribution.face_regions import MOUTH, OVAL, PARTS, REGIONS, face_regions
from depmm.interpret.attribution.grad_cam import grad_cam
from depmm.interpret.attribution.regions import BANDS, THIRDS, attribute_regions
from depmm.media.faces import TEMPLATE, TEMPLATE_LANDMARKS, align_face, crop_landmarks
from depmm.models.model import DepressionModel, build_model
from depmm.store.sessions import SessionReader, SessionWriter, StoreError

SE_RESNET = {"kind": "se_resnet", "blocks": [1], "channels": [8], "reduction": 2, "embed_dim": 8}
SOUND = {
    "spectrogram_cnn": {"seconds": 1.0, "channels": [2, 3], "embed_dim": 4},
    "attention_resnet": {"depth": 18, "channels": 2},
    "mfcc_cnn": {"channels": [4, 4], "embed_dim": 4},
    "emoaudionet": {"channels": 4},
}
DEPNET = {"kind": "depnet", "face_size": 32, "frames": 2, "channels": 2, "embed_dim": 4}


def tiny(**encoders: dict) -> DepressionModel:
    torch.manual_seed(0)
    fusion = {"kind": "mean_pool", "dropout": 0.0}
    return build_model(ModelConfig(encoders=encoders, fusion=fusion)).eval()


def sound(lengths: list[list[int]], size: int = 16000) -> dict[str, torch.Tensor]:
    audio = torch.zeros(len(lengths), len(lengths[0]), size)
    for row, steps in enumerate(lengths):
        for step, length in enumerate(steps):
            generator = torch.Generator().manual_seed(length)
            audio[row, step, :length] = torch.rand(length, generator=generator) - 0.5
    return {"audio": audio, "audio_length": torch.tensor(lengths)}


def pictures(number: int, seed: int, size: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise; a bright red square in the upper left corner of every second one."""
    generator = torch.Generator().manual_seed(seed)
    crops = torch.randint(60, 140, (number, 1, 1, 3, size, size), generator=generator).byte()
    crops[1::2, ..., 0, 2:10, 2:10] = 250
    return crops, torch.ones(number, 1, dtype=torch.int64)


@pytest.fixture(scope="module")
def corner_model() -> DepressionModel:
    """A model that has learned in 40 steps to tell whether the corner is red."""
    model = tiny(face=SE_RESNET)
    crops, length = pictures(16, seed=0)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    target = (torch.arange(16) % 2).float()
    for _ in range(40):
        loss = model.head.loss(model(face=crops, face_length=length).logits, target).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1
    return model


def corner_share(table: pd.DataFrame) -> float:
    maps = np.stack(table["heatmap"])
    return float((maps[:, :12, :12].sum((1, 2)) / maps.sum((1, 2))).mean())


def test_a_learned_corner_lights_up(corner_model):
    crops, length = pictures(8, seed=1)
    table = grad_cam(corner_model, "face", face=crops, face_length=length)
    assert table["row"].tolist() == list(range(8))
    assert corner_share(table[1::2]) > 0.7  # of (12 / 32)^2 = 0.14 of the picture
    assert table["peak"][1::2].min() > table["peak"][::2].max()
    assert corner_share(table[::2]) < 0.4


def test_the_map_follows_the_weights(corner_model):
    """Sanity check of Adebayo et al. 2018: a map of random weights must be another one."""
    crops, length = pictures(8, seed=1)
    learned = grad_cam(corner_model, "face", face=crops, face_length=length)
    kept = {name: value.clone() for name, value in corner_model.state_dict().items()}
    similar = []
    for seed in range(5):
        torch.manual_seed(seed)
        for module in corner_model.encoders["face"].project.modules():
            if isinstance(module, torch.nn.Linear):
                module.reset_parameters()
        changed = grad_cam(corner_model, "face", face=crops, face_length=length)
        pairs = zip(learned["heatmap"][1::2], changed["heatmap"][1::2], strict=True)
        similar += [np.corrcoef(a.ravel(), b.ravel())[0, 1] if b.any() else 0 for a, b in pairs]
    corner_model.load_state_dict(kept)
    assert np.median(similar) < 0.5


def test_by_hand_and_without_a_trace():
    """The same inputs go through the same kernels before and after: the same bits."""
    model = tiny(audio={"kind": "spectrogram_cnn", **SOUND["spectrogram_cnn"]}, face=SE_RESNET)
    crops, length = pictures(2, seed=0, size=16)
    inputs = {**sound([[16000, 9000], [0, 12000]]), "face": crops.expand(-1, 2, -1, -1, -1, -1)}
    inputs["face_length"] = length.expand(-1, 2)
    with torch.no_grad():
        before = model(**inputs).logits
    table = grad_cam(model, "audio", **inputs)
    assert table[["row", "step", "frame"]].to_numpy().tolist() == [[0, 0, 0], [0, 1, 0], [1, 1, 0]]
    assert not [h for module in model.modules() for h in module._forward_hooks.values()]
    assert all(p.grad is None for p in model.parameters())
    with torch.no_grad():
        assert torch.equal(model(**inputs).logits, before)
    # the tail of the network again, from the same maps
    encoder, there = model.encoders["audio"], inputs["audio_length"] > 0
    picture = encoder.picture(inputs["audio"][there], inputs["audio_length"][there])
    maps = encoder.convolutions[:-1](picture).detach().requires_grad_()
    features = torch.zeros(2, 2, 4).masked_scatter(
        there.unsqueeze(-1), encoder.dense(encoder.convolutions[-1](maps))
    )
    features, masks = {"audio": features}, {"audio": there}
    with torch.no_grad():
        face, face_mask = model.encode(**inputs)
    features["face"], masks["face"] = face["face"], face_mask["face"]
    model.fuse(features, masks)[0].sum().backward()
    weight = maps.grad.mean((2, 3), keepdim=True)
    cam = (weight * maps).sum(1).relu().detach()
    np.testing.assert_allclose(table["peak"], cam.amax((1, 2)), rtol=1e-3)
    assert table["peak"].min() > 1e-5  # far above the rounding of weights times maps
    for one, expected, frames in zip(table["heatmap"], cam, (32, 18, 24), strict=True):
        size = (513, frames)
        large = torch.nn.functional.interpolate(expected[None, None], size, mode="bilinear")[0, 0]
        np.testing.assert_allclose(one, large / large.max().clamp(min=1e-30), atol=1e-3)


@pytest.mark.parametrize("kind", SOUND)
def test_a_map_has_the_size_of_its_sound_whatever_the_batch(kind):
    model = tiny(audio={"kind": kind, **SOUND[kind]})
    with torch.no_grad():  # so that something speaks for depression
        model.fusion.output_layers["audio"][1].weight.abs_()
    lengths = [[16000, 7000], [5000, 0]]
    table = grad_cam(model, "audio", **sound(lengths))
    encoder = model.encoders["audio"]
    front_end = encoder.branches["spectrogram"] if kind == "emoaudionet" else encoder
    front_end = getattr(front_end, "spectrogram", None) or front_end.mfcc
    frames = front_end.frames(torch.tensor([16000, 7000, 5000])).tolist()
    assert [one.shape[1] for one in table["heatmap"]] == frames
    for one, peak in zip(table["heatmap"], table["peak"], strict=True):
        assert (one.min() >= 0, one.max()) == (True, pytest.approx(float(peak > 0)))
    assert (table["peak"] > 0).any()
    alone = grad_cam(model, "audio", **sound([[5000]], size=5000))
    np.testing.assert_allclose(alone["peak"][0], table["peak"][2], rtol=1e-3)
    np.testing.assert_allclose(alone["heatmap"][0], table["heatmap"][2], atol=1e-3)


def test_maps_of_the_crops_that_depnet_looks_at():
    model = tiny(face=DEPNET)
    crops = torch.randint(0, 256, (1, 2, 4, 3, 32, 32)).byte()
    table = grad_cam(model, "face", face=crops, face_length=torch.tensor([[4, 1]]))
    assert table["frame"].tolist() == [1, 3, 0]  # the middles of equal parts
    assert table["step"].tolist() == [0, 0, 1]
    assert {one.shape for one in table["heatmap"]} == {(32, 32)}


def test_frames_of_a_step_and_missing_faces():
    model = tiny(face=SE_RESNET)
    crops = torch.randint(0, 256, (2, 2, 3, 3, 16, 24)).byte()
    table = grad_cam(model, "face", face=crops, face_length=torch.tensor([[0, 2], [3, 0]]))
    expected = [[0, 1, 0], [0, 1, 1], [1, 0, 0], [1, 0, 1], [1, 0, 2]]
    assert table[["row", "step", "frame"]].to_numpy().tolist() == expected
    assert {one.shape for one in table["heatmap"]} == {(16, 24)}
    both = tiny(audio={"kind": "mfcc_cnn", "channels": [4]}, face=SE_RESNET)
    silent = {"face": crops, "face_length": torch.tensor([[0, 2], [3, 0]])}
    silent |= sound([[0, 0], [0, 0]])
    assert grad_cam(both, "audio", **silent).empty


def test_what_has_no_map_is_refused():
    model = tiny(audio={"kind": "voice_vector"}, face=SE_RESNET)
    inputs = sound([[4000]], size=4000)
    with pytest.raises(ValueError, match=r"VoiceVector, which encodes audio, does not end in conv"):
        grad_cam(model, "audio", **inputs)
    with pytest.raises(ValueError, match=r"face is not given as a signal: read it without data"):
        grad_cam(model, "face", **inputs)
    with pytest.raises(ValueError, match=r"the model has \['face'\], not 'audio'"):
        grad_cam(tiny(face=SE_RESNET), "audio", **inputs)


# ---- regions of a face -------------------------------------------------------------------------


def drawn_landmarks() -> np.ndarray:
    """Every group of landmarks on a circle of its own; the rest in the middle of the crop."""
    points = np.full((478, 2), 112.0)
    circles = zip(
        [("oval", OVAL), *PARTS],
        [(112, 112, 90), (112, 120, 14), (112, 160, 18), (75, 90, 10), (149, 90, 10),
         (75, 65, 8), (149, 65, 8)],
        strict=True,
    )  # fmt: skip
    for (_, group), (x, y, radius) in circles:
        angle = 2 * np.pi * np.arange(len(group)) / len(group)
        points[list(group)] = np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], 1)
    return points


def test_regions_by_hand():
    points = drawn_landmarks()
    maps = np.zeros((4, 56, 56), np.float32)
    maps[0] = 1.0
    maps[1, 38:42, 26:30] = 1.0  # the mouth: 152 ... 168, 104 ... 120
    maps[2, 40, 28], maps[2, 1, 1] = 3.0, 1.0
    table = face_regions(maps, np.stack([points] * 4)).set_index(["number", "region"])
    even = table.loc[0]
    np.testing.assert_allclose(even["share"], even["area"], atol=1e-6)
    circle = {"mouth": 18, "nose": 14, "eyes": 10 * 2**0.5, "brows": 8 * 2**0.5}
    for region, radius in circle.items():
        assert even.loc[region, "area"] == pytest.approx(np.pi * radius**2 / 224**2, rel=0.12)
    face = np.pi * 90**2 / 224**2
    assert even.loc["outside", "area"] == pytest.approx(1 - face, rel=0.02)
    assert even["area"].sum() == pytest.approx(1)
    assert even.index.tolist() == list(REGIONS)
    # the forehead is the part of the oval above y = 65
    half = np.arccos(47 / 90)
    forehead = (half - np.sin(2 * half) / 2) * 90**2 - np.pi * 8**2
    assert even.loc["forehead", "area"] == pytest.approx(forehead / 224**2, rel=0.05)
    assert table.loc[(1, "mouth"), "share"] > 0.95
    assert table.loc[(2, "mouth"), "share"] == pytest.approx(0.75, abs=0.02)
    assert table.loc[(2, "outside"), "share"] == pytest.approx(0.25, abs=0.02)
    assert table.loc[3, "share"].isna().all()


def test_regions_need_a_face():
    with pytest.raises(ValueError, match=r"maps \(1, 8, 8\), landmarks \(2, 478, 2\): give \[N"):
        face_regions(np.ones((1, 8, 8)), np.ones((2, 478, 2)))
    with pytest.raises(ValueError, match=r"landmarks of map 1 are all the same: .* shows no face"):
        face_regions(np.ones((2, 8, 8)), np.stack([drawn_landmarks(), np.zeros((478, 2))]))
    assert face_regions(np.zeros((0, 8, 8)), np.zeros((0, 478, 2))).empty


def test_landmarks_lie_where_the_crop_shows_them():
    rng = np.random.default_rng(0)
    landmarks = np.zeros((478, 3), np.float32)
    turned = (TEMPLATE - 112) @ np.array([[0.9, 0.35], [-0.35, 0.9]]) * 1.4 + [300, 220]
    for ids, (x, y) in zip(TEMPLATE_LANDMARKS, turned, strict=True):
        landmarks[list(ids), :2] = [[x - 6, y], [x + 6, y]]
    mouth = landmarks[list(TEMPLATE_LANDMARKS[2]), :2].mean(0)
    landmarks[MOUTH[5], :2] = mouth + rng.normal(size=2) * 20
    frame = np.zeros((480, 640, 3), np.uint8)
    x, y = landmarks[MOUTH[5], :2].round().astype(int)
    frame[y - 2 : y + 3, x - 2 : x + 3] = 255
    crop = align_face(frame, landmarks)[..., 0].astype(float)
    seen = [(crop.sum(axis) * (np.arange(224) + 0.5)).sum() / crop.sum() for axis in (0, 1)]
    moved = crop_landmarks(landmarks)
    np.testing.assert_allclose(moved[MOUTH[5]], seen, atol=1.0)
    for ids, place in zip(TEMPLATE_LANDMARKS, TEMPLATE, strict=True):
        np.testing.assert_allclose(moved[list(ids)].mean(0), place, atol=1e-3)


def test_a_store_gives_the_landmarks_of_its_crops(corpus, tmp_path):
    with SessionWriter() as writer:
        frames = np.arange(2 * 478 * 3, dtype=np.float32).reshape(2, 478, 3) % 97
        writer.append("face.landmarks", frames)
        path = writer.save({"n_steps": 1}).rename(tmp_path / "s.safetensors")
    with SessionReader(path) as reader:
        np.testing.assert_allclose(reader.landmarks(1), crop_landmarks(frames[1]), atol=1e-3)
    with SessionWriter() as writer:
        writer.append("face.detected", np.ones(2, np.uint8))
        path = writer.save({"n_steps": 1}).rename(tmp_path / "aligned.safetensors")
    with (
        SessionReader(path) as reader,
        pytest.raises(StoreError, match=r"no landmarks: its recording came aligned"),
    ):
        reader.landmarks(0)
    assert load_experiment_data(load_config(corpus.config)).dataset.landmarks(0) is None


def test_regions_of_a_picture_of_another_size():
    points = drawn_landmarks()
    small = np.random.default_rng(0).random((14, 14)).astype(np.float32)
    large = np.array(Image.fromarray(small).resize((224, 224), Image.Resampling.BILINEAR))
    a, b = (face_regions(one[None], points[None])["share"] for one in (small, large))
    np.testing.assert_allclose(a, b, atol=1e-6)


# ---- places ------------------------------------------------------------------------------------


def test_the_learned_corner_is_the_upper_third(corner_model):
    crops, length = pictures(40, seed=1)
    table = attribute_regions(corner_model, {"face": crops, "face_length": length}, [None] * 40)
    assert table["region"].unique().tolist() == list(THIRDS)
    red = table[table["row"] % 2 == 1]
    shares = red.pivot_table(index="row", columns="region", values="share")
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    assert (shares.idxmax(axis=1) == "upper_third").mean() > 0.9
    assert (
        shares["upper_third"].mean() > 1.5 * red.loc[red["region"] == "upper_third", "area"].mean()
    )


def test_a_crop_counts_by_what_speaks_in_it():
    model = tiny(face=SE_RESNET)
    crops = torch.randint(0, 255, (1, 2, 3, 3, 32, 32), generator=torch.Generator().manual_seed(3))
    inputs = {"face": crops.byte(), "face_length": torch.tensor([[3, 2]])}
    points = np.stack([drawn_landmarks()] * 3)
    found = attribute_regions(model, inputs, [[points, points[:2]]])
    maps = grad_cam(model, "face", **inputs)
    assert (found["peak"] > 0).any()
    for step, own in found.groupby("step"):
        mine = maps[maps["step"] == step]
        heat = np.stack(mine["heatmap"].tolist())
        added = (heat * mine["peak"].to_numpy()[:, None, None]).sum(axis=0, keepdims=True)
        expected = face_regions(added, points[:1])
        np.testing.assert_allclose(own["share"], expected["share"], atol=2e-5)
        np.testing.assert_allclose(own["area"], expected["area"])


@pytest.mark.parametrize("kind", ["spectrogram_cnn", "emoaudionet"])
def test_bands_of_a_voice(kind):
    model = tiny(audio={"kind": kind, **SOUND[kind]})
    inputs = sound([[16000, 9000], [12000, 0]])
    found = attribute_regions(model, inputs, [None, None]).set_index(["row", "step", "region"])
    assert list(found.index.unique("region")) == list(BANDS)
    for entry in grad_cam(model, "audio", **inputs).itertuples():
        own = found.loc[(entry.row, entry.step)]
        by_bin = entry.heatmap.sum(axis=1)
        hertz = np.linspace(0, 8000, len(by_bin))
        for band, low, high in zip(
            BANDS, (0, 300, 1000, 3000), (300, 1000, 3000, 8001), strict=True
        ):
            inside = (hertz >= low) & (hertz < high)
            assert own.loc[band, "area"] == pytest.approx(inside.mean())
            if entry.peak > 0:
                share = by_bin[inside].sum() / by_bin.sum()
                assert own.loc[band, "share"] == pytest.approx(share, abs=1e-5)
            else:
                assert np.isnan(own.loc[band, "share"])
    assert len(found) == 3 * len(BANDS)


def test_rows_of_mfcc_are_no_places():
    model = tiny(audio={"kind": "mfcc_cnn", **SOUND["mfcc_cnn"]})
    with pytest.raises(
        ValueError, match=r"no encoder of this run \(MfccCnn\) .* leave grad_cam out"
    ):
        attribute_regions(model, sound([[16000]]), [None])
