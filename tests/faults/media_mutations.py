"""Mutated recordings; a kind, a format and a seed give the same file again."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from faults.media_samples import FORMATS, RATE, SECONDS, chirp, write_sample

N_MEDIA = 200
WITH_VIDEO = [suffix for suffix, (video, _) in FORMATS.items() if video]
STEREO = ["mp4", "mkv", "avi", "mov", "mpg", "ts", "ogg", "mp3", "wav", "flac"]
SEVERAL_TRACKS = ["mp4", "mkv", "mov", "mpg", "ts"]


@dataclass(frozen=True)
class MediaCase:
    """One mutated recording.

    Attributes
    ----------
    kind : str
        Key of ``KINDS``.
    suffix : str
        Key of ``FORMATS``.
    seed : int
        Seed of all choices.
    """

    kind: str
    suffix: str
    seed: int

    @property
    def content(self) -> str:
        """Key of ``FORMATS``: the format of the content, whatever the name says."""
        if self.kind != "rename":
            return self.suffix
        others = [suffix for suffix in FORMATS if suffix != self.suffix]
        return others[self.seed // 7 % len(others)]

    def __str__(self) -> str:
        return f"media {self.kind} {self.suffix} seed {self.seed}"


@dataclass(frozen=True)
class Kind:
    """A kind of mutation.

    Attributes
    ----------
    mutate : callable
        Takes the undamaged file, the file to write and a generator.
    suffixes : list of str
        Formats to which it applies.
    lossless : bool
        Whether all of the recording can still be read, so that an equal result is expected where
        the file is read. False: the only right answer is a message.
    """

    mutate: Callable[[Path, Path, np.random.Generator], None]
    suffixes: list[str]
    lossless: bool = True


def _bytes(change: Callable[[bytearray, np.random.Generator], bytes]) -> Callable[..., None]:
    def mutate(source: Path, target: Path, rng: np.random.Generator) -> None:
        target.write_bytes(change(bytearray(source.read_bytes()), rng))

    return mutate


def _truncate(data: bytearray, rng: np.random.Generator) -> bytes:
    return bytes(data[: int(len(data) * rng.uniform(0.05, 0.95))])


def _flip(data: bytearray, rng: np.random.Generator) -> bytes:
    for position in rng.integers(len(data), size=rng.integers(1, 64)):
        data[position] ^= 1 << rng.integers(8)
    return bytes(data)


def _insert(data: bytearray, rng: np.random.Generator) -> bytes:
    position = int(rng.integers(len(data)))
    return bytes(data[:position] + rng.bytes(int(rng.integers(1, 5000))) + data[position:])


def _delete(data: bytearray, rng: np.random.Generator) -> bytes:
    position = int(rng.integers(len(data)))
    return bytes(data[:position] + data[position + int(rng.integers(1, 20_000)) :])


def _edit_header(data: bytearray, rng: np.random.Generator) -> bytes:
    for position in rng.integers(min(200, len(data)), size=rng.integers(1, 4)):
        data[position] = rng.integers(256)
    return bytes(data)


def _zero_blocks(data: bytearray, rng: np.random.Generator) -> bytes:
    for _ in range(rng.integers(1, 4)):
        size = int(2 ** rng.integers(9, 15))
        position = int(rng.integers(max(1, len(data) - size)))
        data[position : position + size] = bytes(len(data[position : position + size]))
    return bytes(data)


def _join(source: Path, target: Path, rng: np.random.Generator) -> None:
    target.write_bytes(source.read_bytes() * 2)


def _other_content(source: Path, target: Path, rng: np.random.Generator) -> None:
    contents = [b"", b"\0" * 5000, rng.bytes(5000), b"not a recording\n" * 50, b"{}", b"RIFF"]
    target.write_bytes(contents[rng.integers(len(contents))])


def _copy(source: Path, target: Path, rng: np.random.Generator) -> None:
    target.write_bytes(source.read_bytes())


def _jump(source: Path, target: Path, rng: np.random.Generator) -> None:
    """Move the timestamps of the second half forwards."""
    jump_s = float(rng.choice([3.0, 60.0, 1800.0]))
    with av.open(str(source)) as original, av.open(str(target), "w") as copy:
        streams = {s.index: copy.add_stream_from_template(s) for s in original.streams}
        for packet in original.demux():
            if packet.dts is None:
                continue
            if packet.dts * packet.time_base > SECONDS / 2:
                moved = round(Fraction(jump_s) / packet.time_base)
                packet.pts, packet.dts = packet.pts + moved, packet.dts + moved
            packet.stream = streams[packet.stream.index]
            copy.mux(packet)


def _hole(source: Path, target: Path, rng: np.random.Generator) -> None:
    """Leave out the packets of some seconds."""
    begin = rng.uniform(1, 3)
    end = begin + rng.uniform(0.8, 2.5)
    with av.open(str(source)) as original, av.open(str(target), "w") as copy:
        streams = {s.index: copy.add_stream_from_template(s) for s in original.streams}
        for packet in original.demux():
            if packet.dts is not None and not begin < packet.dts * packet.time_base < end:
                packet.stream = streams[packet.stream.index]
                copy.mux(packet)


def _rewrite(**changes: object) -> Callable[..., None]:
    def mutate(source: Path, target: Path, rng: np.random.Generator) -> None:
        write_sample(target, **changes)

    return mutate


def _wrong_rate(source: Path, target: Path, rng: np.random.Generator) -> None:
    """Write an impossible sample rate into a header."""
    data = bytearray(source.read_bytes())
    if source.suffix == ".wav":
        at = data.index(b"fmt ") + 12
        data[at : at + 4] = int(rng.choice([0, 1, 7, 2**31, 2**32 - 1])).to_bytes(4, "little")
    else:  # 20 bits of the stream info of FLAC
        data[18:21] = bytes([0, 0, data[20] & 15] if rng.random() < 0.5 else [0, 0, 16])
    target.write_bytes(bytes(data))


_VOICE = chirp()
_NOISE = 0.01 * np.random.default_rng(0).normal(size=len(_VOICE))
_SILENT = np.zeros_like(_VOICE)

KINDS = {
    "truncate": Kind(_bytes(_truncate), list(FORMATS)),
    "flip": Kind(_bytes(_flip), list(FORMATS)),
    "insert": Kind(_bytes(_insert), list(FORMATS)),
    "delete": Kind(_bytes(_delete), list(FORMATS)),
    "header": Kind(_bytes(_edit_header), list(FORMATS)),
    "zeros": Kind(_bytes(_zero_blocks), list(FORMATS)),
    "join": Kind(_join, list(FORMATS)),
    "rename": Kind(_copy, list(FORMATS)),
    "no_recording": Kind(_other_content, list(FORMATS), lossless=False),
    "jump": Kind(_jump, ["mp4", "mkv", "avi", "mov", "ts", "mpg", "webm", "ogg"]),
    "hole": Kind(_hole, ["mkv", "avi", "ts", "webm", "ogg", "mp4", "mov"]),
    "rotated": Kind(_rewrite(shape="rotated"), ["mp4", "mov"]),
    "anamorphic": Kind(_rewrite(shape="anamorphic"), ["mp4", "mov", "mkv", "mpg", "ts"]),
    "silent": Kind(_rewrite(tracks=[_SILENT[None]]), list(FORMATS), lossless=False),
    "inverted": Kind(_rewrite(tracks=[np.stack([_VOICE, -0.9 * _VOICE])]), STEREO),
    "dead": Kind(_rewrite(tracks=[np.stack([_SILENT, _VOICE])]), STEREO),
    "several": Kind(_rewrite(tracks=[_VOICE[None], _NOISE[None]]), SEVERAL_TRACKS),
    "no_sound": Kind(_rewrite(tracks=[]), WITH_VIDEO, lossless=False),
    "no_video": Kind(_rewrite(video=False), WITH_VIDEO, lossless=False),
    "rate": Kind(_wrong_rate, ["wav", "flac"], lossless=False),
    "short_sound": Kind(_rewrite(tracks=[_VOICE[None, : 2 * RATE]]), WITH_VIDEO, lossless=False),
}


def media_cases(n: int = N_MEDIA) -> list[MediaCase]:
    """List ``n`` cases: the kinds in turn, each with its formats in turn."""
    kinds = list(KINDS)
    return [
        MediaCase(kind, suffixes[seed // len(kinds) % len(suffixes)], seed)
        for seed in range(n)
        for kind in [kinds[seed % len(kinds)]]
        for suffixes in [KINDS[kind].suffixes]
    ]


def mutate_media(case: MediaCase, source: Path, target: Path) -> None:
    """Write the mutated file.

    Parameters
    ----------
    case : MediaCase
        The mutation.
    source : Path
        The undamaged recording in the format ``case.content``.
    target : Path
        The file to write.
    """
    KINDS[case.kind].mutate(source, target, np.random.default_rng(case.seed))
