"""media: clocks, windows, truncation, resampling, speech, faces; on real and on made recordings."""

import builtins
import itertools
import math
import os
import pickle
import tracemalloc
import warnings
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import soxr
from PIL import Image

from depmm.config import CROP_SIZE, SAMPLE_RATE
from depmm.media import faces
from depmm.media.audio import decode_audio
from depmm.media.errors import MediaError
from depmm.media.faces import FaceTracker, align_face, aligned_crop, find_landmarker
from depmm.media.video import _choose, decode_frames, probe
from depmm.media.voice_activity import frame_levels, segments_of_levels, speech_segments

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
    """A video whose frame ``i`` has grey level ``10 + 5 i mod 240``, and a mono sound track.

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
            level[:8] = 250  # a bright upper edge, to see a rotation
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


def tone(seconds: float, rate: int, hertz: float = 1000.0, level: float = 0.5) -> np.ndarray:
    return level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def whole(path: Path, start_s: float = 0.0, end_s: float | None = None) -> np.ndarray:
    blocks = list(decode_audio(path, start_s, end_s))
    assert all(block.dtype == np.float32 and block.ndim == 1 and len(block) for block in blocks)
    return np.concatenate([np.zeros(0, np.float32), *blocks])


def cut(source: Path, folder: Path, share: float) -> Path:
    data = source.read_bytes()
    target = folder / f"cut{source.suffix}"
    target.write_bytes(data[: int(len(data) * share)])
    return target


# ---- sound -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.aiff"])  # AIFF is read by FFmpeg
def test_tone_keeps_frequency_level_and_length(tmp_path: Path, name: str) -> None:
    stereo = np.stack([tone(2.5, 44_100), np.zeros(round(2.5 * 44_100))], axis=1)
    soundfile.write(tmp_path / name, stereo, 44_100, subtype="PCM_16")
    sound = whole(tmp_path / name)
    assert len(sound) == 40_000
    spectrum = np.abs(np.fft.rfft(sound[:SAMPLE_RATE]))
    assert spectrum.argmax() == 1000  # bins are 1 Hz
    assert np.abs(sound).max() == pytest.approx(0.25, abs=0.005)  # mean of 0.5 and silence


@pytest.mark.parametrize(("suffix", "rate"), [("wav", 44_100), ("flac", 48_000), ("wav", 16_000)])
def test_blocks_together_equal_resampling_at_once(tmp_path: Path, suffix: str, rate: int) -> None:
    noise = np.random.default_rng(0).uniform(-0.4, 0.4, round(3.3 * rate)).astype(np.float32)
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, noise, rate, subtype="PCM_24")
    expected = soxr.resample(soundfile.read(path, dtype="float32")[0], rate, SAMPLE_RATE)
    sound = whole(path)
    assert abs(len(sound) - len(expected)) <= 1
    length = min(len(sound), len(expected))
    assert np.sqrt(np.mean((sound[:length] - expected[:length]) ** 2)) < 5e-6


@pytest.mark.parametrize("window", [(0.0, 0.5), (0.7331, 2.1), (13.0, 14.9), (14.5, 99.0)])
@pytest.mark.parametrize("suffix", ["wav", "mp4"])
def test_a_window_is_a_cut_from_the_whole(
    long_sounds: dict[str, Path], suffix: str, window: tuple[float, float]
) -> None:
    sound = whole(long_sounds[suffix])
    start, end = window
    expected = sound[round(start * SAMPLE_RATE) :][: round((end - start) * SAMPLE_RATE)]
    got = whole(long_sounds[suffix], start, end)
    assert len(got) == len(expected) > 0
    np.testing.assert_allclose(got, expected, atol=1e-5)
    if end < 15:
        assert len(got) == round((end - start) * SAMPLE_RATE)


@pytest.fixture(scope="module")
def long_sounds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """15 s of a noisy tone, as WAV and as the sound of an MP4 (long enough to seek in)."""
    folder = tmp_path_factory.mktemp("long")
    noise = np.random.default_rng(1).normal(0, 0.02, 15 * 44_100)
    sound = tone(15, 44_100, 220) + noise
    soundfile.write(folder / "a.wav", sound, 44_100)
    times = np.arange(0, 15, 0.04)
    return {
        "wav": folder / "a.wav",
        "mp4": write_recording(folder / "a.mp4", times, sound, 44_100),
    }


@pytest.mark.parametrize(
    ("suffix", "codecs"), [("mkv", ("libx264", "pcm_s16le")), ("mp4", ("libx264", "aac"))]
)
def test_a_late_sound_track_is_preceded_by_zeros(
    tmp_path: Path, suffix: str, codecs: tuple[str, str]
) -> None:
    path = tmp_path / f"a.{suffix}"
    sound = np.where(np.arange(96_000) < 48_000, 0.0, tone(2, 48_000))  # 1 s silence, 1 s tone
    write_recording(path, np.arange(0, 3, 0.04), sound, sound_start=0.5, codecs=codecs)
    info = probe(path)
    assert info.video_start_s == 0.0
    assert info.audio_start_s == pytest.approx(0.5, abs=0.025)  # AAC begins with a frame of priming
    got = whole(path)
    assert not got[: int(0.47 * SAMPLE_RATE)].any()
    assert np.flatnonzero(np.abs(got) > 0.1)[0] / SAMPLE_RATE == pytest.approx(1.5, abs=0.002)
    assert len(got) / SAMPLE_RATE == pytest.approx(2.5, abs=0.03)


def test_a_late_video_keeps_its_times(tmp_path: Path) -> None:
    path = write_recording(
        tmp_path / "a.mkv", np.arange(0.4, 1.4, 0.04), tone(2, 48_000), codecs=("ffv1", "pcm_s16le")
    )
    assert [time for time, _ in decode_frames(path, 1)] == pytest.approx([0.4, 1.0])
    assert len(whole(path)) == 2 * SAMPLE_RATE


def test_a_gap_in_the_sound_is_filled_with_zeros(tmp_path: Path) -> None:
    sound = tone(2 * 50 * 1024 / 48_000, 48_000)  # whole blocks
    codecs = ("ffv1", "pcm_s16le")
    path = write_recording(tmp_path / "a.mkv", sound=sound, sound_gap=0.7, codecs=codecs)
    got = whole(path)
    middle = len(sound) / 2 / 48_000
    assert len(got) == pytest.approx((2 * middle + 0.7) * SAMPLE_RATE, abs=16)  # ms in MKV
    silent = got[round((middle + 0.02) * SAMPLE_RATE) : round((middle + 0.68) * SAMPLE_RATE)]
    assert np.abs(silent).max() < 1e-3
    resumed = got[round((middle + 0.71) * SAMPLE_RATE) :][: SAMPLE_RATE // 2]
    assert np.sqrt(np.mean(resumed**2)) == pytest.approx(0.5 / math.sqrt(2), rel=0.02)


@pytest.mark.parametrize("sound_first", [False, True])
def test_the_order_of_the_streams_does_not_matter(tmp_path: Path, sound_first: bool) -> None:
    path = tmp_path / "a.mp4"
    write_recording(path, np.arange(25) / 25, tone(1, 48_000), sound_first=sound_first)
    times = [time for time, _ in decode_frames(path, 25)]
    assert times == pytest.approx(np.arange(25) / 25)  # also those the decoder held back
    assert len(whole(path)) == pytest.approx(SAMPLE_RATE, abs=0.03 * SAMPLE_RATE)


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    peaks = []
    for seconds in (10, 60):
        path = tmp_path / f"{seconds}.wav"
        soundfile.write(path, tone(seconds, 44_100), 44_100)
        tracemalloc.start()
        assert sum(map(len, decode_audio(path))) == seconds * SAMPLE_RATE
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] < 5e6  # 60 s are 21 MB as float64


def test_unusable_samples_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    for value, word in ((np.nan, "not finite"), (np.inf, "not finite"), (2000.0, "scaled")):
        soundfile.write(path, np.array([0.0, 0.1, value] * 100), 16_000, subtype="FLOAT")
        with pytest.raises(MediaError, match=rf"a\.wav: .*{word}"):
            whole(path)
    soundfile.write(path, np.zeros(0), 16_000)
    with pytest.raises(MediaError, match="no samples"):
        whole(path)
    with pytest.raises(ValueError, match="start_s < end_s"):
        whole(path, 2.0, 1.0)


# ---- speech ----------------------------------------------------------------------------------


def test_speech_segments_of_a_made_signal() -> None:
    noise = np.random.default_rng(0).normal(0, 1e-4, 6 * SAMPLE_RATE)
    sound = noise.astype(np.float32)
    for start, end in ((1.0, 2.0), (2.3, 3.0), (4.2, 5.0)):
        sound[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)] += tone(end - start, SAMPLE_RATE)
    found = speech_segments(sound, -35.0, 0.5)
    np.testing.assert_allclose(found, [[1.0, 3.0], [4.2, 5.0]], atol=0.02)
    apart = speech_segments(sound, -35.0, 0.2)
    np.testing.assert_allclose(apart, [[1.0, 2.0], [2.3, 3.0], [4.2, 5.0]], atol=0.02)
    # a level is relative: 40 dB quieter is the same recording
    np.testing.assert_array_equal(speech_segments(sound / 100, -35.0, 0.5), found)


def test_speech_segments_at_the_rims() -> None:
    loud = tone(1.0, SAMPLE_RATE)
    np.testing.assert_array_equal(speech_segments(loud, -35.0, 0.5), [[0.0, 1.0]])
    assert speech_segments(np.zeros(SAMPLE_RATE), -35.0, 0.5).shape == (0, 2)
    assert speech_segments(np.zeros(0), -35.0, 0.5).shape == (0, 2)
    np.testing.assert_array_equal(speech_segments(loud[:100], -35.0, 0.5), [[0.0, 100 / 16_000]])


def test_levels_do_not_depend_on_the_blocks() -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, 16_123)
    levels = frame_levels([sound])
    assert len(levels) == (16_123 // 80 + 1 - 5) // 2 + 1
    frame = sound[160 * 7 : 160 * 7 + 400]
    assert levels[7] == pytest.approx(10 * np.log10(np.mean(frame**2)))
    pieces = np.split(sound, [1, 50, 79, 5000, 5001, 12_345])
    np.testing.assert_allclose(frame_levels(pieces), levels)
    full_scale = segments_of_levels(frame_levels([np.ones(1600)]), -35.0, 0.5, 0.1)
    np.testing.assert_array_equal(full_scale, [[0.0, 0.1]])


# ---- pictures --------------------------------------------------------------------------------


def test_variable_frame_rate_keeps_true_timestamps(tmp_path: Path) -> None:
    times = [0.0, 0.03, 0.2, 0.21, 0.39, 0.41, 0.9, 1.0, 1.333, 1.6]
    path = write_recording(tmp_path / "a.mkv", times, codecs=("ffv1", ""))
    got = list(decode_frames(path, 5))
    # first frame in each fifth of a second
    assert [round(time, 3) for time, _ in got] == [0.0, 0.2, 0.41, 0.9, 1.0, 1.333, 1.6]
    for time, frame in got:
        assert frame.shape == (48, 64, 3)
        assert frame.dtype == np.uint8
        assert frame.flags.c_contiguous
        assert frame[-1, -1, 0] == pytest.approx(10 + 5 * times.index(round(time, 3)), abs=2)
    everything = [round(time, 3) for time, _ in decode_frames(path, 120)]
    assert everything == times  # a faster rate invents nothing


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_windows_are_a_restriction_of_the_whole(tmp_path: Path, name: str) -> None:
    path = write_recording(tmp_path / name, np.arange(0, 40, 0.04))
    full = list(decode_frames(path, 5))
    assert len(full) == 200
    windows = [(30.1, 31.0), (2.0, 3.0), (2.5, 3.5), (3.5, 4.0), (39.0, math.inf), (50.0, 60.0)]
    part = list(decode_frames(path, 5, windows))
    expected = [x for x in full if any(start <= x[0] < end for start, end in windows)]
    assert [time for time, _ in part] == [time for time, _ in expected]
    assert all((a == b).all() for (_, a), (_, b) in zip(part, expected, strict=True))


def test_every_window_gets_a_frame_that_lies_in_it() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        times = np.unique(rng.integers(0, 3000, 60)) / 1000
        starts = rng.integers(0, 2900, 8) / 1000
        windows = [(s, s + rng.integers(1, 400) / 1000) for s in starts]
        rate = float(rng.choice([1, 3, 5, 29.97]))
        got = [time for time, _ in _choose(((t, None) for t in times), rate, windows)]
        assert got == sorted(set(got))
        full = [time for time, _ in _choose(((t, None) for t in times), rate, [(0.0, math.inf)])]
        inside = {t for t in times if any(s <= t < e for s, e in windows)}
        assert {t for t in full if t in inside} <= set(got) <= inside
        for start, end in windows:
            served = any(start <= t < end for t in got)
            assert served == any(start <= t < end for t in times)


def test_decoding_stops_after_the_last_window() -> None:
    source: Iterator[tuple[float, None]] = ((i / 25, None) for i in itertools.count())
    assert [t for t, _ in _choose(source, 5, [(0.5, 1.0)])] == pytest.approx([0.6, 0.8])
    assert next(source)[0] == pytest.approx(1.04)


def test_rotation_is_undone(tmp_path: Path) -> None:
    # -90: the player turns clockwise, so the bright upper edge comes to lie right
    path = write_recording(tmp_path / "a.mp4", [0.0, 0.04, 0.08], rotation=-90)
    _, frame = next(decode_frames(path, 25))
    assert frame.shape == (64, 48, 3)
    assert frame[:, -4].mean() > 200 > 60 > frame[:, 4].mean()


def test_missing_tracks_and_files_are_named(tmp_path: Path) -> None:
    silent = write_recording(tmp_path / "silent.mp4", [0.0, 0.04])
    blind = write_recording(tmp_path / "blind.mp4", sound=tone(1, 48_000))
    assert probe(silent).has_video
    assert not probe(silent).has_audio
    assert not probe(blind).has_video
    assert probe(blind).width is None
    with pytest.raises(MediaError, match=r"silent\.mp4: has no audio track"):
        whole(silent)
    with pytest.raises(MediaError, match=r"blind\.mp4: has no video track"):
        list(decode_frames(blind, 5))
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no recording at all\n" * 50)
    for name, word in (
        ("empty", "empty"),
        ("text", "cannot be opened"),
        ("none", "does not exist"),
    ):
        for read in (whole, probe, lambda path: list(decode_frames(path, 5))):
            with pytest.raises(MediaError, match=rf"{name}\.mp4: .*{word}"):
                read(tmp_path / f"{name}.mp4")
    with pytest.raises(ValueError, match="above 0"):
        list(decode_frames(silent, 0))
    with pytest.raises(ValueError, match="start < end"):
        list(decode_frames(silent, 5, [(2.0, 1.0)]))


def test_an_error_survives_the_way_between_processes() -> None:
    error = MediaError("a/b.mp4", "file does not exist.", "Check the path.", column="face")
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error) == "a/b.mp4: file does not exist. Check the path."
    assert (copy.file, copy.problem, copy.remedy, copy.column) == (
        Path("a/b.mp4"), "file does not exist.", "Check the path.", "face",
    )  # fmt: skip


# ---- truncation ------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.005, 0.3, 0.6, 0.97])
@pytest.mark.parametrize("name", [RAVDESS, GRID])
def test_truncated_video_files(real_data: Path, tmp_path: Path, name: str, share: float) -> None:
    path = cut(real_data / name, tmp_path, share)
    for read in (whole, lambda path: list(decode_frames(path, 2))):
        with pytest.raises(MediaError, match="cut"):
            read(path)


@pytest.mark.parametrize("share", [0.4, 0.5, 0.8])
def test_a_file_shorter_than_its_header_says(tmp_path: Path, share: float) -> None:
    times = np.arange(0, 20, 0.04)
    path = write_recording(tmp_path / "a.mkv", times, tone(20, 48_000))
    assert len(list(decode_frames(path, 1))) == 20
    cut_path = cut(path, tmp_path, share)
    for read in (whole, lambda path: list(decode_frames(path, 2))):
        with pytest.raises(MediaError, match=r"header says 20\.\d+ s: it was cut short"):
            read(cut_path)


def test_what_lies_before_the_cut_can_be_read(real_data: Path, tmp_path: Path) -> None:
    path = cut(real_data / RAVDESS, tmp_path, 0.6)
    assert len(whole(path, 0.2, 1.0)) == 0.8 * SAMPLE_RATE
    assert len(list(decode_frames(path, 5, [(0.0, 0.9)]))) == 5


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9])
def test_truncated_sound_files(real_data: Path, tmp_path: Path, share: float) -> None:
    wav = min((real_data / "emodb_4emo").glob("*/*.wav"))
    flac = min((real_data / "ravdess_speech").glob("*/*.flac"))
    for source in (wav, flac):
        assert len(whole(source)) == soundfile.info(source).frames
        with pytest.raises(MediaError, match=r"cut short|opened"):
            whole(cut(source, tmp_path, share))


def test_a_wav_written_to_a_pipe_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(1, 16_000), 16_000)
    data = bytearray(path.read_bytes())
    data[40:44] = b"\xff\xff\xff\xff"  # size of the data chunk: not known to the writer
    path.write_bytes(data)
    assert len(whole(path)) == SAMPLE_RATE


# ---- faces -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tracker(real_data: Path) -> Iterator[FaceTracker]:
    with FaceTracker(real_data / "models" / "face_landmarker.task", 0.5) as tracker:
        yield tracker


@pytest.mark.parametrize("name", [RAVDESS, GRID])
def test_a_face_is_found_and_aligned(real_data: Path, tracker: FaceTracker, name: str) -> None:
    time_s, frame = next(decode_frames(real_data / name, 1, [(1.0, 2.0)]))
    face = tracker.track(time_s, frame)
    assert face.detected
    assert face.time_s == time_s
    assert 0.5 < face.confidence <= 1
    assert face.landmarks.shape == (478, 3)
    assert face.blendshapes.shape == (52,)
    assert face.blendshapes.min() >= 0
    assert face.blendshapes.max() <= 1
    rotation = face.pose[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-3)
    np.testing.assert_array_equal(face.pose[3], [0, 0, 0, 1])
    for array in (face.landmarks, face.blendshapes, face.pose):
        assert array.dtype == np.float32
    assert face.crop is not None
    assert face.crop.shape == (CROP_SIZE, CROP_SIZE, 3)
    assert face.crop.dtype == np.uint8
    # found again in the crop, the eyes lie where the template has them; brow and chin are inside
    again = tracker.track(0.0, face.crop)
    eyes = [again.landmarks[list(ids), :2].mean(axis=0) for ids in faces.TEMPLATE_LANDMARKS[:2]]
    assert np.linalg.norm(np.array(eyes) - faces.TEMPLATE[:2], axis=1).max() < 2
    assert again.landmarks[:, :2].min() > 0
    assert again.landmarks[:, :2].max() < CROP_SIZE
    # a result depends on its frame alone
    same = tracker.track(time_s, frame)
    np.testing.assert_allclose(same.landmarks, face.landmarks, atol=1e-2)  # pixels
    assert np.abs(same.crop.astype(int) - face.crop).max() <= 1


def test_views_and_the_largest_of_two_faces(real_data: Path, tracker: FaceTracker) -> None:
    _, frame = next(decode_frames(real_data / RAVDESS, 1))
    person = frame[:, 340:940]
    two = np.full((720, 1200, 3), 90, np.uint8)
    two[:, 600:] = person
    two[100:460, 100:400] = np.asarray(Image.fromarray(person).resize((300, 360)))
    alone, among = tracker.track(0.0, person), tracker.track(0.0, two)
    shift = among.landmarks[:, :2] - alone.landmarks[:, :2]
    np.testing.assert_allclose(shift, np.tile([600, 0], (478, 1)), atol=8)
    copied = tracker.track(0.0, person.copy())  # a strided view is the same picture
    np.testing.assert_allclose(copied.landmarks, alone.landmarks, atol=1e-2)


def test_no_face_is_no_crash(tracker: FaceTracker) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    for frame in (np.zeros((48, 64, 3), np.uint8), noise):
        face = tracker.track(2.0, frame)
        assert not face.detected
        assert face.crop is None
        assert face.confidence == 0
        assert not face.landmarks.any()
        assert (face.landmarks.shape, face.blendshapes.shape) == ((478, 3), (52,))


@pytest.mark.parametrize(("scale", "degrees"), [(0.5, 0.0), (1.0, 25.0), (3.4, -40.0)])
def test_alignment_undoes_any_similarity(scale: float, degrees: float) -> None:
    turn = scale * np.exp(1j * np.deg2rad(degrees))
    centres = (faces.TEMPLATE @ [1, 1j] - 112 * (1 + 1j)) * turn + 500 * (1 + 1j)
    landmarks = np.zeros((478, 3))
    ys, xs = np.mgrid[:1000, :1000] + 0.5  # a pixel's centre lies at one half
    spots = np.zeros((1000, 1000))
    for ids, centre in zip(faces.TEMPLATE_LANDMARKS, centres, strict=True):
        landmarks[list(ids), :2] = centre.real, centre.imag
        spots += np.exp(-((xs - centre.real) ** 2 + (ys - centre.imag) ** 2) / (6 * scale) ** 2)
    frame = np.repeat((255 * spots).astype(np.uint8)[..., None], 3, axis=2)
    crop = align_face(frame, landmarks)[..., 0].astype(float)
    ys, xs = np.mgrid[:CROP_SIZE, :CROP_SIZE] + 0.5
    for x, y in faces.TEMPLATE:
        near = np.where(np.hypot(xs - x, ys - y) < 25, crop, 0)
        spot = np.array([(xs * near).sum(), (ys * near).sum()]) / near.sum()
        np.testing.assert_allclose(spot, [x, y], atol=0.1)
        assert near.sum() / 255 == pytest.approx(math.pi * 6**2, rel=0.05)  # size, too


def test_alignment_averages_what_it_shrinks() -> None:
    landmarks = np.zeros((478, 3))
    for ids, (x, y) in zip(faces.TEMPLATE_LANDMARKS, faces.TEMPLATE, strict=True):
        landmarks[list(ids), :2] = 4 * x, 4 * y
    noise = np.random.default_rng(0).integers(0, 256, (900, 900, 1), np.uint8)
    crop = align_face(np.repeat(noise, 3, axis=2), landmarks)
    # the mean of 16 independent pixels has a quarter of their spread, 256 / sqrt(12)
    assert crop.mean() == pytest.approx(127.5, abs=2)
    assert crop.std() < 1.1 * 256 / math.sqrt(12) / 4


def test_crops_survive_jpeg() -> None:
    ramp = np.linspace(0, 255, 300).astype(np.uint8)
    frame = np.stack([np.tile(ramp, (200, 1)), np.full((200, 300), 80), np.full((200, 300), 9)], -1)
    crop = aligned_crop(frame.astype(np.uint8))
    assert crop.shape == (CROP_SIZE, CROP_SIZE, 3)
    data = faces.encode_jpeg(crop, 95)
    assert np.abs(faces.decode_jpeg(data, CROP_SIZE).astype(int) - crop).max() < 12
    for size in (112, 64, 300):
        small = faces.decode_jpeg(data, size)
        assert small.shape == (size, size, 3)
        assert small.dtype == np.uint8
        np.testing.assert_allclose(small[0, [0, size // 2, -1], 0], [0, 128, 255], atol=12)
    assert len(faces.encode_jpeg(crop, 50)) < len(data)
    for bad in (b"", b"no picture", data[:300]):
        with pytest.raises(ValueError, match="no JPEG"):
            faces.decode_jpeg(bad, 64)


# ---- the face model --------------------------------------------------------------------------


@pytest.fixture
def model_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the download site and an empty cache."""
    site = tmp_path / "site.task"
    site.write_bytes(b"the model")
    monkeypatch.setattr(faces, "LANDMARKER_URL", site.as_uri())
    monkeypatch.setattr(faces, "LANDMARKER_SHA256", faces._sha256(b"the model"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(faces.LANDMARKER_VARIABLE, raising=False)
    return site


def test_the_model_is_downloaded_once_and_checked(model_site: Path, tmp_path: Path) -> None:
    cached = tmp_path / "cache/depmm/face_landmarker.task"
    assert find_landmarker() == cached
    assert cached.read_bytes() == b"the model"
    cached.write_bytes(b"broken")  # replaced
    assert find_landmarker().read_bytes() == b"the model"
    model_site.unlink()
    assert find_landmarker() == cached
    cached.unlink()
    with pytest.raises(MediaError, match=r"cannot be downloaded.*DEPMM_FACE_LANDMARKER"):
        find_landmarker()


def test_a_download_with_another_hash_is_refused(model_site: Path, tmp_path: Path) -> None:
    model_site.write_bytes(b"something else")
    with pytest.raises(MediaError, match="another hash"):
        find_landmarker()
    assert not list((tmp_path / "cache").rglob("*.task"))


def test_a_named_model_comes_first(
    model_site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = tmp_path / "newer.task"
    newer.write_bytes(b"version 2")
    with pytest.warns(UserWarning, match="not the face model"):
        assert find_landmarker(newer) == newer
    monkeypatch.setenv(faces.LANDMARKER_VARIABLE, str(model_site))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert find_landmarker() == model_site
    monkeypatch.setenv(faces.LANDMARKER_VARIABLE, str(tmp_path / "nowhere.task"))
    with pytest.raises(MediaError, match=r"nowhere\.task: is no file \(DEPMM_FACE_LANDMARKER\)"):
        find_landmarker()


def test_what_keeps_mediapipe_from_running_is_named(
    tmp_path: Path, real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad.task").write_bytes(b"no bundle")
    with pytest.raises(MediaError, match=r"bad\.task: is no face_landmarker\.task bundle"):
        FaceTracker(tmp_path / "bad.task", 0.5)
    real_import = builtins.__import__

    def without_gl(name: str, *args: object, **rest: object) -> object:
        if name.startswith("mediapipe"):
            raise ImportError("libEGL.so.1: cannot open shared object file")
        return real_import(name, *args, **rest)

    monkeypatch.setattr(builtins, "__import__", without_gl)
    with pytest.raises(MediaError, match=r"libEGL\.so\.1.*apt-get install libegl1 libgles2"):
        FaceTracker(real_data / "models" / "face_landmarker.task", 0.5)


def test_only_noise_is_held_back(capfd: pytest.CaptureFixture[str]) -> None:
    with faces._without_noise():
        os.write(2, b"W0000 00:00:1.2 3 x.cc:4] no matter\nE0000 00:00:1.2 3 x.cc:4] trouble\n")
    assert capfd.readouterr().err == "E0000 00:00:1.2 3 x.cc:4] trouble\n"
