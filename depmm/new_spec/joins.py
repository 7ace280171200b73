"""Join tables with recordings: by parts of their paths, and by columns with the same values."""

import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from depmm.new_spec.files import FileKind, span_column
from depmm.new_spec.identify import Fields, assign, find_known_words
from depmm.new_spec.spans import Layout, match_values
from depmm.new_spec.words import SUBJECT, VISIT

_MIN_SHARE = 0.5
_MAX_ERRORS = 0.2  # share of keys with different rows that are errors of the table


@dataclass(frozen=True)
class Conflict:
    """Rows of a table that have the same keys, but differ.

    Attributes
    ----------
    file : str
        The table.
    key : str
        The first key with different rows.
    n_different, n_keys : int
        Keys with different rows, and all keys.
    """

    file: str
    key: str
    n_different: int
    n_keys: int

    @property
    def is_rare(self) -> bool:
        """Whether it is an error of some rows, and not the layout of the table."""
        return self.n_different < _MAX_ERRORS * self.n_keys

    def __str__(self) -> str:
        several = f"{self.file} has several different rows for {self.key}"
        if self.n_different > 1:
            several += f" and {self.n_different - 1} more"
        if self.is_rare:
            return f"{several}. Correct the table"
        return f"{several}. Join a visit or a date as well (nearest:, in Data specs)"


@dataclass
class Join:
    """How the rows of a table find their recordings.

    Attributes
    ----------
    kind : FileKind
        The table.
    join : dict of str to str
        Column -> field or template.
    integers : list of str
        Columns whose leading zeros are dropped.
    fields : dict of str to str
        Field -> column, for parts of the path that are not joined.
    n_matched, n_ids : int
        Subjects of the recordings that the table has, and all of them.
    """

    kind: FileKind
    join: dict[str, str] = field(default_factory=dict)
    integers: list[str] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)
    n_matched: int = 0
    n_ids: int = 0

    @property
    def ids(self) -> set[str]:
        """The cells of the first joined column."""
        return set(self.cells(next(iter(self.join))))

    def find_conflict(self, columns: list[str]) -> "Conflict | None":
        """Find rows of one recording that differ.

        Parameters
        ----------
        columns : list of str
            Columns that are used.

        Returns
        -------
        Conflict or None
            The first one; None without such rows.
        """
        used = [self.cells(column) for column in columns]
        keys = zip(*(self.cells(column) for column in self.join), strict=True)
        first: dict[tuple[str, ...], tuple[str, ...]] = {}
        different: dict[tuple[str, ...], None] = {}
        for key, row in zip(keys, zip(*used, strict=True), strict=True):
            if first.setdefault(key, row) != row:
                different[key] = None
        if not different:
            return None
        file, key = self.kind.layout.shape.sample[0], next(iter(different))
        return Conflict(file, ", ".join(key), len(different), len(first))

    def cells(self, column: str) -> list[str]:
        """Return the cells of a column, or of a part of the path.

        Parameters
        ----------
        column : str
            Name of a column or field.

        Returns
        -------
        list of str
            One cell per row.
        """
        for span, name in self.kind.layout.fields.items():
            if name == column:
                return self.kind.columns[span_column(span)]
        return self.kind.columns[column]


def join_table(kind: FileKind, primary: Layout, fields: Fields) -> Join | None:
    """Find the columns that join a table to the recordings.

    Parameters
    ----------
    kind : FileKind
        The table; fields of its paths are set.
    primary : Layout
        The main recordings with their fields.
    fields : Fields
        Fields of the corpus; roles may be added.

    Returns
    -------
    Join or None
        The join; None if no column agrees with the recordings.
    """
    layout, found = kind.layout, Join(kind)
    names = set(primary.fields.values())
    find_known_words(layout, fields)
    assign(layout, primary)
    for name in dict.fromkeys(layout.fields.values()):
        if name in names:
            found.join[name] = name
        else:
            found.fields[name] = name
    subject_known = "subject" in found.join
    if not subject_known and not _join_columns(found, primary, fields):
        return None
    span = next((span for span, name in primary.fields.items() if name == "subject"), None)
    if span is not None:
        found.n_ids = len(set(primary.values(span)))
        if subject_known:
            own = next(s for s, name in layout.fields.items() if name == "subject")
            match = match_values(primary.values(span), layout.values(own))
            found.n_matched = match.n_common
    return found


def _join_columns(found: Join, primary: Layout, fields: Fields) -> bool:
    """Add the column of the subject, and those of visits and other fields; False without it."""
    columns = {name: cells for name, cells in found.kind.columns.items() if name[0] != "@"}
    if _join_files(found, primary, columns):
        return True
    span = next((span for span, name in primary.fields.items() if name == "subject"), None)
    if span is None:
        return False
    best = None
    for column, cells in columns.items():
        match = match_values(primary.values(span), cells)
        agrees = match.share >= _MIN_SHARE or match.column_share >= 0.8
        if not agrees or match.n_common < min(2, len(set(primary.values(span)))):
            continue
        unique = len(set(cells)) == len(cells)
        rank = bool(SUBJECT.search(column)), match.n_common, unique
        if best is None or rank > best[0]:
            best = rank, column, match
    if best is None:
        return False
    _, column, match = best
    found.join[column] = f"{match.prefix}{{subject}}" if match.prefix else "subject"
    found.n_matched = match.n_common
    if match.integer:
        primary.integers.add("subject")
    if match.integer_column or ("subject" in primary.integers and not match.prefix):
        found.integers.append(column)
    rows = len(columns[column])
    for name in _further_fields(primary, fields):
        joined = [found.cells(column) for column in found.join]
        if len(set(zip(*joined, strict=True))) == rows and name != "visit":
            break
        _join_field(found, primary, columns, name)
    return True


def _further_fields(primary: Layout, fields: Fields) -> list[str]:
    names = [name for name in dict.fromkeys(primary.fields.values()) if name != "subject"]
    return sorted(names, key=lambda name: (name not in ("visit", "date"), name))


def _join_field(found: Join, primary: Layout, columns: dict[str, list[str]], name: str) -> None:
    span = next(span for span, known in primary.fields.items() if known == name)
    for column, cells in columns.items():
        if column in found.join or (name == "visit" and not VISIT.search(column)):
            continue
        match = match_values(primary.values(span), cells)
        named = re.sub(r"\W", "", column.lower()) == name or name in ("visit", "date")
        if (match.prefix and name != "visit") or match.share < 0.8:
            continue
        if not (named or match.n_common > 2):
            continue
        if match.integer and name not in primary.integers:
            continue
        found.join[column] = f"{match.prefix}{{{name}}}" if match.prefix else name
        if match.integer_column or (name in primary.integers and not match.prefix):
            found.integers.append(column)
        return


def _join_files(found: Join, primary: Layout, columns: dict[str, list[str]]) -> bool:
    """Join on a column with paths or names of files."""
    paths = [PurePosixPath(path) for path in primary.shape.sample]
    forms = {
        "path": [str(path) for path in paths],
        "{stem}" + primary.shape.extension: [path.name for path in paths],
        "stem": [path.stem for path in paths],
    }
    for template, values in forms.items():
        if len(set(values)) < len(values):
            continue
        subject = next((s for s, name in primary.fields.items() if name == "subject"), None)
        if template == "stem" and subject and primary.values(subject) == values:
            return False  # the subject itself
        for column, cells in columns.items():
            common = set(values) & set(cells)
            if len(common) >= max(2, _MIN_SHARE * len(values)):
                found.join[column] = template
                found.n_matched, found.n_ids = len(common), len(values)
                return True
    return False
