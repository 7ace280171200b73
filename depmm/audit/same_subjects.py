"""Two corpora whose subjects with equal numbers look like the same subjects.

Of the subjects with the same number in both corpora, those with equal scores and equal ages are
counted. The count is compared with that of subjects exchanged at random. Ids are often assigned by
class, by gender, or in order of recruitment; therefore subjects are exchanged only with subjects of
the same label and gender in each corpus, among ``_NEIGHBOURS`` with adjacent numbers, and a value
that follows the numbers in both corpora is not counted. Labels and genders by themselves are no
evidence.

References
----------
Winkler et al., "Multi-level block permutation", NeuroImage 123, 2015 (exchange within blocks).
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from depmm.audit.associations import sequential_p_value
from depmm.audit.findings import AuditInput, Finding, unique_keys
from depmm.audit.related_corpora import subject_number
from depmm.corpora.corpus_facts import relations_between
from depmm.corpora.spec import all_facts
from depmm.schemas.manifest import SUBJECT_KEY

_ALPHA = 0.005
_MIN_SUBJECTS = 8
_MIN_EQUAL = 4  # equal values; fewer can be coincidence where nearly all values differ
_NEIGHBOURS = 4
_MAX_TREND = 0.5  # correlation of ranks of a value and the numbers
_N_PERMUTATIONS = 1_999
_BATCH = 199
_EVIDENCE = ("score", "age")
_FIXED = ("label", "gender")


def same_subjects(inputs: AuditInput) -> Iterator[Finding]:
    """Find pairs of corpora in which equal numbers have equal scores and ages.

    Corpora that are known to have the same subjects are left to
    `depmm.audit.related_corpora.related_corpora`.

    Parameters
    ----------
    inputs : AuditInput
        Input of the audit.

    Yields
    ------
    Finding
        One warning for each pair with at least ``_MIN_SUBJECTS`` common numbers and a p value below
        ``_ALPHA``.
    """
    sessions = inputs.manifest.sessions
    subjects = _collect_subjects(sessions)
    facts = all_facts(subjects, inputs.manifest.facts)
    for first, second in combinations(sorted(subjects), 2):
        if any(related.same_ids for *_, related in relations_between(facts, first, second)):
            continue
        numbers = subjects[first].index.intersection(subjects[second].index)
        if len(numbers) < _MIN_SUBJECTS:
            continue
        pair = subjects[first].loc[numbers], subjects[second].loc[numbers]
        tested = compare_values(*pair)
        if tested is None or tested[1] >= _ALPHA:
            continue
        n_equal, p_value, expected = tested
        rows = sessions[sessions["corpus"].isin([first, second])]
        rows = rows[rows["subject"].map(subject_number).isin(numbers)]
        yield Finding(
            "same_subjects",
            "warning",
            f"{first} and {second}: of {len(numbers)} subjects with the same number in both, "
            f"{n_equal} values (score, age) are equal, and {expected:.1f} are expected for "
            f"different subjects (p = {p_value:.2g}). Are they the same subjects?",
            "Compare the documentation of the two corpora. If they have subjects in common, state "
            "it in related_corpora of the data spec and index again; neither is then an external "
            "test set of the other.",
            subjects=unique_keys(rows, SUBJECT_KEY),
        )


def compare_values(
    first: pd.DataFrame, second: pd.DataFrame, seed: int = 0
) -> tuple[int, float, float] | None:
    """Test whether paired subjects have more equal scores and ages than exchanged ones.

    Parameters
    ----------
    first, second : DataFrame, shape (subjects, 4)
        Columns score, age, label and gender; the rows are paired, in the order of the numbers.
    seed : int, optional
        Seed of the permutations.

    Returns
    -------
    tuple of (int, float, float) or None
        Number of equal values, p value, and the mean number of the first permutations; None with
        fewer than ``_MIN_EQUAL`` equal values.
    """
    names = [name for name in _EVIDENCE if not (_follows(first, name) and _follows(second, name))]
    one, two = first[names].to_numpy(float), second[names].to_numpy(float)
    n_equal = int((one == two).sum())  # missing values are not equal
    if n_equal < _MIN_EQUAL:
        return None
    blocks = _blocks(pd.concat([first[list(_FIXED)], second[list(_FIXED)]], axis=1))
    rng = np.random.default_rng(seed)

    def draw(size: int) -> NDArray[np.float64]:
        order = np.empty((size, len(one)), int)
        for block in blocks:
            order[:, block] = rng.permuted(np.tile(block, (size, 1)), axis=1)
        return np.asarray((one[None] == two[order]).sum(axis=(1, 2)), float)

    expected = float(draw(_BATCH).mean())
    return n_equal, sequential_p_value(draw, n_equal, _N_PERMUTATIONS, _BATCH), expected


def _number_cells(table: pd.DataFrame) -> NDArray[np.intp]:
    """Assign a number to each group of rows with equal values; missing values are equal."""
    table = table.set_axis(range(table.shape[1]), axis=1)
    return np.asarray(table.groupby(list(table), dropna=False).ngroup(), np.intp)


def _blocks(fixed: pd.DataFrame) -> list[NDArray[np.intp]]:
    """Divide the subjects with equal values into runs of adjacent numbers."""
    cells = _number_cells(fixed)
    blocks: list[NDArray[np.intp]] = []
    for cell in np.unique(cells):
        members = np.flatnonzero(cells == cell)
        blocks += np.array_split(members, -(-len(members) // _NEIGHBOURS))
    return blocks


def _follows(subjects: pd.DataFrame, name: str) -> bool:
    """Check whether a value rises or falls with the number of subjects of one label and gender."""
    cells = _number_cells(subjects[list(_FIXED)])
    table = pd.DataFrame({"value": subjects[name].to_numpy(float), "number": range(len(cells))})
    ranks = table[table["value"].notna()].rank()
    ranks -= ranks.groupby(cells[ranks.index]).transform("mean")
    value, number = ranks["value"].to_numpy(float), ranks["number"].to_numpy(float)
    norm = np.sqrt((value @ value) * (number @ number))
    return bool(norm and abs(value @ number) > _MAX_TREND * norm)


def _collect_subjects(sessions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Build a table of the subjects of each corpus by number; the first session counts."""
    table = sessions.assign(number=sessions["subject"].map(subject_number))
    columns = ["number", *_EVIDENCE, *_FIXED]
    subjects = {}
    for corpus, rows in table.drop_duplicates(SUBJECT_KEY).groupby("corpus"):
        unique = rows.loc[~rows["number"].duplicated(keep=False), columns]
        order = unique["number"].str.zfill(20)
        subjects[str(corpus)] = unique.loc[order.sort_values().index].set_index("number")
    return subjects
