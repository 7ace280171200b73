"""The reading list of simulated subjects: its words, their order, and the planted words."""

from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np

from depmm.corpora.word_lists import Word, normalize_word, read_words
from depmm.schemas.manifest import VALENCES
from depmm.simulation.participants import DEPRESSED, HEALTHY, SimulationError
from depmm.simulation.voice import spell_phones

PLANTED_SHARE = 2 / 3  # of the words of a valence
PLANTED_VALENCE = {DEPRESSED: "negative", HEALTHY: "positive"}
PATTERNS = ("balanced", "one_sided", "interacting", "congruence")
BALANCED, ONE_SIDED, INTERACTING, CONGRUENCE = PATTERNS


@dataclass(frozen=True)
class Step:
    """A word of the reading list.

    Attributes
    ----------
    word : str
        The word.
    valence : {"negative", "neutral", "positive"}
        Its valence.
    planted_for : str or None
        Diagnosis of the subjects who show the planted effect; None if the word is not planted.
    """

    word: str
    valence: str
    planted_for: str | None


def read_word_lists(path: Path) -> dict[str, list[str]]:
    """Read the words of each valence from a word list.

    Parameters
    ----------
    path : Path
        Word list, see `depmm.corpora.word_lists.read_words`.

    Returns
    -------
    dict of str to list of str
        Words by valence, in the order of ``VALENCES`` and of the file.

    Raises
    ------
    SimulationError
        If a word is listed for two languages or has no Latin letter, or a valence has no word.
    """
    lists: dict[str, list[str]] = {valence: [] for valence in VALENCES}
    known: dict[str, Word] = {}
    for word in read_words(path):
        other = known.setdefault(normalize_word(word.text), word)
        if other is not word:
            raise SimulationError(
                f"{path}: {word.text!r} is listed for the languages {other.language} and "
                f"{word.language}.",
                file=path,
                value=word.text,
                remedy="Use a word list of one language, or remove one of the two rows.",
            )
        if not spell_phones(word.text):
            raise SimulationError(
                f"{path}: {word.text!r} has no letter that the simulated voice can speak.",
                file=path,
                value=word.text,
                remedy="Write the word in Latin letters.",
            )
        lists[word.valence].append(word.text)
    for valence, texts in lists.items():
        if not texts:
            raise SimulationError(
                f"{path}: no word is {valence}.",
                file=path,
                value=valence,
                remedy="A reading list needs words of each valence.",
            )
    return lists


def sample_reading_list(
    steps: int, lists: dict[str, list[str]], rng: np.random.Generator, pattern: str = BALANCED
) -> list[Step]:
    """Sample the words, their order, and which of them are planted.

    The words come in rounds with one word of each valence in random order. An incomplete last round
    has as many negative as positive words. Words and order do not depend on ``pattern``.

    Parameters
    ----------
    steps : int
        Number of words.
    lists : dict of str to list of str
        Words by valence, see `read_word_lists`.
    rng : Generator
        Source of randomness.
    pattern : {"balanced", "one_sided", "interacting", "congruence"}, default "balanced"
        ``balanced``: negative words are planted for depressed subjects and positive words for
        healthy ones; ``congruence``: no word is planted; otherwise, the same words are planted for
        depressed subjects.

    Returns
    -------
    list of Step
        The reading list.
    """
    shuffled = {valence: rng.permutation(words).tolist() for valence, words in lists.items()}
    rounds = [[str(v) for v in rng.permutation(list(lists))] for _ in range(steps // 3)]
    rest = ([], ["neutral"], ["negative", "positive"])[steps % 3]
    rounds.append([str(v) for v in rng.permutation(rest)])
    order = [valence for chosen in rounds for valence in chosen]
    planted: dict[str, str] = {}
    for diagnosis, valence in PLANTED_VALENCE.items():
        chosen = shuffled[valence][: order.count(valence)]
        count = max(1, round(PLANTED_SHARE * len(chosen)))
        shown_by = diagnosis if pattern == BALANCED else DEPRESSED
        planted |= {str(word): shown_by for word in rng.permutation(chosen)[:count]}
    supply = {valence: cycle(words) for valence, words in shuffled.items()}
    words = [(next(supply[valence]), valence) for valence in order]
    if pattern == CONGRUENCE:
        planted = {}
    return [Step(word, valence, planted.get(word)) for word, valence in words]
