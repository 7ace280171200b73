"""Assign subjects to folds, or to a validation set, evenly over strata.

Subjects are ordered by a hash of their key and a salt (such as the seed) instead of a random number
generator, so that the assignment does not depend on the machine, the library version or the order
of rows.
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

    The sizes of any two folds differ by at most one, and so do the numbers of subjects that share
    the first n or the last n values of their stratum. For the strata (label, gender, corpus), these
    sets are label; label and gender; all three; corpus; gender and corpus.

    Parameters
    ----------
    strata : dict of tuple to tuple
        Stratum of every subject; all strata have the same length.
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
    # the round robin balances each stratum, but not a value that occurs in several strata (such as
    # the corpus). Each exchange makes a set of subjects more even between two folds and no other
    # set less even, so the loop terminates
    changed = True
    while changed:
        changed = False
        for a, b in combinations(range(folds), 2):
            if _uneven(assigned[a], assigned[b], strata):
                assigned[a], assigned[b] = _halve(assigned[a] + assigned[b], strata)
                changed = True
    return assigned


def sample_evenly(
    strata: dict[SubjectKey, Stratum], n_subjects: int, salt: tuple[object, ...]
) -> list[SubjectKey]:
    """Sample subjects evenly over strata.

    Of the subjects that share the first n values of their stratum, a proportional number is
    sampled, rounded up or down.

    Parameters
    ----------
    strata : dict of tuple to tuple
        Stratum of every subject; all strata have the same length.
    n_subjects : int
        Number of subjects to sample.
    salt : tuple
        Another salt gives another sample.

    Returns
    -------
    list of tuple
        The sampled subjects.
    """
    ordered = sorted(strata, key=lambda subject: (strata[subject], _rank(subject, salt)))
    indices = np.floor((np.arange(n_subjects) + 0.5) * len(ordered) / n_subjects).astype(int)
    return [ordered[index] for index in indices]


def _rank(subject: SubjectKey, salt: tuple[object, ...]) -> bytes:
    """Compute the pseudo-random rank of a subject, the same on every machine."""
    return hashlib.sha256(repr((*salt, *subject)).encode()).digest()


def _uneven(
    first: list[SubjectKey], second: list[SubjectKey], strata: dict[SubjectKey, Stratum]
) -> bool:
    """Check whether two folds differ by more than one subject in a set that is balanced."""
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
    """Divide subjects into two folds that differ by at most one in every set.

    Subjects are paired within their stratum, unpaired ones within the next larger set, and so on;
    once for prefixes and once for suffixes of the stratum. Partners are assigned to different
    folds. This is always possible because the union of two pairings has no odd cycle (equitable
    edge colouring of bipartite graphs; de Werra, "Equitable colorations of graphs", 1971).
    """
    partners: dict[SubjectKey, list[SubjectKey]] = {subject: [] for subject in subjects}
    for direction in (1, -1):
        unpaired = subjects
        for depth in range(len(strata[subjects[0]]), -1, -1):
            candidates: dict[Stratum, SubjectKey] = {}
            for subject in unpaired:
                values = strata[subject][::direction][:depth]
                if partner := candidates.pop(values, None):
                    partners[subject].append(partner)
                    partners[partner].append(subject)
                else:
                    candidates[values] = subject
            unpaired = list(candidates.values())
    in_second: dict[SubjectKey, bool] = {}
    for start in subjects:
        stack = [(start, False)]
        while stack:
            subject, second = stack.pop()
            if subject not in in_second:
                in_second[subject] = second
                stack += [(partner, not second) for partner in partners[subject]]
    return (
        [subject for subject in subjects if not in_second[subject]],
        [subject for subject in subjects if in_second[subject]],
    )
