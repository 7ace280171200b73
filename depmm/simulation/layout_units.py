"""Plan of a simulated corpus: participants, the units of their sessions, and files."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from depmm.corpora.spec_schema import RecordingPattern
from depmm.simulation.participants import SimulationError, Traits

Fields = dict[str, str]  # field -> value, as it is written in paths and tables
Meanings = dict[str, list[str]]  # field -> allowed values after translation by codes:


class LayoutError(SimulationError):
    """A layout in which the requested corpus cannot be simulated."""


@dataclass
class Participant:
    """A simulated participant of a corpus in the layout of a spec.

    Attributes
    ----------
    index : int
        Index from 1.
    traits : Traits
        Diagnosis, which voice and face express, score, gender, age and split.
    label : int
        Class that the tables state, 1 for depressed. It contradicts the diagnosis where label
        noise is planted.
    score : int or None
        Score that the tables state, in agreement with ``label``; None without scores.
    further_split : str or None
        Split of one additional session, where a leak is planted.
    """

    index: int
    traits: Traits
    label: int
    score: int | None
    further_split: str | None = None


@dataclass
class PlannedFile:
    """A recording or feature file to be written.

    Attributes
    ----------
    path : str
        Path below the folder of the corpus.
    entry : RecordingPattern
        Pattern of the spec that the path matches.
    fields : dict of str to str
        Fields of the path, of the pattern and of the joined tables.
    """

    path: str
    entry: RecordingPattern
    fields: Fields


@dataclass
class PlannedUnit:
    """Files that record the same words: a session, or one of its files in step order.

    Attributes
    ----------
    participant : Participant
        The speaker.
    split : str or None
        Split of the session; None if the layout has no splits.
    session_index : int
        Index of the session among those of the participant, from 0.
    words : list of tuple of str
        Words with their valence, in order.
    session, subject : str
        Ids, as indexing will read them.
    files : list of PlannedFile
        Files in the order of the patterns.
    fields : dict of str to str
        Fields of all files.
    """

    participant: Participant
    split: str | None
    session_index: int
    words: list[tuple[str, str]]
    session: str = ""
    subject: str = ""
    files: list[PlannedFile] = field(default_factory=list)
    fields: Fields = field(default_factory=dict)


class ValueSampler:
    """Sampler of values that the layout does not determine; they are constant in a session.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self._known: dict[tuple[int, int, str], str] = {}

    def sample(self, values: Sequence[str]) -> str:
        """Sample one of the values.

        Parameters
        ----------
        values : sequence of str
            At least one value.

        Returns
        -------
        str
            One of them.
        """
        return values[int(self.rng.integers(len(values)))]

    def sample_once(
        self, participant: Participant, session_index: int, name: str, values: Sequence[str]
    ) -> str:
        """Sample the value of a field in a session; later calls return the same value.

        Parameters
        ----------
        participant : Participant
            Participant of the session.
        session_index : int
            Index of the session.
        name : str
            Name of the field.
        values : sequence of str
            Values to sample from.

        Returns
        -------
        str
            The value of the field.
        """
        key = (participant.index, session_index, name)
        if key not in self._known:
            self._known[key] = self.sample(values)
        return self._known[key]
