"""Warnings about the conditions of a recording."""

from dataclasses import replace
from pathlib import Path

import pytest

from depmm.config import DataConfig
from depmm.data.signals.build import build_signals
from depmm.data.training_reference import TrainingReference
from depmm.inference.quality import RecordingQuality, quality_warnings
from depmm.media.sound.sound_level import SoundLevel

GOOD = RecordingQuality(
    n_steps=4, steps_with={"audio": 4, "face": 4}, n_frames=20, n_frames_with_face=16,
    speech_s=2.0, sample_rate=16_000, sound=SoundLevel(4.0, 0.0, 0.0, 20.0),
)  # fmt: skip
REFERENCE = TrainingReference(step_s=1.0, min_steps=4, low_speech_s=2.0, aligned=True)
SIGNALS = build_signals(DataConfig(manifest=Path("m"), store="s"))
NO_SOUND = {"steps_with": {"audio": 0, "face": 4}, "speech_s": None, "sound": None}


@pytest.mark.parametrize(
    ("change", "name", "numbers"),
    [
        ({"n_frames_with_face": 15}, "few_faces", ["15 of 20", "75 %", "80 %"]),
        ({"sound": SoundLevel(4.0, 0.0, 0.0, 19.0)}, "noise", ["19 dB", "20 dB"]),
        ({"sample_rate": 8000}, "low_sample_rate", ["8000 Hz", "16000 Hz", "4000 Hz"]),
        ({"n_steps": 3, "steps_with": {"audio": 3, "face": 3}}, "few_steps", ["3 steps", "4"]),
        ({"speech_s": 1.9}, "little_speech", ["1.9 s", "95 %", "2.0 s"]),
        ({"steps_with": {"audio": 4, "face": 0}}, "missing_modality", []),
        (NO_SOUND, "missing_modality", []),
        ({"steps_with": {"audio": 3, "face": 4}}, "steps_without_audio", ["1 of 4"]),
    ],
)
def test_each_condition_gives_one_warning(change, name, numbers):
    assert quality_warnings(GOOD, REFERENCE, SIGNALS) == []
    (warning,) = quality_warnings(replace(GOOD, **change), REFERENCE, SIGNALS)
    assert warning.name == name
    assert all(number in warning.message for number in numbers)


def test_an_audio_model_needs_no_face():
    no_face = replace(GOOD, steps_with={"audio": 4, "face": 0}, n_frames=0, n_frames_with_face=0)
    assert quality_warnings(no_face, REFERENCE, {"audio": SIGNALS["audio"]}) == []


def test_a_missing_reference_is_reported():
    (warning,) = quality_warnings(GOOD, TrainingReference(), SIGNALS)
    assert warning.name == "not_compared"
