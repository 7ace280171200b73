"""Recordings that are copies of others although their files differ."""

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import soxr
from audit_manifests import manifest_of
from media_files import encode_sound
from simulated_speech import FRAME_S

from depmm.audit.audit_folders import audit_folders
from depmm.audit.copies import copied_recordings
from depmm.audit.findings import AuditInput, Copy, RecordingStatistics
from depmm.corpora.manifest import write_manifest
from depmm.simulation.voice import sample_voice, synthesise_speech

WORDS = (
    "grief",
    "lonely",
    "window",
    "table",
    "happy",
    "summer",
    "street",
    "anger",
    "music",
    "calm",
)


def speech(seed: int, n_words: int = 6) -> np.ndarray:
    """Simulated words of one speaker, 16 kHz."""
    rng = np.random.default_rng(seed)
    voice = sample_voice(rng, "female" if seed % 2 else "male")
    words = [WORDS[index] for index in rng.permutation(len(WORDS))[:n_words]]
    return synthesise_speech(voice, words, np.zeros(n_words), FRAME_S, rng).waveform


def find_copies_of(folder: Path, files: dict[str, str]) -> dict[str, object]:
    """Audit recordings of the given subjects, file by subject, through the files of a manifest."""
    manifest = manifest_of([{"subject": subject} for subject in files], n_steps=1)
    manifest.steps["audio"] = manifest.steps["subject"].map(files)
    manifest.steps[["start_s", "end_s"]] = 0.0, 0.1
    write_manifest(manifest, folder / "manifest")
    audit = audit_folders([folder / "manifest"], [folder])
    found = [finding for finding in audit.findings if finding.name == "copied_recordings"]
    return found[0] if found else None


def change(sound: np.ndarray, how: str, folder: Path) -> Path:
    rng = np.random.default_rng(0)
    level = np.sqrt(np.mean(sound**2))
    if how in ("mp3", "opus"):
        codec, form, rate = {
            "mp3": ("libmp3lame", "mp3", 16_000), "opus": ("libopus", "ogg", 48_000)
        }[how]  # fmt: skip
        resampled = soxr.resample(sound, 16_000, rate)
        return encode_sound(folder / f"copy.{form}", codec, resampled, rate, form)
    changed = {
        "gain": sound * 0.25,
        "trim": sound[800:],
        "noise": sound + 0.1 * level * rng.normal(size=len(sound)),
        "telephone": soxr.resample(sound, 16_000, 8_000),
    }[how]
    path = folder / "copy.wav"
    soundfile.write(path, changed, 8_000 if how == "telephone" else 16_000)
    return path


@pytest.mark.parametrize("how", ["mp3", "opus", "gain", "trim", "noise", "telephone"])
def test_a_changed_copy_of_another_subject_is_an_error(how, tmp_path):
    original = speech(0)
    soundfile.write(tmp_path / "original.wav", original, 16_000)
    soundfile.write(tmp_path / "other.wav", speech(2), 16_000)
    copy = change(original, how, tmp_path)
    finding = find_copies_of(tmp_path, {"1": "original.wav", "2": copy.name, "3": "other.wav"})
    assert finding.severity == "error"
    assert finding.subjects == (("toy", "1"), ("toy", "2"))


def test_other_recordings_of_a_speaker_are_no_copies(tmp_path):
    files = {}
    for seed in range(6):
        files[str(seed)] = f"{seed}.wav"
        soundfile.write(tmp_path / files[str(seed)], speech(seed // 2 + 10 * (seed % 2)), 16_000)
    assert find_copies_of(tmp_path, files) is None


def test_a_common_prompt_is_no_copy(tmp_path):
    prompt = speech(1, n_words=2)
    for name, seed in (("a", 4), ("b", 5)):
        soundfile.write(tmp_path / f"{name}.wav", np.concatenate([prompt, speech(seed)]), 16_000)
    assert find_copies_of(tmp_path, {"1": "a.wav", "2": "b.wav"}) is None


def test_copies_of_one_subject_are_a_warning_and_those_of_one_session_are_not_reported():
    manifest = manifest_of(
        [{"subject": "1", "session": "a"}, {"subject": "1", "session": "b"}], n_steps=2
    )
    manifest.steps["audio"] = ["a0.wav", "a1.wav", "b0.wav", "b1.wav"]
    between = Copy("sound", ("toy", "a0.wav"), ("toy", "b0.wav"), 0.5, 0.05)
    inside = Copy("sound", ("toy", "a0.wav"), ("toy", "a1.wav"), 0.5, 0.05)
    statistics = RecordingStatistics(copies=(between, inside))
    [finding] = copied_recordings(AuditInput(manifest, statistics))
    assert finding.severity == "warning"
    assert finding.files == (("toy", "a0.wav"), ("toy", "b0.wav"))
    assert "+0.05 s" in finding.message


def write_spot(path: Path, seed: int, start: int = 0, size: int = 96, gain: float = 1.0) -> str:
    """Write 4 s of video, 25 frames per second, in which a spot moves over a picture."""
    rng = np.random.default_rng(seed)
    rates, phases = rng.uniform(0.3, 1.5, (2, 1)), rng.uniform(0, 6, (2, 1))
    times = np.arange(start, 100) / 25
    x, y = 0.5 + 0.3 * np.sin(2 * np.pi * rates * times + phases)
    row, column = np.mgrid[:size, :size] / size
    picture = 60 + 40 * np.sin(7 * row + 5 * column)  # the same room in all videos
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = size
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "30"}
        for k in range(len(times)):
            spot = 90 * np.exp(-((row - y[k]) ** 2 + (column - x[k]) ** 2) / 0.02)
            grey = (gain * (picture + spot)).clip(0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(np.stack([grey] * 3, -1), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path.name


def test_a_changed_copy_of_a_video_is_found(tmp_path):
    files = {
        "1": write_spot(tmp_path / "a.mp4", seed=0),
        "2": write_spot(tmp_path / "b.mp4", seed=0, start=1, size=64, gain=0.7),
        "3": write_spot(tmp_path / "c.mp4", seed=1),
    }
    manifest = manifest_of([{"subject": subject} for subject in files], n_steps=1)
    manifest.steps["face"] = manifest.steps["subject"].map(files)
    manifest.steps["audio"] = None
    manifest.steps[["start_s", "end_s"]] = 0.0, 0.1
    write_manifest(manifest, tmp_path / "manifest")
    audit = audit_folders([tmp_path / "manifest"], [tmp_path])
    [finding] = [found for found in audit.findings if found.name == "copied_recordings"]
    assert finding.severity == "error"
    assert finding.subjects == (("toy", "1"), ("toy", "2"))
