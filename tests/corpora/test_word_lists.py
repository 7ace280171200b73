"""Word lists: what is read or refused, and what a spec and a simulation do with them."""

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
from depmm.corpora.manifest import VALENCES
from depmm.corpora.spec import SpecError, load_spec, parse_spec
from depmm.corpora.word_lists import ENGLISH_WORDS, Word, WordListError, fill_valence, read_words
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


def written(tmp_path: Path, content: str | bytes) -> Path:
    layouts.write(tmp_path, {"words.csv": content})
    return tmp_path / "words.csv"


def test_words_are_read_in_order_with_their_types(tmp_path):
    assert read_words(written(tmp_path, LIST)) == [
        Word("Trauer", "negative", 1.5, "de"),
        Word("Tisch, rund", "neutral", None, "de"),
        Word("Glück", "positive", 9.0, "de"),
        Word("Süße", "positive", None, "de"),
    ]


def test_byte_order_mark_blanks_line_ends_and_order_of_columns_do_not_matter(tmp_path):
    text = "language, rating ,word,valence\r\n\r\n en,, fear ,negative\r\n"
    assert read_words(written(tmp_path, text.encode("utf-8-sig"))) == [
        Word("fear", "negative", None, "en")
    ]


def test_a_word_may_stand_in_two_languages(tmp_path):
    text = HEAD + "gift,positive,,en\nGift,negative,,de\n"
    assert [word.language for word in read_words(written(tmp_path, text))] == ["en", "de"]


def test_the_list_of_the_program_is_balanced():
    words = read_words(ENGLISH_WORDS)
    assert Counter(word.valence for word in words) == dict.fromkeys(VALENCES, 24)
    assert {word.language for word in words} == {"en"}
    assert {word.rating for word in words} == {None}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"words.csv: no word in it. Give the line word,valence,rating,language"),
        (HEAD, r"words.csv: no word in it"),
        ("fear,negative,,en\n", r"line 1: column 'word' is missing .found: fear, neg"),
        ("word,valance,rating,language\n", r"'valence' is missing.*Did you mean 'valance'"),
        (
            "word;valence;rating;language\n",
            r"line 1: column 'word'.*Separate the columns by commas",
        ),
        (HEAD.replace("\n", ",arousal\n"), r"line 1: column 'arousal' is unknown. Remove it"),
        (HEAD.replace("\n", ",word\n"), r"line 1: column 'word' stands twice. Remove it"),
        (HEAD + "fear,negative,en\n", r"line 2: 3 cells where 4 columns.*quotation marks"),
        (HEAD + "a,neutral,,en\n ,neutral,,en\n", r"line 3: the word '' is blank.*remove the line"),
        (HEAD + "a\x07,neutral,,en\n", r"line 2: the word 'a\\x07' is blank or holds a character"),
        (
            HEAD + "fear,Negative,,en\n",
            r"line 2: valence of 'fear' is 'Negative'. Did you mean 'neg",
        ),
        (HEAD + "fear,,,en\n", r"line 2: valence of 'fear' is ''. Known: negative, neutral, pos"),
        (HEAD + "fear,negative,0.9,en\n", r"rating of 'fear' is '0.9'. Write a number from 1 .*9"),
        (HEAD + "fear,negative,9.1,en\n", r"rating of 'fear' is '9.1'"),
        (HEAD + 'fear,negative,"1,5",en\n', r"rating of 'fear' is '1,5'.*decimal point"),
        (HEAD + "fear,negative,nan,en\n", r"rating of 'fear' is 'nan'"),
        (HEAD + "fear,negative,,English\n", r"language of 'fear' is 'English'. Write a code"),
        (HEAD + "fear,negative,,\n", r"language of 'fear' is ''. Write a code"),
        (
            HEAD + "Süße,neutral,,de\n\nSÜSSE,positive,,de\n",
            r"line 4: 'SÜSSE' .de. stands already in line 2. Keep one",
        ),
        (HEAD + "e\u0301,neutral,,fr\n\u00e9,neutral,,fr\n", r"line 3: .*already in line 2"),
        (HEAD + '"fear,negative,,en\n', r"not a CSV file .*Correct the line"),
        (LIST.encode("latin-1"), r"line 4: byte 0xfc is not UTF-8.*Save it as UTF-8"),
        ((HEAD + "恐惧,negative,,zh\n").encode("gbk"), r"line 2: byte 0x.. is not UTF-8.*GBK"),
        (LIST.encode("utf-16"), r"line 1: byte 0xff is not UTF-8.*UTF-16"),
    ],
)
def test_a_mistake_names_line_value_and_remedy(tmp_path, content, message):
    with pytest.raises(WordListError, match=message):
        read_words(written(tmp_path, content))


def test_a_list_that_is_not_there_is_named(tmp_path):
    with pytest.raises(
        WordListError, match=r"none.csv: cannot be read .No such file.*Give the path"
    ):
        read_words(tmp_path / "none.csv")


# ---- words: in a spec -------------------------------------------------------------------------

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
    fields: {start: start, text: said, valence: valence}
"""


def test_steps_take_the_valence_of_their_word_unless_the_table_gives_it(tmp_path):
    layouts.write(
        tmp_path,
        {
            "specs/toy.yaml": SPEC,
            "lists/words.csv": LIST,
            "data/A.wav": "",
            "data/A.csv": "start,said,valence\n"
            "0,TRAUER,\n1,Glück,neutral\n2,,\n3,Haus,\n4,süsse,\n",
            "data/B.wav": "",
            "data/B.csv": "start,said,valence\n0,haus,\n1,Hof,\n2,Hut,positive\n",
        },
    )
    manifest, report = index_corpus(load_spec(tmp_path / "specs" / "toy.yaml"), tmp_path / "data")
    found = [None if pd.isna(value) else value for value in manifest.steps["valence"]]
    assert found == ["negative", "neutral", None, None, "positive", None, None, "positive"]
    assert [(item.kind, item.where) for item in report.missing] == [
        ("word", "A.wav"), ("word", "B.wav"),
    ]  # fmt: skip
    for item, text in zip(report.missing, ("Haus", "Hof"), strict=True):
        assert item.message.startswith(f"step text {text!r} is not in the word list")


def test_words_need_a_text_and_a_list(tmp_path):
    with pytest.raises(SpecError, match=r"line 9: word_list: nothing gives the text of a step"):
        parse_spec(SPEC.replace("text: said, ", ""), "toy.yaml")
    layouts.write(tmp_path, {"A.wav": "", "A.csv": "start,said,valence\n0,a,\n"})
    with pytest.raises(WordListError, match=r"words.csv: cannot be read"):
        index_corpus(parse_spec(SPEC, str(tmp_path / "toy.yaml")), tmp_path)


def test_a_word_with_two_valences_cannot_fill_steps():
    words = [Word("gift", "positive", None, "en"), Word("Gift", "negative", None, "de")]
    with pytest.raises(WordListError, match=r"'Gift' is positive .en. and negative .de."):
        fill_valence([], words, "words.csv")
    assert fill_valence([], [words[0], Word("Gift", "positive", None, "xx")], "words.csv") == []


# ---- simulate ---------------------------------------------------------------------------------


def simulated(tmp_path: Path, content: str):
    words = written(tmp_path, content)
    options = ["--subjects", "2", "--steps", "4", "--workers", "1", "--words", str(words)]
    return CliRunner().invoke(app, ["simulate", str(tmp_path / "out"), *options])


def test_people_read_the_words_of_the_users_list(tmp_path):
    assert simulated(tmp_path, LIST).exit_code == 0
    with (tmp_path / "out" / "words.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    valence = {word.text: word.valence for word in read_words(tmp_path / "words.csv")}
    assert len(rows) == 8
    assert {row["word"] for row in rows} <= set(valence)
    assert all(row["valence"] == valence[row["word"]] for row in rows)
    truth = json.loads((tmp_path / "out" / "truth.json").read_text(encoding="utf-8"))
    assert truth["planted_words"]["depressed"] == ["Trauer"]
    spec = load_spec(Path(__file__).parents[2] / "data_specs" / "ewre_simulated.yaml")
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
    error = simulated(tmp_path, content).exception
    assert isinstance(error, SimulationError)
    assert (error.file, error.value) == (tmp_path / "words.csv", value)
    assert not (tmp_path / "out").exists()
