"""Regions of a face against areas by hand; landmarks of aligned crops."""

import cv2
import numpy as np
import pytest
from grad_cam_models import make_landmarks
from recordings import write_session

from depmm.config import load_config
from depmm.data.experiment_data import load_experiment_data
from depmm.interpret.attribution.face_regions import (
    MOUTH,
    REGIONS,
    compute_region_shares,
)
from depmm.interpret.errors import ExplanationError
from depmm.media.video.face_alignment import (
    TEMPLATE,
    TEMPLATE_LANDMARKS,
    align_face,
    crop_landmarks,
)
from depmm.store.errors import StoreError
from depmm.store.session_file import SessionReader


def test_shares_by_hand():
    points = make_landmarks()
    maps = np.zeros((4, 56, 56), np.float32)
    maps[0] = 1.0
    maps[1, 38:42, 26:30] = 1.0  # the mouth: 152 ... 168, 104 ... 120
    maps[2, 40, 28], maps[2, 1, 1] = 3.0, 1.0
    table = compute_region_shares(maps, np.stack([points] * 4)).set_index(["index", "region"])
    even = table.loc[0]
    np.testing.assert_allclose(even["share"], even["area"], atol=1e-6)
    # the outlines are regular polygons with one corner per landmark; there are two eyes and brows
    circles = {"mouth": (20, 18, 1), "nose": (24, 14, 1), "eyes": (16, 10, 2), "brows": (10, 8, 2)}
    for region, (corners, radius, count) in circles.items():
        polygon = count * corners / 2 * np.sin(2 * np.pi / corners) * radius**2
        assert even.loc[region, "area"] * 224**2 == pytest.approx(polygon, rel=0.07)
    face = 18 * np.sin(2 * np.pi / 36) * 90**2 / 224**2
    assert even.loc["outside", "area"] == pytest.approx(1 - face, rel=0.005)
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


def test_landmarks_without_a_face_are_rejected():
    with pytest.raises(ExplanationError) as info:
        compute_region_shares(np.ones((1, 8, 8)), np.ones((2, 478, 2)))
    assert info.value.value == ((1, 8, 8), (2, 478, 2))
    with pytest.raises(ExplanationError) as info:
        compute_region_shares(np.ones((2, 8, 8)), np.stack([make_landmarks(), np.zeros((478, 2))]))
    assert info.value.value == 1
    assert compute_region_shares(np.zeros((0, 8, 8)), np.zeros((0, 478, 2))).empty


def test_landmarks_of_a_crop_are_where_its_pixels_are():
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
    for ids, position in zip(TEMPLATE_LANDMARKS, TEMPLATE, strict=True):
        np.testing.assert_allclose(moved[list(ids)].mean(0), position, atol=1e-3)


def test_store_returns_the_landmarks_of_its_crops(corpus, tmp_path):
    frames = np.arange(2 * 478 * 3, dtype=np.float32).reshape(2, 478, 3) % 97
    path = write_session(tmp_path / "tracked", {"face.landmarks": frames})
    with SessionReader(path) as reader:
        np.testing.assert_allclose(reader.read_landmarks(1), crop_landmarks(frames[1]), atol=1e-3)
    path = write_session(tmp_path / "aligned", {"face.detected": np.ones(2, bool)})
    with SessionReader(path) as reader, pytest.raises(StoreError):
        reader.read_landmarks(0)
    assert load_experiment_data(load_config(corpus.config)).dataset.landmarks(0) is None


def test_maps_of_any_size_have_the_same_shares():
    points = make_landmarks()
    small = np.random.default_rng(0).random((14, 14)).astype(np.float32)
    large = cv2.resize(small, (224, 224), interpolation=cv2.INTER_LINEAR)
    a, b = (
        compute_region_shares(heatmap[None], points[None])["share"] for heatmap in (small, large)
    )
    np.testing.assert_allclose(a, b, atol=1e-6)
