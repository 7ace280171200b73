"""Aligned crops: the similarity transform, and JPEG compression."""

import math

import numpy as np
import pytest

from depmm.config import CROP_SIZE
from depmm.media import face_alignment
from depmm.media.face_alignment import align_face, aligned_crop


@pytest.mark.parametrize(("scale", "degrees"), [(0.5, 0.0), (1.0, 25.0), (3.4, -40.0)])
def test_alignment_inverts_a_similarity_transform(scale: float, degrees: float) -> None:
    turn = scale * np.exp(1j * np.deg2rad(degrees))
    centres = (face_alignment.TEMPLATE @ [1, 1j] - 112 * (1 + 1j)) * turn + 500 * (1 + 1j)
    landmarks = np.zeros((478, 3))
    ys, xs = np.mgrid[:1000, :1000] + 0.5  # the centre of a pixel is at one half
    spots = np.zeros((1000, 1000))
    for ids, centre in zip(face_alignment.TEMPLATE_LANDMARKS, centres, strict=True):
        landmarks[list(ids), :2] = centre.real, centre.imag
        spots += np.exp(-((xs - centre.real) ** 2 + (ys - centre.imag) ** 2) / (6 * scale) ** 2)
    frame = np.repeat((255 * spots).astype(np.uint8)[..., None], 3, axis=2)
    crop = align_face(frame, landmarks)[..., 0].astype(float)
    ys, xs = np.mgrid[:CROP_SIZE, :CROP_SIZE] + 0.5
    for x, y in face_alignment.TEMPLATE:
        near = np.where(np.hypot(xs - x, ys - y) < 25, crop, 0)
        spot = np.array([(xs * near).sum(), (ys * near).sum()]) / near.sum()
        np.testing.assert_allclose(spot, [x, y], atol=0.1)
        assert near.sum() / 255 == pytest.approx(math.pi * 6**2, rel=0.05)  # the size


def test_alignment_averages_pixels_when_it_shrinks() -> None:
    landmarks = np.zeros((478, 3))
    for ids, (x, y) in zip(face_alignment.TEMPLATE_LANDMARKS, face_alignment.TEMPLATE, strict=True):
        landmarks[list(ids), :2] = 4 * x, 4 * y
    noise = np.random.default_rng(0).integers(0, 256, (900, 900, 1), np.uint8)
    crop = align_face(np.repeat(noise, 3, axis=2), landmarks)
    # the mean of 16 independent pixels has a quarter of their deviation, 256 / sqrt(12)
    assert crop.mean() == pytest.approx(127.5, abs=2)
    assert crop.std() < 1.1 * 256 / math.sqrt(12) / 4


def test_jpeg_crops_are_decoded_at_any_size() -> None:
    ramp = np.linspace(0, 255, 300).astype(np.uint8)
    frame = np.stack([np.tile(ramp, (200, 1)), np.full((200, 300), 80), np.full((200, 300), 9)], -1)
    crop = aligned_crop(frame.astype(np.uint8))
    assert crop.shape == (CROP_SIZE, CROP_SIZE, 3)
    data = face_alignment.encode_jpeg(crop, 95)
    assert np.abs(face_alignment.decode_jpeg(data, CROP_SIZE).astype(int) - crop).max() < 12
    for size in (112, 64, 300):
        small = face_alignment.decode_jpeg(data, size)
        assert small.shape == (size, size, 3)
        assert small.dtype == np.uint8
        np.testing.assert_allclose(small[0, [0, size // 2, -1], 0], [0, 128, 255], atol=12)
    assert len(face_alignment.encode_jpeg(crop, 50)) < len(data)
    for bad in (b"", b"not an image", data[:300]):
        with pytest.raises(ValueError, match="JPEG"):
            face_alignment.decode_jpeg(bad, 64)
