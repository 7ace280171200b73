"""Problems of sessions, and texts without names of files."""

import numpy as np
import pytest

from depmm.contact_sheet.problems import KINDS, find_problems, without_file_names
from depmm.contact_sheet.recording_view import RecordingView
from depmm.pages.timeline import Span

SOUND = {"seconds": 3.0, "clipped": 0.0, "silent_s": 0.0, "snr_db": 40.0}
SUMMARY = {"warnings": [], "n_frames": 10, "n_frames_with_face": 10, "n_steps": 4, "sound": SOUND}
BOTH = {"audio": 4, "face": 4}


def kinds(summary=None, steps_with=None, failures=(), expected=None, **view) -> list[str]:
    shown = {"peaks": np.ones(3), "speech": [Span(0, 1)], "steps": [], "pictures": []}
    recording = RecordingView(3.0, **{**shown, "places": {}, **view})
    found = find_problems(
        SUMMARY | (summary or {}), recording, steps_with or BOTH, failures, expected or {}
    )
    severities = [problem.severity for problem in found]
    assert severities == sorted(severities, reverse=True)
    return [problem.kind for problem in found]


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("few_faces", {"summary": {"n_frames_with_face": 7}}),
        ("noise", {"summary": {"sound": SOUND | {"snr_db": 19.0}}}),
        ("no_speech", {"speech": []}),
        ("several_faces", {"n_jumps": 2}),
        ("head_turned", {"yaw": -40.0}),
        ("light", {"brightness": 0.1}),
        ("incomplete_steps", {"steps_with": {"audio": 4, "face": 3}}),
        ("missing_face", {"steps_with": {"audio": 4}, "expected": {"face": "but others do"}}),
    ],
)
def test_each_problem_is_found_alone(kind, given):
    assert kinds(**given) == [kind]


def test_a_good_session_has_no_problem():
    assert kinds(yaw=10.0, pitch=-10.0, brightness=0.5, n_jumps=1) == []
    assert kinds({"n_frames_with_face": 8, "sound": SOUND | {"snr_db": 20.0}}) == []


def test_failures_and_warnings_of_the_extraction_are_problems_once():
    failure = {"stage": "face", "file": "a/b.mp4", "cause": "no face.", "remedy": "Check b.mp4."}
    expected = {"face": "although the manifest has one"}
    assert kinds(steps_with={"audio": 4}, failures=[failure], expected=expected) == ["missing_face"]
    assert kinds(failures=[failure]) == ["failure"]
    rows = [
        {"stage": "audio", "file": "b.wav", "name": name, "problem": "x", "remedy": "y"}
        for name in ("clipping", "gap")
    ]
    assert kinds({"warnings": rows}) == ["clipping", "warning"]


def test_names_of_files_are_replaced_and_names_of_settings_are_kept():
    text = "Anna B/talk 1.wav: ends early; see talk 1.wav, other.mp4 (extract.face.min_confidence)."
    assert without_file_names(text, "Anna B/talk 1.wav") == (
        "the file: ends early; see the file, the file (extract.face.min_confidence)."
    )
    kept = "Set face.min_confidence, see failures.parquet: 0.5 s of 1.25 s."
    assert without_file_names(kept, "") == kept


def test_names_of_the_extraction_are_kinds():
    assert {"digital_silence", "clipping", "several_faces"} <= KINDS.keys()
