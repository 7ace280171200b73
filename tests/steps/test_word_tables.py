"""Word lists and transcripts."""

import pytest

from depmm.steps.table import StepsError
from depmm.steps.word_tables import read_transcripts, read_word_list


def test_a_word_list_of_all_recordings_is_sorted(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("text,onset_s\nb,2\na,1.5\n")
    entries = read_word_list(path, []).of("any.wav")
    assert [(entry.text, entry.start_s, entry.end_s) for entry in entries] == [
        ("a", 1.5, None), ("b", 2.0, None),
    ]  # fmt: skip


def test_rows_belong_to_recordings(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("path,text,onset_s,end_s\na/1.wav,x,1,2\n2,y,1,\ngone.wav,z,1,\n")
    entries = read_word_list(path, ["a/1.wav", "a/2.mp4"])
    assert entries.of("a/1.wav")[0].end_s == 2.0
    assert entries.of("a/2.mp4")[0].text == "y"
    with pytest.raises(StepsError) as raised:
        entries.of("a/3.wav")
    assert raised.value.value == "a/3.wav"
    assert [problem.path for problem in entries.unused()] == ["gone.wav"]


@pytest.mark.parametrize(
    ("row", "column"),
    [("x,", "onset_s"), ("x,soon", "onset_s"), ("x,nan", "onset_s"), (",1", "text"),
     ("x,1\ny,1", "onset_s")],
)  # fmt: skip
def test_bad_rows_are_named(tmp_path, row, column):
    path = tmp_path / "list.csv"
    path.write_text(f"text,onset_s\n{row}\n")
    with pytest.raises(StepsError) as raised:
        read_word_list(path, [])
    assert (raised.value.file, raised.value.column) == (path, column)


def test_transcripts_in_a_folder(tmp_path):
    (tmp_path / "s1").mkdir()
    (tmp_path / "s1" / "a.txt").write_text("Well,\n I know.\n")
    entries = read_transcripts(tmp_path, ["s1/a.mp4"])
    assert entries.of("s1/a.mp4")[0].text == "Well, I know."
    (tmp_path / "empty").mkdir()
    with pytest.raises(StepsError):
        read_transcripts(tmp_path / "empty", [])


NAMES = ["P01/interview.wav", "P02/interview.wav", "P02/reading.wav", "P03/interview.mp4"]


@pytest.mark.parametrize("name", ["interview.wav", "interview"])
def test_a_file_name_of_several_recordings_belongs_to_none_of_them(tmp_path, name):
    path = tmp_path / "texts.csv"
    path.write_text(f"subject,path,text\nP01,{name},fine\nP02,{name},bad\nP02,reading,north\n")
    entries = read_transcripts(path, NAMES)
    for recording in NAMES[:2]:
        with pytest.raises(StepsError) as raised:
            entries.of(recording)
        assert (raised.value.file, raised.value.value) == (path, name)
    assert entries.of("P02/reading.wav")[0].text == "north"
    assert not list(entries.unused())


def test_a_text_at_the_top_of_a_folder_does_not_replace_missing_ones(tmp_path):
    (tmp_path / "P01").mkdir()
    (tmp_path / "P01" / "interview.txt").write_text("own")
    (tmp_path / "interview.txt").write_text("other")
    entries = read_transcripts(tmp_path, NAMES)
    assert entries.of("P01/interview.wav")[0].text == "own"
    for recording in ("P02/interview.wav", "P03/interview.mp4"):
        with pytest.raises(StepsError) as raised:
            entries.of(recording)
        assert raised.value.value == "interview"


def test_sound_and_video_of_one_name_have_one_text(tmp_path):
    (tmp_path / "a.txt").write_text("both")
    entries = read_transcripts(tmp_path, ["P01/a.wav", "P01/a.mp4"])
    assert entries.of("P01/a.wav") == entries.of("P01/a.mp4")
