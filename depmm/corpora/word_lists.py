"""Word lists: the valence of the words that participants read aloud.

A list is a CSV file in UTF-8 with the columns ``word, valence, rating, language``, in any order::

    word,valence,rating,language
    tragedy,negative,1.8,en
    table,neutral,,en

``rating`` is the mean valence rating of the word, from 1 (most negative) to 9 (most positive), as
in ANEW (Bradley & Lang 1999), or empty. ``language`` is a code such as ``en`` or ``zh-Hans``.
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depmm.corpora.index_report import Missing
from depmm.corpora.patterns import NUMBER
from depmm.corpora.tables.csv_files import read_csv
from depmm.errors import DepmmError, did_you_mean
from depmm.schemas.manifest import VALENCES

ENGLISH_WORDS = Path(__file__).parent / "word_lists" / "emotion_words_en.csv"
COLUMNS = ("word", "valence", "rating", "language")
RATING_RANGE = (1.0, 9.0)  # most negative, most positive
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")


class WordListError(DepmmError):
    """A word list that cannot be used."""


@dataclass(frozen=True)
class Word:
    """One word of a list.

    Attributes
    ----------
    text : str
        The word as written.
    valence : {"negative", "neutral", "positive"}
        Valence of the word.
    rating : float or None
        Mean valence rating within ``RATING_RANGE``; None for a word without rating.
    language : str
        Code, for example ``en``.
    """

    text: str
    valence: str
    rating: float | None
    language: str


def read_words(path: Path | str) -> list[Word]:
    """Read and check a word list.

    Parameters
    ----------
    path : Path or str
        CSV in UTF-8, with or without byte order mark.

    Returns
    -------
    list of Word
        The words, in the order of the file.

    Raises
    ------
    WordListError
        If the file does not exist, is not UTF-8 or contains no word, a column is missing, unknown
        or repeated, a row has too many or too few cells, a word is blank, a valence is unknown, a
        rating is not a number or out of range, a language code is not valid, or a word is listed
        twice in one language (case is ignored).
    """
    path = Path(path)
    names, rows = read_csv(path, COLUMNS, WordListError, optional=())
    words: list[Word] = []
    lines: dict[tuple[str, str], int] = {}
    for number, cells in rows:
        line = _Line(path, number)
        word = _parse_word(dict(zip(names, cells, strict=True)), line)
        first = lines.setdefault((word.language, normalize_word(word.text)), number)
        if first != number:
            raise line.error(
                f"{word.text!r} ({word.language}) is already in line {first}. Keep one of "
                "them; case is ignored.",
                "word",
                word.text,
            )
        words.append(word)
    if not words:
        raise WordListError(
            f"{path}: the list contains no words. Write the line {','.join(COLUMNS)} and one line "
            "per word.",
            file=path,
        )
    return words


def normalize_word(text: str) -> str:
    """Return the normal form of a word: composed Unicode, without case.

    Parameters
    ----------
    text : str
        A word.

    Returns
    -------
    str
        Its normal form.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def fill_valence(
    steps: Mapping[str, list[Any]], words: Iterable[Word], list_name: str
) -> list[Missing]:
    """Fill in the valence of steps from a word list; known valences are not changed.

    Parameters
    ----------
    steps : mapping of str to list
        Columns of ``steps.parquet``, or none of them; ``valence`` is filled in.
    words : iterable of Word
        The list; a word that is listed in several languages must have the same valence.
    list_name : str
        Name of the list in messages.

    Returns
    -------
    list of Missing
        One entry for each text of a step without valence that is not in the list.

    Raises
    ------
    WordListError
        If a word has different valences in two languages.
    """
    valences: dict[str, Word] = {}
    for word in words:
        other = valences.setdefault(normalize_word(word.text), word)
        if other.valence != word.valence:
            raise WordListError(
                f"{list_name}: {word.text!r} is {other.valence} ({other.language}) and "
                f"{word.valence} ({word.language}). Give a list in the language of the corpus.",
                file=list_name,
                column="valence",
                value=word.text,
            )
    missing: dict[str, Missing] = {}
    for index, text in enumerate(steps.get("text", ())):
        if steps["valence"][index] is not None or text is None:
            continue
        key = normalize_word(text)
        if key in valences:
            steps["valence"][index] = valences[key].valence
        elif key not in missing:
            where = steps["audio"][index] or steps["face"][index]
            message = f"step text {text!r} is not in the word list {list_name}"
            missing[key] = Missing("word", where, message)
    return list(missing.values())


@dataclass(frozen=True)
class _Line:
    """Location in a word list, for errors."""

    file: Path
    number: int

    def error(self, message: str, column: str | None = None, value: Any = None) -> WordListError:
        return WordListError(
            f"{self.file}, line {self.number}: {message}",
            file=self.file,
            line=self.number,
            column=column,
            value=value,
        )


def _parse_word(row: dict[str, str], line: _Line) -> Word:
    text, valence, rating, language = (row[name] for name in COLUMNS)
    if not text or not text.isprintable():
        raise line.error(
            f"the word {text!r} is blank or contains an unprintable character. Write the word "
            "or remove the line.",
            "word",
            text,
        )
    if valence not in VALENCES:
        raise line.error(
            f"valence of {text!r} is {valence!r}. {did_you_mean(valence, VALENCES)}",
            "valence",
            valence,
        )
    if not _LANGUAGE.fullmatch(language):
        raise line.error(
            f"language of {text!r} is {language!r}. Write a code of two or three small letters, "
            "such as en, de or zh-Hans.",
            "language",
            language,
        )
    return Word(text, valence, _parse_rating(rating, text, line), language)


def _parse_rating(cell: str, text: str, line: _Line) -> float | None:
    if not cell:
        return None
    value = float(cell) if NUMBER.fullmatch(cell) else math.nan
    lowest, highest = RATING_RANGE
    if not lowest <= value <= highest:
        raise line.error(
            f"rating of {text!r} is {cell!r}. Write a number from {lowest:g} (most negative) to "
            f"{highest:g} (most positive), with a decimal point, or leave it empty; convert "
            "ratings on other scales.",
            "rating",
            cell,
        )
    return value
