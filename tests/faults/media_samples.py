"""Undamaged recordings of six seconds in twelve formats."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

RATE = 48_000
SECONDS = 6.0
FRAME_RATE = 10
SIZE = 64

# suffix -> codec of the video (None: sound only) and of the sound
FORMATS: dict[str, tuple[str | None, str]] = {
    "mp4": ("libx264", "aac"),
    "mkv": ("libx264", "flac"),
    "avi": ("mpeg4", "libmp3lame"),
    "mov": ("libx264", "pcm_s16le"),
    "mpg": ("mpeg2video", "mp2"),
    "ts": ("mpeg2video", "mp2"),
    "webm": ("libvpx", "libopus"),
    "ogg": (None, "libopus"),
    "mp3": (None, "libmp3lame"),
    "aac": (None, "aac"),
    "wav": (None, "pcm_s16le"),
    "flac": (None, "flac"),
}
_CONTAINERS = {"mpg": "mpeg", "ts": "mpegts", "aac": "adts", "mkv": "matroska"}


def chirp(seconds: float = SECONDS) -> np.ndarray:
    """Make a sound of which every part is unlike every other part."""
    time = np.arange(round(seconds * RATE)) / RATE
    loudness = 0.35 + 0.25 * np.sin(2 * np.pi * 1.3 * time)
    return loudness * np.sin(2 * np.pi * (200 * time + 90 * time**2)).astype(np.float64)


def picture(index: int) -> np.ndarray:
    """Make a frame that shows its number as a moving bar, and which side is up."""
    image = np.full((SIZE, SIZE, 3), 60, np.uint8)
    image[:8, :, 0] = 250  # a red upper edge
    image[:, :8, 2] = 250  # a blue left edge
    column = 8 + (index * 5) % (SIZE - 16)
    image[12:-4, column : column + 8] = 30 + (index * 37) % 200
    return image


def write_sample(
    path: Path,
    tracks: list[np.ndarray] | None = None,
    video: bool = True,
    suffix: str | None = None,
    seconds: float = SECONDS,
    shape: str = "upright",
) -> Path:
    """Write a recording.

    Parameters
    ----------
    path : Path
        The file.
    tracks : list of ndarray, shape (C, T), optional
        Sound tracks; by default one mono track, and an empty list for none.
    video : bool
        Whether a format with video has it.
    suffix : str, optional
        Key of ``FORMATS``; default: that of the path.
    seconds : float
        Length.
    shape : {"upright", "rotated", "anamorphic"}
        How the same picture is stored: as it is, lying on its side with a display matrix, or
        squeezed to half the width with pixels of twice the width.
    """
    suffix = suffix or path.suffix[1:]
    video_codec, sound_codec = FORMATS[suffix]
    tracks = [chirp(seconds)[None]] if tracks is None else tracks
    with av.open(str(path), "w", format=_CONTAINERS.get(suffix, suffix)) as container:
        packets = []
        if video_codec and video:
            packets += _encode_video(container, video_codec, seconds, shape)
        for index, track in enumerate(tracks):
            stream = container.add_stream(sound_codec, rate=RATE)
            stream.layout = "stereo" if len(track) == 2 else "mono"
            stream.disposition = 0 if index else av.stream.Disposition.default
            packets += _encode_sound(stream, track)
        packets.sort(key=lambda packet: packet.dts * packet.time_base)
        container.mux(packets)
    return path


def _encode_video(container: object, codec: str, seconds: float, shape: str) -> list:
    stream = container.add_stream(codec, rate=25 if codec == "mpeg2video" else FRAME_RATE)
    rate = int(stream.codec_context.framerate)
    stream.width, stream.height, stream.pix_fmt = SIZE, SIZE, "yuv420p"
    stream.bit_rate = 400_000
    stream.codec_context.gop_size = rate
    if shape == "rotated":
        stream.set_display_rotation(90.0)
    if shape == "anamorphic":
        stream.width = SIZE // 2
        stream.codec_context.sample_aspect_ratio = Fraction(2, 1)
        stream.sample_aspect_ratio = Fraction(2, 1)
    packets = []
    for index in range(round(seconds * rate)):
        image = picture(index * FRAME_RATE // rate)
        if shape == "rotated":
            image = np.ascontiguousarray(np.rot90(image, -1))
        if shape == "anamorphic":
            image = np.ascontiguousarray(image[:, ::2])
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = index, Fraction(1, rate)
        packets += stream.encode(frame)
    return packets + stream.encode()


def _encode_sound(stream: object, track: np.ndarray) -> list:
    layout = stream.layout.name
    form = stream.codec_context.codec.audio_formats[0].name
    to_codec = av.AudioResampler(format=form, layout=layout, rate=RATE)
    packets = []
    for start in range(0, track.shape[1], 960):
        block = np.ascontiguousarray(track[:, start : start + 960], np.float32)
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
        frame.rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), start
        for part in to_codec.resample(frame):
            packets += stream.encode(part)
    return packets + stream.encode()
