"""Answers as a figure."""

import pytest
from explained_runs import make_answer

from depmm.interpret.errors import QuestionError
from depmm.interpret.query.output import write_answer


def test_figure_of_an_answer(tmp_path):
    answer = make_answer()
    assert write_answer(answer, "figure", tmp_path / "words.svg") == []
    text = (tmp_path / "words.svg").read_text()
    assert all(
        part in text for part in ("grief · negative", "悲伤", "$x_ ", "a&lt;b", "q &lt; .05")
    )
    assert text.index("grief") < text.index("a&lt;b")
    first = (tmp_path / "words.svg").read_bytes()
    write_answer(answer, "figure", tmp_path / "words.svg")
    assert (tmp_path / "words.svg").read_bytes() == first
    notes = write_answer(answer, "figure", tmp_path / "words.png")
    assert len(notes) == 1  # letters without a glyph
    assert (tmp_path / "words.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(QuestionError) as info:
        write_answer(answer.drop(columns="ci_low"), "figure", tmp_path / "no.svg")
    assert (info.value.setting, info.value.value) == ("format", "figure")
    with pytest.raises(QuestionError):
        write_answer(answer.head(0), "figure", tmp_path / "no.svg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["words.png", "words.svg"]


def test_regions_are_named(tmp_path):
    answer = make_answer().drop(columns=["word", "valence"])
    answer = answer.assign(modality="face", region=["eyes", "nose", "mouth", "brows"])
    write_answer(answer, "figure", tmp_path / "regions.svg")
    assert "face · mouth" in (tmp_path / "regions.svg").read_text()
