"""Small media files for the tests of decoding, and paths of real recordings."""

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from depmm.media.sound.audio import decode_audio
from depmm.media.warnings import MediaWarning

RAVDESS = "ravdess_actor01/01-01-01-01-01-01-01.mp4"
GRID = "grid_10spk/brbk7n.mpg"


def write_recording(
    path: Path,
    frame_times: Sequence[float] = (),
    sound: np.ndarray | None = None,
    rate: int = 48_000,
    sound_start: float = 0.0,
    codecs: tuple[str, str] = ("libx264", "aac"),
    rotation: float = 0.0,
    sound_gap: float = 0.0,
    sound_first: bool = False,
) -> Path:
    """Write a video whose frame ``i`` has grey level ``10 + 5 i mod 240``, and mono sound.

    ``sound_gap`` seconds are missing from the timestamps in the middle of the sound.
    """
    with av.open(str(path), "w") as container:
        packets = []
        if sound is not None and sound_first:
            audio = container.add_stream(codecs[1], rate=rate)
        if len(frame_times):
            video = container.add_stream(codecs[0], rate=25)
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            video.codec_context.time_base = Fraction(1, 1000)
            video.codec_context.gop_size = 50
            if rotation:
                video.set_display_rotation(rotation)
        if sound is not None:
            audio = audio if sound_first else container.add_stream(codecs[1], rate=rate)
            audio.layout = "mono"
            form = audio.codec_context.codec.audio_formats[0].name
            to_codec = av.AudioResampler(format=form, layout="mono", rate=rate)
        for i, time_s in enumerate(frame_times):
            level = np.full((48, 64, 3), 10 + 5 * i % 240, np.uint8)
            level[:8] = 250  # a bright upper edge, which shows a rotation
            frame = av.VideoFrame.from_ndarray(level, format="rgb24")
            frame.pts, frame.time_base = round(time_s * 1000), Fraction(1, 1000)
            packets += video.encode(frame)
        if len(frame_times):
            packets += video.encode()
        if sound is not None:
            for start in range(0, len(sound), 1024):
                block = sound[None, start : start + 1024].astype(np.float32)
                frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
                frame.rate, frame.time_base = rate, Fraction(1, rate)
                late = sound_start + (sound_gap if start >= len(sound) / 2 else 0)
                frame.pts = start + round(late * rate)
                for part in to_codec.resample(frame):
                    packets += audio.encode(part)
            packets += audio.encode()
        packets.sort(key=lambda packet: packet.dts * packet.time_base)
        container.mux(packets)
    return path


def write_tracks(
    path: Path,
    tracks: Sequence[np.ndarray],
    rate: int = 48_000,
    codec: str = "pcm_s16le",
    default: int | None = None,
    languages: Sequence[str] = (),
    gaps: Sequence[float] = (),
) -> Path:
    """Write sound tracks, each of shape (C, T); ``default`` is the index of the default track.

    At each of ``gaps``, in seconds of the sound, 0.3 s are missing from the timestamps.
    """
    layouts = {1: "mono", 2: "stereo", 4: "quad", 6: "5.1"}
    with av.open(str(path), "w") as container:
        streams = []
        for index, track in enumerate(tracks):
            stream = container.add_stream(codec, rate=rate)
            stream.layout = layouts[len(track)]
            stream.disposition = av.stream.Disposition.default if index == default else 0
            if languages:
                stream.metadata["language"] = languages[index]
            streams.append(stream)
        packets = []
        for stream, track in zip(streams, tracks, strict=True):
            form = stream.codec_context.codec.audio_formats[0].name
            layout = layouts[len(track)]
            to_codec = av.AudioResampler(format=form, layout=layout, rate=rate)
            for start in range(0, track.shape[1], 1024):
                block = np.ascontiguousarray(track[:, start : start + 1024], np.float32)
                frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
                late_s = 0.3 * sum(start >= gap * rate for gap in gaps)
                frame.rate, frame.time_base = rate, Fraction(1, rate)
                frame.pts = start + round(late_s * rate)
                for part in to_codec.resample(frame):
                    packets += stream.encode(part)
            packets += stream.encode()
        packets.sort(key=lambda packet: packet.dts * packet.time_base)
        container.mux(packets)
    return path


def encode_sound(
    path: Path,
    codec: str,
    sound: np.ndarray,
    rate: int,
    form: str,
    hole: tuple[float, float] | None = None,
    jump: tuple[float, float] | None = None,
) -> Path:
    """Encode mono sound into a container of FFmpeg's format ``form``.

    Packets inside ``hole`` (start, end) are left out; from ``jump[0]`` seconds on, ``jump[1]``
    seconds are added to the timestamps.
    """
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.layout = "mono"
        sample_format = stream.codec_context.codec.audio_formats[0].name
        to_codec = av.AudioResampler(format=sample_format, layout="mono", rate=rate)
        packets = []
        for start in range(0, len(sound), 960):
            block = sound[None, start : start + 960].astype(np.float32)
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
            frame.rate, frame.time_base, frame.pts = rate, Fraction(1, rate), start
            for part in to_codec.resample(frame):
                packets += stream.encode(part)
        for packet in [*packets, *stream.encode()]:
            time_s = float(packet.pts * packet.time_base)
            if hole and hole[0] <= time_s < hole[1]:
                continue
            if jump and time_s >= jump[0]:
                packet.pts += round(jump[1] / packet.time_base)
                packet.dts = packet.pts
            container.mux(packet)
    return path


def wav_bytes(
    sound: np.ndarray,
    rate: int = 16_000,
    channels: int = 1,
    stated_bytes: int | None = None,
) -> bytes:
    """Make a 16-bit WAV file whose header may state any rate, channels and size of the data."""
    data = np.round(sound * 32767).astype("<i2").tobytes()
    size = len(data) if stated_bytes is None else stated_bytes
    byte_rate = rate * channels * 2 & 0xFFFF_FFFF
    head = struct.pack("<HHIIHH", 1, channels, rate, byte_rate, channels * 2 & 0xFFFF, 16)
    chunks = b"WAVEfmt " + struct.pack("<I", 16) + head + b"data" + struct.pack("<I", size)
    return b"RIFF" + struct.pack("<I", len(chunks) + len(data)) + chunks + data


def decoded_with_warnings(path: Path) -> tuple[np.ndarray, dict[str, MediaWarning]]:
    """Decode all sound; return it and the warnings by name."""
    warnings: list[MediaWarning] = []
    blocks = list(decode_audio(path, warn=warnings.append))
    assert len({warning.name for warning in warnings}) == len(warnings)  # once per kind and file
    return np.concatenate(blocks), {warning.name: warning for warning in warnings}


def tone(seconds: float, rate: int, hertz: float = 1000.0, level: float = 0.5) -> np.ndarray:
    """Make a sine of ``hertz`` Hz."""
    return level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def decode_all(path: Path, start_s: float = 0.0, end_s: float | None = None) -> np.ndarray:
    """Decode a window of the sound and join its blocks."""
    blocks = list(decode_audio(path, start_s, end_s))
    assert all(block.dtype == np.float32 and block.ndim == 1 and len(block) for block in blocks)
    return np.concatenate([np.zeros(0, np.float32), *blocks])


def truncate(source: Path, folder: Path, share: float) -> Path:
    """Copy the first part of a file to ``cut.*`` in another folder."""
    data = source.read_bytes()
    target = folder / f"cut{source.suffix}"
    target.write_bytes(data[: int(len(data) * share)])
    return target
