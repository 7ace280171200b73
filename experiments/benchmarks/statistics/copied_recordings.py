"""Count the copies that the audit finds among real recordings, and false ones.

    python experiments/benchmarks/statistics/copied_recordings.py FOLDER...

The sounds (WAV, FLAC) and the videos (MPEG, MP4) below the folders are compared with changed copies
of every seventh of them, as by ``depmm audit --root``. Equal files are compared once. A false pair
is one of two different recordings. About a minute for 339 sounds and 48 videos.
"""

import hashlib
import io
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import soxr
from numpy.typing import NDArray

from depmm.audit.motion_copies import find_motion_copies
from depmm.audit.sound_copies import find_sound_copies
from depmm.config import SAMPLE_RATE
from depmm.media.sound.audio import decode_audio
from depmm.media.sound.fingerprint import Fingerprinter, SoundFingerprint
from depmm.media.video.motion import N_CELLS, READ_RATE, READ_S, MotionSignature, signature_of
from depmm.media.video.video import decode_frames

Sound = NDArray[np.float32]
Frames = list[tuple[float, NDArray[np.uint8]]]
EVERY = 7  # recordings of which one is copied
TRIM = 800  # samples, 50 ms


def encode_sound(sound: Sound, codec: str, form: str, rate: int, bit_rate: int) -> Sound:
    """Encode and decode a sound."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", form) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.bit_rate, stream.layout = bit_rate, "mono"
        resampled = soxr.resample(sound, SAMPLE_RATE, rate)
        frame = av.AudioFrame.from_ndarray(resampled[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        to_codec = av.AudioResampler(
            stream.format.name, "mono", rate, frame_size=stream.frame_size or 1152
        )
        for part in (*to_codec.resample(frame), *to_codec.resample(None)):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer) as container:
        decoded = [part.to_ndarray().mean(0) for part in container.decode(audio=0)]
        decoded_rate = container.streams.audio[0].rate
    samples = np.concatenate(decoded).astype(np.float32)
    return np.asarray(soxr.resample(samples, decoded_rate, SAMPLE_RATE))


def add_noise(sound: Sound, snr_db: float) -> Sound:
    """Add white noise, another one to each sound."""
    level = np.sqrt(np.mean(sound**2)) * 10 ** (-snr_db / 20)
    noise = np.random.default_rng(zlib.crc32(sound.tobytes())).normal(size=len(sound))
    return (sound + level * noise).astype(np.float32)


def mp3(sound: Sound) -> Sound:
    """Encode as MP3 at 32 kbit/s."""
    return encode_sound(sound, "libmp3lame", "mp3", SAMPLE_RATE, 32_000)


SOUND_CHANGES: dict[str, Callable[[Sound], Sound]] = {
    "gain -12 dB": lambda sound: sound * np.float32(0.25),
    "50 ms less": lambda sound: sound[TRIM:],
    "MP3, 32 kbit/s": mp3,
    "Opus, 24 kbit/s": lambda sound: encode_sound(sound, "libopus", "ogg", 48_000, 24_000),
    "noise, 20 dB": lambda sound: add_noise(sound, 20),
    "noise, 10 dB": lambda sound: add_noise(sound, 10),
    "gain, trim, noise, MP3": lambda sound: mp3(add_noise(sound[TRIM:] * np.float32(0.3), 20)),
}


def encode_video(
    frames: Frames, crf: int = 30, scale: float = 1.0, gain: float = 1.0, noise: float = 0.0,
    skip: int = 0,
) -> Frames:  # fmt: skip
    """Change frames, and encode and decode them as H.264."""
    rng = np.random.default_rng(0)
    height, width = (2 * round(scale * size / 2) for size in frames[0][1].shape[:2])
    rate = round(1 / np.median(np.diff([time_s for time_s, _ in frames])))
    buffer = io.BytesIO()
    with av.open(buffer, "w", "mp4") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": str(crf), "preset": "ultrafast"}
        for _, frame in frames[skip:]:
            changed = gain * cv2.resize(frame, (width, height)).astype(np.float32)
            changed += noise * rng.normal(size=changed.shape)
            picture = changed.clip(0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer) as container:
        return [
            (frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)
        ]


VIDEO_CHANGES: dict[str, Callable[[Frames], Frames]] = {
    "H.264, crf 30": encode_video,
    "2 frames less": lambda frames: encode_video(frames, skip=2),
    "brightness x 0.6": lambda frames: encode_video(frames, gain=0.6),
    "half size": lambda frames: encode_video(frames, scale=0.5),
    "noise": lambda frames: encode_video(frames, noise=10),
    "half size, noise, crf 38": lambda frames: encode_video(frames, 38, 0.5, 0.7, 6, 1),
}


def fingerprint(sound: Sound) -> SoundFingerprint:
    """Compute the fingerprint of a sound."""
    fingerprinter = Fingerprinter()
    fingerprinter.update(sound)
    return fingerprinter.finish()


def motion(frames: Frames) -> MotionSignature | None:
    """Compute the signature of frames."""
    cells = [
        cv2.resize(
            cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32),
            (N_CELLS, N_CELLS),
            interpolation=cv2.INTER_AREA,
        ).ravel()
        for _, frame in frames
    ]
    return signature_of(np.array([time_s for time_s, _ in frames]), np.stack(cells))


def distinct_files(folders: list[Path], suffixes: tuple[str, ...]) -> Iterator[Path]:
    """Yield the files with a suffix, equal ones once."""
    seen = set()
    for path in sorted(path for folder in folders for path in folder.rglob("*")):
        if path.suffix in suffixes:
            digest = hashlib.sha256(path.read_bytes()).digest()
            if digest not in seen:
                yield path
            seen.add(digest)


def report(
    title: str, originals: dict, change: Callable, compute: Callable, find: Callable
) -> None:
    """Print how many changed copies are found, and how many other pairs."""
    known = {("original", path): found for path, (_, found) in originals.items()}
    copies = {}
    for path in list(originals)[::EVERY]:
        if (found := compute(change(originals[path][0]))) is not None:
            copies["copy", path] = found
    pairs = find(known | copies)
    right = sum(pair.first[1] == pair.second[1] for pair in pairs)
    print(f"  {title:26s} {right} of {len(copies)} found, {len(pairs) - right} false")


def main(arguments: list[str]) -> None:
    """Print the tables of sounds and videos."""
    folders = [Path(argument) for argument in arguments]
    sounds = {}
    for path in distinct_files(folders, (".wav", ".flac")):
        sound = np.concatenate(list(decode_audio(path)))
        sounds[str(path)] = (sound, fingerprint(sound))
    print(f"{len(sounds)} sounds, {len(sounds) * (len(sounds) - 1) // 2} pairs")
    for title, change in SOUND_CHANGES.items() if sounds else ():
        report(title, sounds, change, fingerprint, find_sound_copies)
    videos = {}
    for path in distinct_files(folders, (".mpg", ".mp4")):
        frames = list(decode_frames(path, READ_RATE, [(0.0, READ_S)]))
        if (found := motion(frames)) is not None:
            videos[str(path)] = (frames, found)
    print(f"{len(videos)} videos, {len(videos) * (len(videos) - 1) // 2} pairs")
    for title, change in VIDEO_CHANGES.items() if videos else ():
        report(title, videos, change, motion, find_motion_copies)


if __name__ == "__main__":
    main(sys.argv[1:])
