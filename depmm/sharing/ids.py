"""Ids of the subjects and sessions of a run, and their search in text.

Most ids, such as ``P017`` or ``215_2``, are found wherever they are a whole word. An id of digits
only, or of one or two letters, is also an ordinary number or word. It is a finding where the
context says that it is an id: after a word such as *subject*, as a component of a path, or as the
value of a key such as ``session``. The same holds for an id that is a word of depmm itself, such as
``F1`` or ``audio``, once it was found. A session id that several subjects have in common, such as
``1`` or ``reading``, names none of them and is not searched.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from depmm.corpora.split_files import read_split
from depmm.files.checksums import read_table
from depmm.runs.folder import RunFolder
from depmm.schemas.manifest import SUBJECT_KEY

MIN_SUBJECTS = 5  # groups of fewer subjects are not described in an export
_NOUN = r"(?:subjects?|sessions?|participants?|speakers?|patients?|actors?|ids?)"
_AFTER_NOUN = re.compile(
    rf"\b{_NOUN}\b([\s:#=(\"'\[]*)((?:[^\W_][\w.-]*[\"']?(?:\s*,\s*[\"']?|\s+and\s+)?)+)", re.I
)
ID_KEY = re.compile(rf"(?:^|_){_NOUN}(?:$|_)|^which$|^sessions?$", re.I)
# after a number, which then counts something
_COUNTED = re.compile(
    r"\s*%|\s+(?:of|other|more|test|training|validation|sessions?|subjects?|steps?|recordings?|"
    r"models?|words?|h|min|s)\b"
)
_TOKEN = re.compile(r"[^\s\"'<>(),;=]+")
# absolute paths of two components or more, also of Windows; not the path of a URL of the web
_PATH = re.compile(
    r"(?:file:/*|(?<![\w.:/<])(?:~[\w.-]*)?)/(?:[\w.@+-]+/)+[\w.@+-]+"
    r"|(?<!\w)[A-Za-z]:[\\/]+[^\s\"'<>|]+|(?<![\w\\])\\\\[\w.$-]+\\[^\s\"'<>|]+"
)


@dataclass(frozen=True)
class Found:
    """An id or a path in a text.

    Attributes
    ----------
    kind : {"id", "path"}
        What it is.
    value : str
        The id or path.
    """

    kind: str
    value: str


@dataclass(frozen=True)
class SubjectIds:
    """Ids of subjects, sessions and recordings.

    Attributes
    ----------
    ids : frozenset of str
        The ids.
    ordinary : frozenset of str
        Those of them that are words of depmm, and are found only where the context says that they
        are ids.
    """

    ids: frozenset[str]
    ordinary: frozenset[str] = frozenset()

    def _is_weak(self, name: str) -> bool:
        short = len(name) <= 2 and not any(c.isdigit() for c in name)
        return name.isdigit() or short or name in self.ordinary

    @cached_property
    def _weak(self) -> frozenset[str]:
        weak = filter(self._is_weak, self.ids)
        return frozenset(_normalize(name).casefold() for name in weak)

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        strong = {_normalize(name) for name in self.ids if not self._is_weak(name)}
        if not strong:
            return None
        words = "|".join(map(_spellings, sorted(strong, key=len, reverse=True)))
        # letters and digits next to it make another word; an underscore does not
        return re.compile(rf"(?<![^\W_])(?:{words})(?![^\W_])", re.I)

    def search(self, text: str, key: str = "") -> list[Found]:
        """Find ids and absolute paths in a text.

        Parameters
        ----------
        text : str
            The text.
        key : str, optional
            Key of the text in a JSON or YAML file.

        Returns
        -------
        list of Found
            Each id or path once.
        """
        text = _normalize(text)
        found = [Found("path", match.group()) for match in _PATH.finditer(text)]
        if self._pattern is not None:
            found += [Found("id", match.group()) for match in self._pattern.finditer(text)]
        if self._weak:
            found += [Found("id", word) for word in self._weak_words(text, key)]
        return list(dict.fromkeys(found))

    def _weak_words(self, text: str, key: str) -> Iterable[str]:
        if ID_KEY.search(key):
            yield from (word for word in re.split(r"[\s,;/]+", text) if self._is_id(word))
        for match in _AFTER_NOUN.finditer(text):
            yield from filter(self._is_id, _listed(text, match))
        for match in _TOKEN.finditer(text):
            parts = re.split(r"[/\\]", match.group())
            if len(parts) < 2 or not re.search(r"[^\W\d_]{2}", match.group()):
                continue  # not a path
            for part in parts:
                yield from (word for word in re.split(r"[_.]", part) if self._is_id(word))

    def _is_id(self, word: str) -> bool:
        return word.casefold() in self._weak


def _normalize(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _spellings(name: str) -> str:
    """Match an id with other separators too, unless it could be numbers or a date."""
    if not any(letter.isalpha() for letter in name):
        return re.escape(name)
    return r"[\s_-]+".join(map(re.escape, re.split(r"[\s_-]+", name)))


def _listed(text: str, match: re.Match[str]) -> Iterator[str]:
    """Yield what is listed after a noun: not counts, and words only after a sign."""
    for word in re.finditer(r"[^\s,\"']+", match.group(2)):
        value = word.group().rstrip(".")
        if value.isdigit():
            if not _COUNTED.match(text, match.start(2) + word.end()):
                yield value
        elif any(c.isdigit() for c in value) or re.search(r"[:#=\"'\[]", match.group(1)):
            yield value


def collect_ids(run: RunFolder, manifest: Path) -> SubjectIds:
    """Collect the ids that a run, and its manifest if it exists, contain.

    Parameters
    ----------
    run : RunFolder
        The run.
    manifest : Path
        Folder of the manifest, which need not exist.

    Returns
    -------
    SubjectIds
        Ids of subjects and sessions, and names of recordings.

    Raises
    ------
    DamagedFileError
        If a table is damaged.
    """
    subjects: set[str] = set()
    owners: dict[str, set[tuple[str, str]]] = {}
    if run.split.is_file():
        subjects |= set(read_split(run.split, needed=())["subject"].astype(str))
    tables = [run.predictions, run.properties]
    tables += [manifest / f"{name}.parquet" for name in ("sessions", "steps", "features")]
    for path in tables:
        if not path.is_file():
            continue
        table = read_table(path)
        subjects |= set(table["subject"].astype(str))
        names = [table["session"].astype(str)]
        for column in ("audio", "face", "path"):
            if path.name in ("steps.parquet", "features.parquet") and column in table:
                names.append(table[column].dropna().map(lambda name: Path(name).stem))
        for series in names:
            keys = table.loc[series.index, SUBJECT_KEY].astype(str)
            pairs = pd.DataFrame({"name": series, **dict(keys.items())}).drop_duplicates()
            for name, corpus, subject in pairs.itertuples(index=False):
                owners.setdefault(name, set()).add((corpus, subject))
    sessions = {name for name, of in owners.items() if len(of) < MIN_SUBJECTS}
    return SubjectIds(frozenset(name for name in subjects | sessions if name.strip()))
