"""Orientation, pixel aspect ratio and colours of video frames."""

import itertools
import math
import struct
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from depmm.media.video.geometry import orientation
from depmm.media.video.video import decode_frames, read_frames
from depmm.media.warnings import MediaWarning

CORNERS = {
    (-1, -1): (220, 30, 30),
    (1, -1): (30, 220, 30),
    (-1, 1): (30, 30, 220),
    (1, 1): (220,) * 3,
}
"""Colour of each corner by its direction (x, y) from the centre, y downwards."""

ORIENTATIONS = [
    (a, b, c, d)
    for a, b, c, d in itertools.product((-1, 0, 1), repeat=4)
    if a * a + b * b == c * c + d * d == 1 and a * c + b * d == 0
]


def write_corners(
    path: Path,
    matrix: tuple[float, float, float, float] | None = None,
    aspect: Fraction | None = None,
    container_aspect: tuple[int, int] | None = None,
) -> Path:
    """Write an MP4 of 64 x 48 pixels whose corners have four colours.

    ``matrix`` (a, b, c, d) is written into the header of the track, ``aspect`` into the H.264
    stream, and ``container_aspect`` replaces the ratio of the container.
    """
    image = np.zeros((48, 64, 3), np.uint8)
    for (x, y), colour in CORNERS.items():
        image[slice(24) if y < 0 else slice(24, 48), slice(32) if x < 0 else slice(32, 64)] = colour
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        for index in range(3):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    data = bytearray(path.read_bytes())
    if matrix is not None:
        a, b, c, d = (round(value * 65_536) for value in matrix)
        start = data.index(b"tkhd") + 4 + 40  # version 0
        data[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    if container_aspect:
        start = data.index(b"pasp") + 4
        data[start : start + 8] = struct.pack(">2i", *container_aspect)
    path.write_bytes(data)
    return path


def first_frame(path: Path) -> tuple[np.ndarray, list[MediaWarning]]:
    warnings: list[MediaWarning] = []
    frames = [frame for _, frame in decode_frames(path, 25, warn=warnings.append)]
    assert all(frame.flags.c_contiguous for frame in frames)
    return frames[0], warnings


def assert_cells(path: Path) -> None:
    """Compare the cells of the first frame with those of its RGB image, up to the range."""
    [(_, frame)] = read_frames(path, 25, [(0.0, 0.02)])
    grey = cv2.cvtColor(frame.to_rgb(), cv2.COLOR_RGB2GRAY).astype(np.float32)
    expected = cv2.resize(grey, (8, 8), interpolation=cv2.INTER_AREA)
    cells = frame.to_cells(8)
    assert cells.shape == (8, 8)
    scale, offset = np.polyfit(expected.ravel(), cells.ravel(), 1)
    assert 0.8 < scale < 1.05
    np.testing.assert_allclose(cells, scale * expected + offset, atol=2)


def assert_corner(
    frame: np.ndarray, direction: tuple[float, float], colour: tuple[int, ...]
) -> None:
    """Compare the colour of a corner in the middle of its quarter."""
    height, width = frame.shape[:2]
    x, y = (
        round((0.5 + 0.25 * value) * size)
        for value, size in zip(direction, (width, height), strict=True)
    )
    np.testing.assert_allclose(frame[y, x], colour, atol=12)


@pytest.mark.parametrize("matrix", ORIENTATIONS)
def test_all_orientations(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    frame, warnings = first_frame(write_corners(tmp_path / "a.mp4", matrix))
    a, b, c, d = matrix
    assert frame.shape == ((48, 64, 3) if a else (64, 48, 3))
    for (x, y), colour in CORNERS.items():
        assert_corner(frame, (a * x + c * y, b * x + d * y), colour)
    assert warnings == []
    assert_cells(tmp_path / "a.mp4")


def test_there_are_eight_orientations() -> None:
    packed = [np.array([a, b, 0, c, d, 0, 0, 0, 0], "i4").tobytes() for a, b, c, d in ORIENTATIONS]
    found = {orientation(matrix) for matrix in packed}
    assert found == {(turns, mirror, 0.0) for turns in range(4) for mirror in (False, True)}


@pytest.mark.parametrize(("degrees", "turns"), [(90.3, 1), (80, 1), (-30, 0), (200, 2)])
def test_other_angles_are_rounded_with_a_warning(
    tmp_path: Path, degrees: float, turns: int
) -> None:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    frame, warnings = first_frame(write_corners(tmp_path / "a.mp4", (cos, sin, -sin, cos)))
    for (x, y), colour in CORNERS.items():
        for _ in range(turns):
            x, y = -y, x  # clockwise
        assert_corner(frame, (x, y), colour)
    tilt = abs(degrees - 90 * turns)
    assert [warning.name for warning in warnings] == (["rotation"] if tilt > 1 else [])
    for warning in warnings:
        assert warning.value == pytest.approx(tilt, abs=0.01)


def test_a_matrix_that_is_no_rotation_is_ignored_with_a_warning(tmp_path: Path) -> None:
    frame, warnings = first_frame(write_corners(tmp_path / "a.mp4", (1, 1, 1, 1)))
    for direction, colour in CORNERS.items():
        assert_corner(frame, direction, colour)
    assert [warning.name for warning in warnings] == ["rotation"]


@pytest.mark.parametrize(
    ("aspect", "size"),
    [("64:45", (48, 91)), ("1:2", (96, 64)), ("10:11", (53, 64)), ("1:1", (48, 64))],
)
@pytest.mark.parametrize("where", ["codec", "container"])
def test_pixels_are_made_square(
    tmp_path: Path, aspect: str, size: tuple[int, int], where: str
) -> None:
    numerator, denominator = map(int, aspect.split(":"))
    ratio = Fraction(numerator, denominator)
    if where == "codec":
        path = write_corners(tmp_path / "a.mp4", aspect=ratio)
    else:
        path = write_corners(tmp_path / "a.mp4", None, Fraction(3, 2), (numerator, denominator))
    frame, warnings = first_frame(path)
    assert frame.shape == (*size, 3)
    for direction, colour in CORNERS.items():
        assert_corner(frame, direction, colour)
    assert warnings == []


@pytest.mark.parametrize("matrix", ORIENTATIONS)
def test_pixels_are_made_square_before_frames_are_turned(tmp_path: Path, matrix) -> None:
    frame, _ = first_frame(write_corners(tmp_path / "a.mp4", matrix, Fraction(2)))
    a, b, c, d = matrix
    assert frame.shape == ((48, 128, 3) if a else (128, 48, 3))
    for (x, y), colour in CORNERS.items():
        assert_corner(frame, (a * x + c * y, b * x + d * y), colour)


@pytest.mark.parametrize(("ratio", "warns"), [((1000, 1), True), ((1, 100), True), ((0, 1), False)])
def test_an_absurd_ratio_of_the_container_is_ignored(tmp_path: Path, ratio, warns) -> None:
    frame, warnings = first_frame(write_corners(tmp_path / "a.mp4", None, Fraction(3, 2), ratio))
    assert frame.shape == (48, 96, 3)  # the ratio of the codec is used
    assert [warning.name for warning in warnings] == ["pixel_aspect"] * warns
    if warns:
        assert warnings[0].value == pytest.approx(ratio[0] / ratio[1])


def test_the_size_of_frames_may_change(tmp_path: Path) -> None:
    images = [np.full((h, w, 3), 90, np.uint8) for h, w in ((48, 64), (64, 48), (96, 128))]
    path = tmp_path / "a.mjpeg"
    path.write_bytes(b"".join(cv2.imencode(".jpg", image)[1].tobytes() for image in images * 3))
    shapes = [frame.shape for _, frame in decode_frames(path, 25)]
    assert shapes == [image.shape for image in images * 3]


@pytest.mark.parametrize(("space", "value_range"), list(itertools.product((5, 1), (1, 2))))
def test_colours_follow_the_stated_matrix_and_range(
    tmp_path: Path, space: int, value_range: int
) -> None:
    kr, kb = {5: (0.299, 0.114), 1: (0.2126, 0.0722)}[space]
    red, green, blue = 200.0, 60.0, 30.0
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    chroma = (blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr)
    y_scale, c_scale, offset = (219 / 255, 224 / 255, 16) if value_range == 1 else (1, 1, 0)
    planes = [offset + y_scale * luma, 128 + c_scale * chroma[0], 128 + c_scale * chroma[1]]
    image = np.stack([np.full((48, 64), round(plane), np.uint8) for plane in planes])
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        stream.codec_context.colorspace = space
        stream.codec_context.color_range = value_range
        frame = av.VideoFrame.from_ndarray(image, format="yuv444p", channel_last=False)
        frame.colorspace, frame.color_range, frame.pts = space, value_range, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    frame, _ = first_frame(tmp_path / "a.mkv")
    np.testing.assert_allclose(frame[20, 20], (red, green, blue), atol=2.5)


@pytest.mark.parametrize(
    ("pixels", "codec"),
    [
        ("gray", "ffv1"),
        ("gray16le", "ffv1"),
        ("yuvj420p", "mjpeg"),
        ("yuv420p10le", "ffv1"),
        ("yuv422p10le", "ffv1"),
        ("yuva420p", "ffv1"),
        ("bgra", "ffv1"),
        ("gbrp10le", "ffv1"),
    ],
)
def test_pixel_formats_keep_the_colour(tmp_path: Path, pixels: str, codec: str) -> None:
    colour = (200, 60, 30)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        image = np.full((48, 64, 3), colour, np.uint8)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixels)
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    frame, warnings = first_frame(tmp_path / "a.mkv")
    expected = (98, 98, 98) if "gray" in pixels else colour  # BT.601 luma
    np.testing.assert_allclose(frame[20, 20], expected, atol=4)
    assert warnings == []


@pytest.mark.parametrize(
    "pixels", ["gray", "yuv420p", "yuv422p10le", "nv12", "yuyv422", "bgra", "gbrp", "rgb24"]
)
def test_cells_of_pixel_formats(tmp_path: Path, pixels: str) -> None:
    rows, columns = np.mgrid[:48, :64]
    image = np.stack([60 + 2 * rows, 200 - 2 * columns, 40 + rows + columns], -1).astype(np.uint8)
    with av.open(str(tmp_path / "a.nut"), "w") as container:
        stream = container.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixels)
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert_cells(tmp_path / "a.nut")
