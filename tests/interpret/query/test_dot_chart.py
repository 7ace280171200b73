"""Results as a figure."""

import pytest
from explained_runs import make_result

from depmm.interpret.errors import QuestionError
from depmm.interpret.query.output import write_result


def test_figure_of_a_result(tmp_path):
    result = make_result()
    assert write_result(result, "figure", tmp_path / "words.svg") == []
    text = (tmp_path / "words.svg").read_text()
    assert all(
        part in text for part in ("grief · negative", "悲伤", "$x_ ", "a&lt;b", "q &lt; .05")
    )
    assert text.index("grief") < text.index("a&lt;b")
    first = (tmp_path / "words.svg").read_bytes()
    write_result(result, "figure", tmp_path / "words.svg")
    assert (tmp_path / "words.svg").read_bytes() == first
    notes = write_result(result, "figure", tmp_path / "words.png")
    assert len(notes) == 1  # letters without a glyph
    assert (tmp_path / "words.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(QuestionError) as info:
        write_result(result.drop(columns="ci_low"), "figure", tmp_path / "no.svg")
    assert (info.value.setting, info.value.value) == ("format", "figure")
    with pytest.raises(QuestionError):
        write_result(result.head(0), "figure", tmp_path / "no.svg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["words.png", "words.svg"]


def test_regions_are_named(tmp_path):
    result = make_result().drop(columns=["word", "valence"])
    result = result.assign(modality="face", region=["eyes", "nose", "mouth", "brows"])
    write_result(result, "figure", tmp_path / "regions.svg")
    assert "face · mouth" in (tmp_path / "regions.svg").read_text()
