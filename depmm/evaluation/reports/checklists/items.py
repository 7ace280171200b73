"""Items of a checklist, the evidence that fills them, and where an answer is found."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from depmm.config import Experiment


@dataclass(frozen=True)
class Evidence:
    """What is recorded about a run, or about a table of predictions.

    Attributes
    ----------
    metrics : mapping of str to object
        The content of ``metrics.json``.
    config : Config or ClassicalConfig or None
        The experiment; None for predictions of another program.
    environment : mapping of str to str
        The content of ``environment.json``; empty without it.
    audit : mapping of str to object or None
        The content of ``audit.json``.
    n_candidates : int
        Number of tuning candidates of each training; 0 without tuning.
    anchors : frozenset of str
        Ids of the sections of ``report.html``.
    files : frozenset of str
        Names of the files in the folder of the run.
    """

    metrics: Mapping[str, Any]
    config: Experiment | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    audit: Mapping[str, Any] | None = None
    n_candidates: int = 0
    anchors: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()

    def has(self, place: str) -> bool:
        """Return whether a place exists.

        Parameters
        ----------
        place : str
            ``report.html#SECTION``, ``config.yaml#SETTING`` or the name of a file of the run.

        Returns
        -------
        bool
            Whether the section is in the report, or the file in the run.
        """
        file, _, fragment = place.partition("#")
        return fragment in self.anchors if file == "report.html" else file in self.files


@dataclass(frozen=True)
class Answer:
    """An answer that the evidence gives to an item.

    Attributes
    ----------
    text : str
        Recorded or computed values, in sentences.
    places : tuple of str
        Where the values are found, see :meth:`Evidence.has`.
    """

    text: str
    places: tuple[str, ...]


Fill = Callable[[Evidence], Answer | None]


@dataclass(frozen=True)
class Item:
    """One item of a checklist.

    Attributes
    ----------
    number : str
        Number of the item, as published.
    section : str
        Section of the checklist.
    asks : str
        What the item asks for, in other words than the published ones.
    write : str
        What the author writes; with an answer, what the author adds. Empty if an answer is
        complete.
    fill : callable, optional
        Function that answers the item from the evidence, or returns None if nothing is recorded.
    if_empty : str, default ""
        What the author writes if there is no answer, for an item whose answer is complete.
    """

    number: str
    section: str
    asks: str
    write: str = ""
    fill: Fill | None = None
    if_empty: str = ""


@dataclass(frozen=True)
class Checklist:
    """A published checklist.

    Attributes
    ----------
    name : str
        Name in file names and on the command line.
    title : str
        Name in the text.
    citation : str
        Reference of the publication.
    items : tuple of Item
        All items, in the published order.
    """

    name: str
    title: str
    citation: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Row:
    """An item with its answer.

    Attributes
    ----------
    item : Item
        The item.
    answer : Answer or None
        The answer; None if the author must write it.
    """

    item: Item
    answer: Answer | None

    @property
    def status(self) -> str:
        """``filled``, ``filled in part`` or ``yours to write``."""
        if self.answer is None:
            return "yours to write"
        return "filled in part" if self.item.write else "filled"

    @property
    def to_write(self) -> str:
        """What remains for the author; empty if the answer is complete."""
        return self.item.write if self.answer else self.item.write or self.item.if_empty


def fill_items(checklist: Checklist, evidence: Evidence) -> list[Row]:
    """Answer the items of a checklist.

    Parameters
    ----------
    checklist : Checklist
        The checklist.
    evidence : Evidence
        What is recorded.

    Returns
    -------
    list of Row
        One row per item. An answer without a place that exists is left out.
    """
    rows = []
    for item in checklist.items:
        answer = item.fill(evidence) if item.fill else None
        if answer is not None:
            places = tuple(place for place in answer.places if evidence.has(place))
            answer = Answer(answer.text, places) if places else None
        rows.append(Row(item, answer))
    return rows
