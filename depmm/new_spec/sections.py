"""Sections of a proposed spec."""

from dataclasses import dataclass, field
from typing import Any

from depmm.new_spec.identify import Fields
from depmm.new_spec.labels import LabelColumn

Candidate = tuple[int, LabelColumn, str]  # rank, column and field of a possible label


@dataclass
class Entry:
    """One pattern under ``recordings:``, or one table.

    Attributes
    ----------
    pattern : str
        Pattern of the files.
    keys : dict of str to object
        The other keys.
    comments : list of str
        What was seen.
    example : str
        One of the files.
    """

    pattern: str
    keys: dict[str, Any]
    comments: list[str] = field(default_factory=list)
    example: str = ""


@dataclass
class Draft:
    """A proposed spec before it is written.

    Attributes
    ----------
    fields : Fields
        Fields of the paths.
    recordings, tables : list of Entry
        The patterns and tables.
    steps : Entry or None
        The step table.
    codes : dict of str to dict
        Codes and names.
    label : dict of str to object
        The label; empty if none was found.
    comments : dict of str to list of str
        Section -> what was seen.
    unjoined : list of str
        Tables that agree with no part of the paths.
    empty : list of str
        Files without content.
    label_ids : list of set of str
        Ids of the tables of the columns that may be the label.
    """

    fields: Fields
    recordings: list[Entry] = field(default_factory=list)
    tables: list[Entry] = field(default_factory=list)
    steps: Entry | None = None
    codes: dict[str, dict[str, Any]] = field(default_factory=dict)
    label: dict[str, Any] = field(default_factory=dict)
    comments: dict[str, list[str]] = field(default_factory=dict)
    unjoined: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    label_ids: list[set[str]] = field(default_factory=list)

    def note(self, section: str, text: str) -> None:
        """Add a comment to a section.

        Parameters
        ----------
        section : str
            Key of the spec.
        text : str
            The comment.
        """
        if text:
            self.comments.setdefault(section, []).append(text)
