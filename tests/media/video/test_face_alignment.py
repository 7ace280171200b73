"""Aligned crops: the similarity transform, and JPEG compression."""

import math

import cv2
import numpy as np
import pytest

from depmm.config import CROP_SIZE
from depmm.media.video import face_alignment
from depmm.media.video.face_alignment import align_face, aligned_crop


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


def supersampled_crop(frame: np.ndarray, to_frame: complex, origin: complex) -> np.ndarray:
    """Average bilinear samples at 4 x 4 points of every pixel of the crop; black outside."""
    axis = (np.arange(4 * CROP_SIZE) + 0.5) / 4
    points = to_frame * (axis + 1j * axis[:, None]) + origin
    padded = np.pad(frame.astype(float), ((1, 1), (1, 1), (0, 0)))
    x = np.clip(points.real + 0.5, 0, frame.shape[1] + 1 - 1e-9)[..., None]
    y = np.clip(points.imag + 0.5, 0, frame.shape[0] + 1 - 1e-9)[..., None]
    left, top = x.astype(int)[..., 0], y.astype(int)[..., 0]
    dx, dy = x % 1, y % 1
    upper = (1 - dx) * padded[top, left] + dx * padded[top, left + 1]
    lower = (1 - dx) * padded[top + 1, left] + dx * padded[top + 1, left + 1]
    samples = (1 - dy) * upper + dy * lower
    return samples.reshape(CROP_SIZE, 4, CROP_SIZE, 4, 3).mean(axis=(1, 3))


@pytest.mark.parametrize(
    ("scale", "degrees", "middle", "largest_error"),  # without the reduction: 2.5 and 0.7
    [
        (0.8, 10.0, 300 + 250j, 0.8),
        (1.0, 0.0, 112 + 112j, 2.5),
        (2.3, -20.0, 300 + 250j, 1.7),
        (4.1, 5.0, 700j, 0.4),
    ],
)
def test_alignment_is_close_to_a_supersampled_warp(
    scale: float, degrees: float, middle: complex, largest_error: float
) -> None:
    rng = np.random.default_rng(0)
    # sharp spots of single pixels on a smooth ground, which differ between the channels
    ground = cv2.resize(rng.uniform(0, 200, (9, 11, 3)), (701, 533), interpolation=cv2.INTER_CUBIC)
    spots = 150 * (rng.random(ground.shape) < 0.02)
    frame = np.clip(ground + spots, 0, 255).astype(np.uint8)
    to_frame = scale * np.exp(1j * np.deg2rad(degrees))
    origin = middle - to_frame * (112 + 112j)
    landmarks = np.zeros((478, 3))
    centres = to_frame * (face_alignment.TEMPLATE @ [1, 1j]) + origin
    for ids, centre in zip(face_alignment.TEMPLATE_LANDMARKS, centres, strict=True):
        landmarks[list(ids), :2] = centre.real, centre.imag
    expected = supersampled_crop(frame, to_frame, origin)
    wrong = supersampled_crop(frame, to_frame, origin + 0.5 * to_frame)
    crop = align_face(frame, landmarks).astype(float)
    error = np.abs(crop - expected).mean()
    assert error < largest_error
    assert error < 0.7 * np.abs(crop - wrong).mean()  # half a pixel of the crop is a larger error
    copied = np.zeros((533, 720, 3), np.uint8)
    copied[:, 9:710] = frame
    view = align_face(copied[:, 9:710], landmarks)
    np.testing.assert_array_equal(view, crop)


def test_colours_are_rgb() -> None:
    red = np.zeros((CROP_SIZE, CROP_SIZE, 3), np.uint8)
    red[..., 0] = 255
    data = face_alignment.encode_jpeg(red, 90)
    for size in (CROP_SIZE, 112, 100, 56, 28):
        np.testing.assert_allclose(
            face_alignment.decode_jpeg(data, size),
            np.broadcast_to([255, 0, 0], (size, size, 3)),
            atol=3,
        )


def natural_crop() -> np.ndarray:
    """Make a smooth picture with edges, as of a face."""
    rng = np.random.default_rng(1)
    crop = cv2.resize(rng.integers(70, 180, (14, 14, 3), np.uint8), (CROP_SIZE, CROP_SIZE))
    return cv2.ellipse(crop, (112, 120), (60, 80), 0, 0, 360, (200, 150, 120), cv2.FILLED)


def area_means(pixels: np.ndarray, size: int) -> np.ndarray:
    """Average the area of each output pixel, with pixels that belong to it in part."""
    edges = np.arange(size + 1) * len(pixels) / size
    low, high = edges[:-1, None], edges[1:, None]
    index = np.arange(len(pixels))
    weights = np.clip(np.minimum(high, index + 1) - np.maximum(low, index), 0, None)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.einsum("ai,bj,ijc->abc", weights, weights, pixels.astype(float), optimize=True)


@pytest.mark.parametrize("size", [16, 28, 40, 56, 64, 96, 112, 160, 224])
def test_reduced_decoding_equals_full_decoding_and_area_means(size: int) -> None:
    data = face_alignment.encode_jpeg(natural_crop(), 90)
    full = face_alignment.decode_jpeg(data, CROP_SIZE)
    small = face_alignment.decode_jpeg(data, size)
    assert np.abs(small - area_means(full, size)).mean() < 2
    np.testing.assert_array_equal(small, face_alignment.decode_jpeg(data, size))


def test_jpeg_files_have_the_quality_and_subsampled_colours() -> None:
    sizes = []
    for quality in (1, 50, 90, 100):
        data = face_alignment.encode_jpeg(natural_crop(), quality)
        start = data.index(b"\xff\xc0")  # baseline frame header: length, bits, size, components
        assert data[start + 5 : start + 9] == bytes([0, CROP_SIZE, 0, CROP_SIZE])
        assert list(data[start + 11 : start + 18 : 3]) == [0x22, 0x11, 0x11]  # 4:2:0
        sizes.append(len(data))
    assert sizes == sorted(sizes)


def test_damaged_crops_are_rejected(capfd: pytest.CaptureFixture[str]) -> None:
    data = face_alignment.encode_jpeg(natural_crop(), 90)
    huge = bytearray(data)
    start = data.index(b"\xff\xc0")
    huge[start + 5 : start + 9] = b"\xff\x00\xff\x00"
    _, png = cv2.imencode(".png", natural_crop())
    truncated = [data[:length] for length in (0, 2, 20, 300, len(data) // 2, len(data) - 2)]
    for bad in (b"not an image", png.tobytes(), bytes(huge), *truncated):
        with pytest.raises(ValueError, match="JPEG"):
            face_alignment.decode_jpeg(bad, CROP_SIZE)
    assert capfd.readouterr().err == ""


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
