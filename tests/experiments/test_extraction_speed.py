"""The benchmark of extraction: rows with an aim, and recordings of the stated length."""

from pathlib import Path

import pytest
from media_files import GRID

from depmm.media.sound.audio import decode_audio
from depmm.media.video.face_landmarker import LANDMARKER_VARIABLE
from depmm.media.video.video import read_frames
from experiments.benchmarks import extraction
from experiments.results import check_cell
from experiments.results_tables import meets_aims


def test_tracker_and_landmarker_are_compared(real_data: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(LANDMARKER_VARIABLE, str(real_data / "models/face_landmarker.task"))
    monkeypatch.setattr(extraction, "N_FRAMES", 4)
    monkeypatch.setattr(extraction, "TURN", 2)
    rows = extraction.compare_faces([real_data / GRID])
    assert len(rows) == 2
    for row in rows:
        for column, cell in row.items():
            check_cell(column, cell, "range")
        assert meets_aims(row) is not None


def test_the_start_is_what_is_left_without_clips():
    # 1.5 s, and 0.5 s for each of 11 clips
    assert extraction.estimate_start(11, all_s=7.0, first_s=2.0) == pytest.approx(1.5)


def test_an_interview_repeats_the_clips(real_data: Path, tmp_path: Path):
    clips = extraction.join_clips([real_data / GRID], tmp_path / "clips.mp4")
    path = extraction.write_interview(clips, tmp_path / "interview.mp4", minutes=0.1)
    times = [time_s for time_s, _ in read_frames(path, extraction.VIDEO_RATE)]
    assert times == pytest.approx([index / extraction.VIDEO_RATE for index in range(150)])
    assert sum(map(len, decode_audio(path))) == pytest.approx(6 * 16_000, abs=1024)
