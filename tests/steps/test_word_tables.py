"""Word lists and transcripts."""

import pytest

from depmm.steps.table import StepsError
from depmm.steps.word_tables import read_transcripts, read_word_list


def test_a_word_list_of_all_recordings_is_sorted(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("text,onset_s\nb,2\na,1.5\n")
    entries = read_word_list(path).of("any.wav")
    assert [(entry.text, entry.start_s, entry.end_s) for entry in entries] == [
        ("a", 1.5, None), ("b", 2.0, None),
    ]  # fmt: skip


def test_rows_belong_to_recordings(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("path,text,onset_s,end_s\na/1.wav,x,1,2\n2,y,1,\ngone.wav,z,1,\n")
    entries = read_word_list(path)
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
        read_word_list(path)
    assert (raised.value.file, raised.value.column) == (path, column)


def test_transcripts_in_a_folder(tmp_path):
    (tmp_path / "s1").mkdir()
    (tmp_path / "s1" / "a.txt").write_text("Well,\n I know.\n")
    entries = read_transcripts(tmp_path)
    assert entries.of("s1/a.mp4")[0].text == "Well, I know."
    (tmp_path / "empty").mkdir()
    with pytest.raises(StepsError):
        read_transcripts(tmp_path / "empty")
