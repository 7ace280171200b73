"""Which recordings are read, and what a bad one does."""

import pytest

from depmm.corpora.manifest import build_manifest, write_manifest
from depmm.media.errors import MediaError
from depmm.steps.recordings import find_recordings, find_steps
from depmm.steps.table import Step, StepProblem, StepsError


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    for name in ("a/1.WAV", "a/2.mp4", "a/notes.txt", ".hidden.wav", "=1.wav"):
        (root / name).touch()
    (root / "gone.wav").symlink_to(root / "nowhere.wav")
    return root


def test_recordings_of_a_folder(folder):
    root, recordings, problems = find_recordings(folder)
    assert root == folder
    assert [recording.path for recording in recordings] == ["a/1.WAV", "a/2.mp4"]
    # the table cannot have a cell that a spreadsheet runs, and a broken link is reported
    assert sorted(problem.path for problem in problems) == ["./=1.wav", "gone.wav"]


def test_recordings_of_a_manifest(folder, tmp_path):
    import pandas as pd

    key = {"corpus": "c", "subject": "s", "session": "1"}
    step = {**key, "end_s": None, "face": None, "face_aligned": False}
    steps = [
        {**step, "step": 0, "start_s": 0.0, "audio": "a/2.mp4", "audio_channel": 1},
        {**step, "step": 1, "start_s": 1.0, "audio": "a/2.mp4", "audio_channel": 1},
        {**step, "step": 2, "start_s": 0.0, "audio": None, "face": "a/3.mp4"},
    ]
    manifest = build_manifest(pd.DataFrame([key]), pd.DataFrame(steps))
    write_manifest(manifest, tmp_path / "manifest")
    root, recordings, _ = find_recordings(tmp_path / "manifest", folder)
    assert root == folder
    assert [(r.path, r.track, r.channel) for r in recordings] == [("a/2.mp4", None, 1)]
    with pytest.raises(StepsError) as raised:
        find_recordings(tmp_path / "manifest")
    assert raised.value.setting == "root"


def test_what_is_no_source_is_refused(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    for source, root in ((tmp_path / "gone", None), (tmp_path / "empty", None), (folder, folder)):
        with pytest.raises(StepsError):
            find_recordings(source, root)


def test_a_bad_recording_is_a_problem_and_the_others_are_read(folder):
    _, recordings, _ = find_recordings(folder)

    def method(recording):
        yield Step(recording.path, 0.0, 1.0)
        if recording.path == "a/1.WAV":
            raise MediaError(recording.file, "damaged.", "Copy it again.")

    found = find_steps(recordings, method)
    assert found.steps == [Step("a/2.mp4", 0.0, 1.0)]
    assert found.problems == [StepProblem("a/1.WAV", "damaged. Copy it again.")]
    assert found.n_recordings == 2
    nothing = find_steps(recordings, lambda recording: [])
    assert len(nothing.problems) == 2
