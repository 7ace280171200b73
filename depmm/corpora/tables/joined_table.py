"""Rows of the tables of a spec, found by the fields of a recording."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from depmm.corpora.errors import ManifestError
from depmm.corpora.patterns import fill_template, template_fields
from depmm.corpora.spec_schema import StepTable, Table, join_field
from depmm.corpora.tables.table_files import Origin
from depmm.errors import abbreviate, fold

Key = tuple[str, ...]


class LeftOutTurn(NamedTuple):
    """A row of a step table that is not a step.

    Attributes
    ----------
    fields : dict of str to str or None
        The fields that the spec names; None for an empty cell.
    is_other : bool
        Whether it is a turn of another speaker (``other_turns`` in the spec).
    origin : Origin
        File and line.
    """

    fields: dict[str, str | None]
    is_other: bool
    origin: Origin


class Row(NamedTuple):
    """One row of a table.

    Attributes
    ----------
    fields : dict of str to str or None
        The fields that the spec names; None for an empty cell.
    order : tuple of str
        The cells that order the rows.
    origin : Origin
        File and line.
    """

    fields: dict[str, str | None]
    order: tuple[str, ...]
    origin: Origin


@dataclass
class JoinedTable:
    """Rows of all files of a table of the spec, by key.

    Attributes
    ----------
    table : Table
        Description of the table.
    files : list of str
        Paths of the files that were read, relative to the corpus root.
    captured : dict of str to dict
        Path of a file -> fields of its name.
    rows : dict of tuple to list of Row
        Key (the cells of the join columns, in order) -> rows.
    left_out_turns : dict of tuple to list of LeftOutTurn
        Key -> rows that are not steps, if the table has ``other_turns``.
    used : set of tuple
        Keys that have been looked up for a recording.
    id_columns : tuple of str
        Columns under ``join`` whose cells must be safe ids.
    own_columns : tuple of str
        Columns under ``join`` that the file name states, if they determine a subject or session;
        then a file that cannot be used concerns only these recordings.
    unusable : dict of tuple to ManifestError
        Cells of ``own_columns`` -> error of the file, which has no rows here.
    left_out : Counter of tuple of (str, str)
        Column, and the cell that ``keep`` or ``drop`` excludes -> number of rows.
    kept : dict of str to set of str
        Column under ``drop`` -> the first ``MAX_KEPT_VALUES`` different cells that are used.
    left_out_example : str
        File and line of the first row that is left out.
    n_rows : int
        Number of rows, those that are left out included.
    similar : dict of tuple to tuple
        Key in the form that ``suggest`` compares -> key of ``rows``.
    """

    table: Table
    files: list[str]
    captured: dict[str, dict[str, str]] = field(default_factory=dict)
    rows: dict[Key, list[Row]] = field(default_factory=dict)
    left_out_turns: dict[Key, list[LeftOutTurn]] = field(default_factory=dict)
    used: set[Key] = field(default_factory=set)
    id_columns: tuple[str, ...] = ()
    own_columns: tuple[str, ...] = ()
    unusable: dict[Key, ManifestError] = field(default_factory=dict)
    left_out: Counter[tuple[str, str]] = field(default_factory=Counter)
    kept: dict[str, set[str]] = field(default_factory=dict)
    left_out_example: str = ""
    n_rows: int = 0
    similar: dict[Key, Key] = field(default_factory=dict)

    def find_rows(self, fields: Mapping[str, str | None]) -> tuple[Key | None, list[Row]]:
        """Find the rows that belong to a recording's fields.

        Parameters
        ----------
        fields : mapping of str to str or None
            Fields of a recording.

        Returns
        -------
        key : tuple of str or None
            None if one of the joined fields is unknown.
        rows : list of Row
            Empty if no row has the key.
        """
        parts = [fill_template(join_field(text), fields) for text in self.table.join.values()]
        key = tuple(part for part in parts if part is not None)
        if len(key) < len(parts):
            return None, []
        rows = self.rows.get(key, [])
        if rows:
            self.used.add(key)
        return key, rows

    def check_files(
        self, rows: Sequence[Row], fields: Mapping[str, str | None], id_fields: Collection[str]
    ) -> None:
        """Check that the steps of a recording are in one file, which is that of its session.

        Steps may be in several files if the names differ only in fields that the steps have (under
        ``fields``), or by which they are sorted (under ``order``).

        Parameters
        ----------
        rows : sequence of Row
            The steps of the recording.
        fields : mapping of str to str or None
            Fields of the recording.
        id_fields : collection of str
            Fields of the ids of subject and session.

        Raises
        ------
        ManifestError
            If the steps are in several files, or in a file of another session.
        """
        files = list(dict.fromkeys(row.origin.file for row in rows))
        self._check_session(files, fields, id_fields)
        order = self.table.order if isinstance(self.table, StepTable) else []
        of_steps = {*self.table.fields.values(), *order}
        captured = [self.captured.get(file, {}) for file in files]
        differing = [
            name
            for name in captured[0]
            if name not in of_steps and len({names[name] for names in captured}) > 1
        ]
        n_names = len({tuple(names.values()) for names in captured})
        if n_names == len(files) and not differing:
            return
        remedy = f"Add {', '.join(differing)} to join: in the step table of the spec."
        if not differing:
            remedy = (
                "Remove all but one of them, or name the part in which they differ as a field in "
                "the pattern, and add it to join: or order: in the step table of the spec."
            )
        raise Origin(files[1]).error(
            f"the steps of {fields.get('path')} are in {len(files)} files of "
            f"{self.table.location}: {abbreviate(files, 4)}.",
            differing[0] if differing else None,
            files[1],
            remedy=remedy,
        )

    def _check_session(
        self, files: list[str], fields: Mapping[str, str | None], id_fields: Collection[str]
    ) -> None:
        """Check that no file name has another value of a field of the ids than the recording."""
        joined = {
            name for text in self.table.join.values() for name in template_fields(join_field(text))
        }
        for name in sorted(set(id_fields) - joined - set(self.table.fields.values())):
            known = fields.get(name)
            for file in files:
                value = self.captured.get(file, {}).get(name)
                if value and known and _fold_key((value,)) != _fold_key((known,)):
                    raise Origin(file).error(
                        f"{name} is {value!r} in the name of the file, but {known!r} for "
                        f"{fields.get('path')}, to which its steps are joined.",
                        name,
                        value,
                        remedy=f"Add {name}: {name} to join: in the step table of the spec, or use "
                        "another field name in its pattern.",
                    )

    def find_error(self, fields: Mapping[str, str | None]) -> ManifestError | None:
        """Find the error of the file that should contain the rows of a recording.

        Parameters
        ----------
        fields : mapping of str to str or None
            Fields of a recording.

        Returns
        -------
        ManifestError or None
            The error; None if the file can be used.
        """
        if not self.unusable:
            return None
        parts = [
            fill_template(join_field(self.table.join[name]), fields) for name in self.own_columns
        ]
        return self.unusable.get(tuple(part or "" for part in parts))

    def unused_keys(self) -> Iterator[str]:
        """Yield the keys without a recording, for example ``subject=S003, session=1``."""
        for key in self.rows:
            if key not in self.used:
                yield self.describe(key)

    def suggest(self, key: Key | None) -> str:
        """Name a key of the table that differs only in case, blanks, zeros or hyphens.

        Parameters
        ----------
        key : tuple of str or None
            A key without rows.

        Returns
        -------
        str
            The remedy, after a separator; empty if no key is similar.
        """
        if key is None:
            return ""
        if len(self.similar) == 0:
            self.similar = {_fold_key(other): other for other in self.rows}
        other = self.similar.get(_fold_key(key))
        if other is None:
            return ""
        return (
            f"; the table has {self.describe(other)}: write both alike, or drop leading zeros with "
            "integers: in the table and {field:int} in the pattern"
        )

    def describe(self, key: Key | None) -> str:
        """Format a key as ``column=cell`` pairs.

        Parameters
        ----------
        key : tuple of str or None
            A key as ``find_rows`` returns it.

        Returns
        -------
        str
            The pairs.
        """
        if key is None:
            return f"unknown {', '.join(self.table.join)}"
        return ", ".join(f"{name}={cell}" for name, cell in zip(self.table.join, key, strict=True))


def _fold_key(key: Key) -> Key:
    """Return a key without case, blanks, hyphens, leading zeros and the ``.0`` of whole numbers."""
    return tuple(re.sub(r"(?<![0-9])0+(?=[0-9])|\.0+$", "", fold(part)) for part in key)
