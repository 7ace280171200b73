"""Word lists with valence: which emotion a word carries that somebody reads aloud.

A list is a CSV file in UTF-8 with the columns ``word, valence, rating, language``, in any order::

    word,valence,rating,language
    tragedy,negative,1.8,en
    table,neutral,,en

``rating`` is the mean valence that people gave the word, from 1 (most negative) to 9 (most
positive), as in ANEW (Bradley & Lang 1999), or empty. ``language`` is a code such as ``en`` or
``zh-Hans``.
"""

import csv
import io
import math
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depmm.corpora.index_report import Missing
from depmm.corpora.manifest import VALENCES
from depmm.errors import DepmmError, did_you_mean

ENGLISH_WORDS = Path(__file__).parent / "word_lists" / "emotion_words_en.csv"
COLUMNS = ("word", "valence", "rating", "language")
RATING_RANGE = (1.0, 9.0)  # most negative, most positive
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")


class WordListError(DepmmError):
    """A word list that cannot be used; names file, line, value and remedy."""


@dataclass(frozen=True)
class Word:
    """One word of a list.

    Parameters
    ----------
    text : as written
    valence : ``negative``, ``neutral`` or ``positive``
    rating : within ``RATING_RANGE``; None where nobody rated it
    language : code, e.g. ``en``
    """

    text: str
    valence: str
    rating: float | None
    language: str


def read_words(path: Path | str) -> list[Word]:
    """Read and check a word list; the words stay in the order of the file.

    Parameters
    ----------
    path : CSV in UTF-8, with or without byte order mark; upper and lower case do not make two words

    Raises
    ------
    WordListError : no such file, not UTF-8, a missing, unknown or repeated column, no word at all,
        a row with too many or too few cells, a blank word, an unknown valence, a rating that is no
        number or out of range, no language code, a word that stands twice in one language
    """
    path = Path(path)
    text = _decode(path)
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
    names: list[str] = []
    words: list[Word] = []
    lines: dict[tuple[str, str], int] = {}
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            place = f"{path}, line {reader.line_num}"
            if not names:
                names = cells
                _check_header(names, place)
                continue
            if len(cells) != len(names):
                raise WordListError(
                    f"{place}: {len(cells)} cells where {len(names)} columns are "
                    f"({', '.join(names)}). Correct the row; a text with a comma stands in "
                    "quotation marks."
                )
            word = _word(dict(zip(names, cells, strict=True)), place)
            first = lines.setdefault((word.language, normalize_word(word.text)), reader.line_num)
            if first != reader.line_num:
                raise WordListError(
                    f"{place}: {word.text!r} ({word.language}) stands already in line {first}. "
                    "Keep one of them; upper and lower case do not make two words."
                )
            words.append(word)
    except csv.Error as error:
        raise WordListError(
            f"{path}, line {reader.line_num}: not a CSV file ({error}). Correct the line."
        ) from None
    if not words:
        raise WordListError(
            f"{path}: no word in it. Give the line {','.join(COLUMNS)} and one line a word."
        )
    return words


def normalize_word(text: str) -> str:
    """Return the form in which two spellings of a word are equal: composed, without case."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def fill_valence(
    steps: Iterable[dict[str, Any]], words: Iterable[Word], place: str
) -> list[Missing]:
    """Give the steps without valence that of their word; a valence that is there stays.

    Parameters
    ----------
    steps : rows of ``steps.parquet`` in the making; ``valence`` is filled in
    words : the list; a word of several languages must have one valence
    place : what messages call the list

    Returns
    -------
    one entry for each text, of a step without valence, that the list lacks

    Raises
    ------
    WordListError : a word with two valences, in two languages
    """
    valences: dict[str, Word] = {}
    for word in words:
        other = valences.setdefault(normalize_word(word.text), word)
        if other.valence != word.valence:
            raise WordListError(
                f"{place}: {word.text!r} is {other.valence} ({other.language}) and {word.valence} "
                f"({word.language}). Give a list of the one language that the corpus speaks."
            )
    missing: dict[str, Missing] = {}
    for step in steps:
        if step["valence"] is not None or step["text"] is None:
            continue
        key = normalize_word(step["text"])
        if key in valences:
            step["valence"] = valences[key].valence
        elif key not in missing:
            where = step["audio"] or step["face"]
            message = f"step text {step['text']!r} is not in the word list {place}"
            missing[key] = Missing("word", where, message)
    return list(missing.values())


def _decode(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WordListError(
            f"{path}: cannot be read ({error.strerror}). Give the path of a word list (CSV)."
        ) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise WordListError(
            f"{path}, line {line}: byte {data[error.start]:#04x} is not UTF-8; the file may be in "
            "Latin-1, GBK or UTF-16. Save it as UTF-8 (in a spreadsheet: CSV UTF-8)."
        ) from None


def _check_header(names: list[str], place: str) -> None:
    for column in COLUMNS:
        if column not in names:
            hint = did_you_mean(column, names)
            if len(names) == 1 and re.search(r"[;\t]", names[0]):
                hint = "Separate the columns by commas."
            raise WordListError(
                f"{place}: column {column!r} is missing (found: {', '.join(names)}). {hint} The "
                f"first line is: {','.join(COLUMNS)}"
            )
    for name in names:
        if name not in COLUMNS or names.count(name) > 1:
            what = "stands twice" if name in COLUMNS else "is unknown"
            raise WordListError(
                f"{place}: column {name!r} {what}. Remove it; the columns are {', '.join(COLUMNS)}."
            )


def _word(row: dict[str, str], place: str) -> Word:
    """Check one row."""
    text, valence, rating, language = (row[name] for name in COLUMNS)
    if not text or not text.isprintable():
        raise WordListError(
            f"{place}: the word {text!r} is blank or holds a character that cannot be shown. Write "
            "the word or remove the line."
        )
    if valence not in VALENCES:
        raise WordListError(
            f"{place}: valence of {text!r} is {valence!r}. {did_you_mean(valence, VALENCES)}"
        )
    if not _LANGUAGE.fullmatch(language):
        raise WordListError(
            f"{place}: language of {text!r} is {language!r}. Write a code of two or three small "
            "letters, such as en, de or zh-Hans."
        )
    return Word(text, valence, _rating(rating, f"{place}: rating of {text!r}"), language)


def _rating(cell: str, what: str) -> float | None:
    if not cell:
        return None
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    lowest, highest = RATING_RANGE
    if not lowest <= value <= highest:
        raise WordListError(
            f"{what} is {cell!r}. Write a number from {lowest:g} (most negative) to {highest:g} "
            "(most positive), with a decimal point, or leave it empty; bring other scales to this "
            "one."
        )
    return value
