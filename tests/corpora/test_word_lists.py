"""Word lists: reading, and their use in specs and simulations."""

import csv
import json
from collections import Counter
from pathlib import Path

import layouts
import pandas as pd
import pytest
from typer.testing import CliRunner

from depmm.cli import app
from depmm.corpora.index import index_corpus
from depmm.corpora.spec import SpecError, load_spec, parse_spec
from depmm.corpora.word_lists import ENGLISH_WORDS, Word, WordListError, fill_valence, read_words
from depmm.schemas.manifest import VALENCES
from depmm.simulation.participants import SimulationError

HEAD = "word,valence,rating,language\n"
LIST = (
    HEAD
    + """\
Trauer,negative,1.5,de
\"Tisch, rund\",neutral,,de
Glück,positive,9,de
Süße,positive,,de
"""
)


def write_list(tmp_path: Path, content: str | bytes) -> Path:
    layouts.write(tmp_path, {"words.csv": content})
    return tmp_path / "words.csv"


def test_words_are_read_in_order_with_their_types(tmp_path):
    assert read_words(write_list(tmp_path, LIST)) == [
        Word("Trauer", "negative", 1.5, "de"),
        Word("Tisch, rund", "neutral", None, "de"),
        Word("Glück", "positive", 9.0, "de"),
        Word("Süße", "positive", None, "de"),
    ]


def test_byte_order_mark_blanks_line_ends_and_order_of_columns_do_not_matter(tmp_path):
    text = "language, rating ,word,valence\r\n\r\n en,, fear ,negative\r\n"
    assert read_words(write_list(tmp_path, text.encode("utf-8-sig"))) == [
        Word("fear", "negative", None, "en")
    ]


def test_a_word_may_be_listed_in_two_languages(tmp_path):
    text = HEAD + "gift,positive,,en\nGift,negative,,de\n"
    assert [word.language for word in read_words(write_list(tmp_path, text))] == ["en", "de"]


def test_the_english_list_is_balanced():
    words = read_words(ENGLISH_WORDS)
    assert Counter(word.valence for word in words) == dict.fromkeys(VALENCES, 24)
    assert {word.language for word in words} == {"en"}
    assert {word.rating for word in words} == {None}


@pytest.mark.parametrize(
    ("content", "line", "column", "value"),
    [
        ("", None, None, None),
        (HEAD, None, None, None),
        ("fear,negative,,en\n", 1, "word", None),
        ("word,valance,rating,language\n", 1, "valence", None),
        ("word;valence;rating;language\n", 1, "word", None),
        (HEAD.replace("\n", ",arousal\n"), 1, "arousal", None),
        (HEAD.replace("\n", ",word\n"), 1, "word", None),
        (HEAD + "fear,negative,en\n", 2, None, "fear,negative,en"),
        (HEAD + "a,neutral,,en\n ,neutral,,en\n", 3, "word", ""),
        (HEAD + "a\x07,neutral,,en\n", 2, "word", "a\x07"),
        (HEAD + "fear,Negative,,en\n", 2, "valence", "Negative"),
        (HEAD + "fear,,,en\n", 2, "valence", ""),
        (HEAD + "fear,negative,0.9,en\n", 2, "rating", "0.9"),
        (HEAD + "fear,negative,9.1,en\n", 2, "rating", "9.1"),
        (HEAD + 'fear,negative,"1,5",en\n', 2, "rating", "1,5"),
        (HEAD + "fear,negative,nan,en\n", 2, "rating", "nan"),
        (HEAD + "fear,negative,,English\n", 2, "language", "English"),
        (HEAD + "fear,negative,,\n", 2, "language", ""),
        (HEAD + "Süße,neutral,,de\n\nSÜSSE,positive,,de\n", 4, "word", "SÜSSE"),
        (HEAD + "e\u0301,neutral,,fr\n\u00e9,neutral,,fr\n", 3, "word", "\u00e9"),
        (HEAD + '"fear,negative,,en\n', 2, None, "'\"fear,negative,,en'"),
        (LIST.encode("latin-1"), 4, None, "0xfc"),
        ((HEAD + "恐惧,negative,,zh\n").encode("gbk"), 2, None, "0xbf"),
        (LIST.encode("utf-16"), 1, None, "0xff"),
    ],
)
def test_a_mistake_is_reported_with_line_and_column(tmp_path, content, line, column, value):
    path = write_list(tmp_path, content)
    with pytest.raises(WordListError) as info:
        read_words(path)
    assert (info.value.file, info.value.line) == (path, line)
    assert (info.value.column, info.value.value) == (column, value)


def test_columns_separated_by_semicolons_are_explained(tmp_path):
    with pytest.raises(WordListError) as info:
        read_words(write_list(tmp_path, "word;valence;rating;language\n"))
    assert "commas" in str(info.value)


def test_a_missing_list_is_refused(tmp_path):
    with pytest.raises(WordListError) as info:
        read_words(tmp_path / "none.csv")
    assert info.value.file == tmp_path / "none.csv"


SPEC = """\
name: toy
title: t
citation: c
licence: l
access: a
recordings:
  - {pattern: "{subject}.wav", modalities: [audio]}
session: "{subject}"
word_list: ../lists/words.csv
steps:
  table:
    file: "{subject}.csv"
    join: {subject: subject}
    fields: {start: start, text: spoken, valence: valence}
"""


def test_steps_without_valence_receive_that_of_their_word(tmp_path):
    layouts.write(
        tmp_path,
        {
            "specs/toy.yaml": SPEC,
            "lists/words.csv": LIST,
            "data/A.wav": "",
            "data/A.csv": "start,spoken,valence\n"
            "0,TRAUER,\n1,Glück,neutral\n2,,\n3,Haus,\n4,süsse,\n",
            "data/B.wav": "",
            "data/B.csv": "start,spoken,valence\n0,haus,\n1,Hof,\n2,Hut,positive\n",
        },
    )
    manifest, report = index_corpus(load_spec(tmp_path / "specs" / "toy.yaml"), tmp_path / "data")
    valences = [None if pd.isna(value) else value for value in manifest.steps["valence"]]
    assert valences == ["negative", "neutral", None, None, "positive", None, None, "positive"]
    assert [(item.kind, item.where) for item in report.missing] == [
        ("word", "A.wav"), ("word", "B.wav"),
    ]  # fmt: skip
    for item, text in zip(report.missing, ("Haus", "Hof"), strict=True):
        assert item.message.startswith(f"step text {text!r} is not in the word list")


def test_a_word_list_needs_the_text_of_steps_and_a_file(tmp_path):
    with pytest.raises(SpecError) as spec_info:
        parse_spec(SPEC.replace("text: spoken, ", ""), "toy.yaml")
    assert (spec_info.value.setting, spec_info.value.line) == ("word_list", 9)
    layouts.write(tmp_path, {"A.wav": "", "A.csv": "start,spoken,valence\n0,a,\n"})
    with pytest.raises(WordListError) as info:
        index_corpus(parse_spec(SPEC, str(tmp_path / "toy.yaml")), tmp_path)
    assert info.value.file == tmp_path / "../lists/words.csv"


def test_a_word_with_two_valences_cannot_fill_steps():
    words = [Word("gift", "positive", None, "en"), Word("Gift", "negative", None, "de")]
    with pytest.raises(WordListError) as info:
        fill_valence({}, words, "words.csv")
    assert (info.value.column, info.value.value) == ("valence", "Gift")
    assert fill_valence({}, [words[0], Word("Gift", "positive", None, "xx")], "words.csv") == []


def simulate_with(tmp_path: Path, content: str):
    words = write_list(tmp_path, content)
    options = ["--subjects", "2", "--steps", "4", "--workers", "1", "--words", str(words)]
    return CliRunner().invoke(app, ["simulate", str(tmp_path / "out"), *options])


def test_a_simulation_uses_the_words_of_a_given_list(tmp_path):
    assert simulate_with(tmp_path, LIST).exit_code == 0
    with (tmp_path / "out" / "words.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    valence = {word.text: word.valence for word in read_words(tmp_path / "words.csv")}
    assert len(rows) == 8
    assert {row["word"] for row in rows} <= set(valence)
    assert all(row["valence"] == valence[row["word"]] for row in rows)
    truth = json.loads((tmp_path / "out" / "truth.json").read_text(encoding="utf-8"))
    assert truth["planted_words"]["depressed"] == ["Trauer"]
    spec = load_spec("ewre_simulated")
    manifest, report = index_corpus(spec, tmp_path / "out")
    assert report.complete
    assert set(manifest.steps["text"]) <= set(valence)


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (HEAD + "a,neutral,,en\nb,positive,,en\n", "negative"),
        (LIST + "trauer,negative,,nl\n", "trauer"),
        (LIST + "悲伤,negative,,zh\n", "悲伤"),
    ],
)
def test_word_lists_that_the_simulated_voice_cannot_read_are_errors(tmp_path, content, value):
    error = simulate_with(tmp_path, content).exception
    assert isinstance(error, SimulationError)
    assert (error.file, error.value) == (tmp_path / "words.csv", value)
    assert not (tmp_path / "out").exists()
