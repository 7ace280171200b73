"""Dealing people evenly: over folds, or into a validation set.

People are ordered by a hash of a salt (the seed, say) and their key, not by a random generator: the
same draw on every machine, with every library, from rows in any order.
"""

import hashlib
from collections import Counter
from itertools import combinations

import numpy as np

SubjectKey = tuple[str, str]  # corpus, subject
Stratum = tuple[str, ...]  # values of what is shared out evenly, e.g. label, gender, corpus


def assign_folds(
    strata: dict[SubjectKey, Stratum], folds: int, salt: tuple[object, ...]
) -> list[list[SubjectKey]]:
    """Deal people over folds, each person to one.

    No two folds differ by more than one person in all, nor in those who share a value from the
    first to the n-th of their stratum, nor from the n-th to the last. For (label, gender, corpus):
    label; label and gender; all three; corpus; gender and corpus.

    Parameters
    ----------
    strata : each person's values, of equal number
    folds : how many, at most one a person
    salt : other salt, other draw

    Returns
    -------
    the people of each fold
    """
    dealt = sorted(strata, key=lambda person: (strata[person], _rank(person, salt)))
    dealing = [dealt[fold::folds] for fold in range(folds)]
    # dealt in turn, strata are even; what runs across them (a corpus, say) need not be. Each pass
    # makes a set of people more even between two folds and no other set less: it comes to an end
    changed = True
    while changed:
        changed = False
        for a, b in combinations(range(folds), 2):
            if _uneven(dealing[a], dealing[b], strata):
                dealing[a], dealing[b] = _halved(dealing[a] + dealing[b], strata)
                changed = True
    return dealing


def sample_evenly(
    strata: dict[SubjectKey, Stratum], number: int, salt: tuple[object, ...]
) -> list[SubjectKey]:
    """Draw a number of people, evenly over strata.

    Of those who share a value from the first to the n-th, as many are drawn as is their share,
    rounded up or down.
    """
    people = sorted(strata, key=lambda person: (strata[person], _rank(person, salt)))
    places = np.floor((np.arange(number) + 0.5) * len(people) / number).astype(int)
    return [people[place] for place in places]


def _rank(person: SubjectKey, salt: tuple[object, ...]) -> bytes:
    """A fixed pseudo-random place for a person, the same on every machine."""
    return hashlib.sha256(repr((*salt, *person)).encode()).digest()


def _uneven(
    one: list[SubjectKey], other: list[SubjectKey], strata: dict[SubjectKey, Stratum]
) -> bool:
    """Whether two folds differ by more than one person in a set that is to be shared evenly."""
    differences: Counter[tuple[int, Stratum]] = Counter()
    for people, sign in ((one, 1), (other, -1)):
        for person in people:
            for way in (1, -1):
                for depth in range(len(strata[person]) + 1):
                    differences[way, strata[person][::way][:depth]] += sign
    return any(abs(difference) > 1 for difference in differences.values())


def _halved(
    people: list[SubjectKey], strata: dict[SubjectKey, Stratum]
) -> tuple[list[SubjectKey], list[SubjectKey]]:
    """Deal people to two folds that differ by one at most in every set.

    People are paired within their stratum, those left over within the next larger set, and so on;
    once from the stratum's first value and once from its last. Partners go to different folds,
    which is always possible: two pairings make no odd circle (the equitable edge colouring of
    bipartite graphs; de Werra, "Equitable colorations of graphs", 1971).
    """
    partners: dict[SubjectKey, list[SubjectKey]] = {person: [] for person in people}
    for way in (1, -1):
        single = people
        for depth in range(len(strata[people[0]]), -1, -1):
            waiting: dict[Stratum, SubjectKey] = {}
            for person in single:
                group = strata[person][::way][:depth]
                if partner := waiting.pop(group, None):
                    partners[person].append(partner)
                    partners[partner].append(person)
                else:
                    waiting[group] = person
            single = list(waiting.values())
    side: dict[SubjectKey, bool] = {}
    for first in people:
        reached = [(first, False)]
        while reached:
            person, here = reached.pop()
            if person not in side:
                side[person] = here
                reached += [(partner, not here) for partner in partners[person]]
    return [p for p in people if not side[p]], [p for p in people if side[p]]
