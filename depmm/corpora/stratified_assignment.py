"""Assign subjects to folds, or to a validation set, evenly over strata.

Subjects are ordered by a hash of a salt (such as the seed) and their key, not by a random
generator: the assignment is the same on every machine, with every library, from rows in any order.
"""

import hashlib
from collections import Counter
from itertools import combinations

import numpy as np

SubjectKey = tuple[str, str]  # corpus, subject
Stratum = tuple[str, ...]  # values that are balanced, for example label, gender, corpus


def assign_folds(
    strata: dict[SubjectKey, Stratum], folds: int, salt: tuple[object, ...]
) -> list[list[SubjectKey]]:
    """Assign every subject to one fold.

    No two folds differ by more than one subject in all, nor in the subjects that share a value from
    the first to the n-th of their stratum, nor from the n-th to the last. For (label, gender,
    corpus): label; label and gender; all three; corpus; gender and corpus.

    Parameters
    ----------
    strata : dict of tuple to tuple
        Values of every subject, equally many.
    folds : int
        Number of folds, at most one per subject.
    salt : tuple
        Another salt gives another assignment.

    Returns
    -------
    list of list of tuple
        The subjects of each fold.
    """
    ordered = sorted(strata, key=lambda subject: (strata[subject], _rank(subject, salt)))
    assigned = [ordered[fold::folds] for fold in range(folds)]
    # taken in turn, strata are even; a value that runs across strata (such as the corpus) need not
    # be. Each pass makes a set of subjects more even between two folds and no other set less even,
    # so the loop ends
    changed = True
    while changed:
        changed = False
        for a, b in combinations(range(folds), 2):
            if _uneven(assigned[a], assigned[b], strata):
                assigned[a], assigned[b] = _halve(assigned[a] + assigned[b], strata)
                changed = True
    return assigned


def sample_evenly(
    strata: dict[SubjectKey, Stratum], number: int, salt: tuple[object, ...]
) -> list[SubjectKey]:
    """Sample a number of subjects, evenly over strata.

    From the subjects that share a value from the first to the n-th, their share is sampled, rounded
    up or down.

    Parameters
    ----------
    strata : dict of tuple to tuple
        Values of every subject, equally many.
    number : int
        Number of subjects to sample.
    salt : tuple
        Another salt gives another sample.

    Returns
    -------
    list of tuple
        The sampled subjects.
    """
    ordered = sorted(strata, key=lambda subject: (strata[subject], _rank(subject, salt)))
    indices = np.floor((np.arange(number) + 0.5) * len(ordered) / number).astype(int)
    return [ordered[index] for index in indices]


def _rank(subject: SubjectKey, salt: tuple[object, ...]) -> bytes:
    """Compute the pseudo-random rank of a subject, the same on every machine."""
    return hashlib.sha256(repr((*salt, *subject)).encode()).digest()


def _uneven(
    first: list[SubjectKey], second: list[SubjectKey], strata: dict[SubjectKey, Stratum]
) -> bool:
    """Whether two folds differ by more than one subject in a set that is to be balanced."""
    differences: Counter[tuple[int, Stratum]] = Counter()
    for subjects, sign in ((first, 1), (second, -1)):
        for subject in subjects:
            for direction in (1, -1):
                for depth in range(len(strata[subject]) + 1):
                    differences[direction, strata[subject][::direction][:depth]] += sign
    return any(abs(difference) > 1 for difference in differences.values())


def _halve(
    subjects: list[SubjectKey], strata: dict[SubjectKey, Stratum]
) -> tuple[list[SubjectKey], list[SubjectKey]]:
    """Divide subjects into two folds that differ by one at most in every set.

    Subjects are paired within their stratum, the unpaired ones within the next larger set, and so
    on; once from the stratum's first value and once from its last. Partners go to different folds,
    which is always possible: two pairings make no odd circle (the equitable edge colouring of
    bipartite graphs; de Werra, "Equitable colorations of graphs", 1971).
    """
    partners: dict[SubjectKey, list[SubjectKey]] = {subject: [] for subject in subjects}
    for direction in (1, -1):
        unpaired = subjects
        for depth in range(len(strata[subjects[0]]), -1, -1):
            waiting: dict[Stratum, SubjectKey] = {}
            for subject in unpaired:
                values = strata[subject][::direction][:depth]
                if partner := waiting.pop(values, None):
                    partners[subject].append(partner)
                    partners[partner].append(subject)
                else:
                    waiting[values] = subject
            unpaired = list(waiting.values())
    in_second: dict[SubjectKey, bool] = {}
    for start in subjects:
        reached = [(start, False)]
        while reached:
            subject, second = reached.pop()
            if subject not in in_second:
                in_second[subject] = second
                reached += [(partner, not second) for partner in partners[subject]]
    return (
        [subject for subject in subjects if not in_second[subject]],
        [subject for subject in subjects if in_second[subject]],
    )
