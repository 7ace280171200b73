"""Corpora that share subjects, and corpora whose subjects are unknown.

Both are facts that no manifest can show. The data specs state them (``related_corpora`` and
``without_subject_ids``), and the manifest keeps what its specs state; for a corpus that depmm has a
spec of, the facts of that spec hold in any case.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations

import pandas as pd

from depmm.audit.findings import AuditInput, Finding, abbreviate, unique_keys
from depmm.corpora.corpus_facts import CorpusFacts, RelatedCorpus, relations_between
from depmm.corpora.manifest import SPLITS, SUBJECT_KEY
from depmm.corpora.spec import shipped_facts

_NO_SPLIT = "no official split"


def related_corpora(inputs: AuditInput) -> Iterator[Finding]:
    """Find corpora that share subjects, and the subjects who would be trained on and tested.

    It is an error when the same subject is on different sides of the official splits, or has no
    official split in one of the corpora: a new split would take the two ids for two subjects.
    Otherwise it is a warning, as the corpora are not independent.

    Parameters
    ----------
    inputs : AuditInput
        The manifest of several corpora.

    Yields
    ------
    Finding
        One for each pair of related corpora.
    """
    sessions = inputs.manifest.sessions
    corpora = sorted(sessions["corpus"].unique())
    facts = _all_facts(corpora, inputs.manifest.facts)
    for one, other in combinations(corpora, 2):
        relations = relations_between(facts, one, other)
        # the specs of both may state the relation; one that identifies subjects says most
        relation = max(relations, key=lambda relation: relation[2].same_ids, default=None)
        if relation is not None:
            yield _related(sessions, *relation)


def missing_subject_ids(inputs: AuditInput) -> Iterator[Finding]:
    """Find corpora whose subjects are videos, so that subjects cannot be shown to be disjoint.

    A corpus without subject ids counts while each of its subjects has one session; where the videos
    of a subject have been joined, its subjects are known.

    Parameters
    ----------
    inputs : AuditInput
        The manifest.

    Yields
    ------
    Finding
        One for each corpus without subject ids.
    """
    sessions = inputs.manifest.sessions
    facts = _all_facts(sessions["corpus"].unique(), inputs.manifest.facts)
    for corpus, rows in sessions.groupby("corpus"):
        reason = facts[str(corpus)].without_subject_ids
        if reason and not rows["subject"].duplicated().any():
            yield Finding(
                "missing_subject_ids",
                "warning",
                f"{corpus}: {len(rows)} sessions, each a subject of its own, as subject ids are "
                f"not known ({reason}). That train and test subjects differ cannot be proved.",
                "State this with every result, or find out which sessions share a subject and "
                "give the spec a subject.",
            )


def shared_subjects(
    subjects: pd.DataFrame, others: pd.DataFrame, facts: Mapping[str, CorpusFacts] | None = None
) -> pd.DataFrame:
    """Find subjects who are also among others, in the same corpus or in one with the same ids.

    Parameters
    ----------
    subjects, others : DataFrame
        Columns corpus and subject, one row per subject.
    facts : mapping of str to CorpusFacts, optional
        What the manifest states about its corpora.

    Returns
    -------
    DataFrame
        Rows of ``subjects``. Corpora that may share subjects but not their ids cannot be compared.
    """
    known = set(others[SUBJECT_KEY].itertuples(index=False, name=None))
    corpora = {*subjects["corpus"].unique(), *others["corpus"].unique()}
    all_facts = _all_facts(corpora, facts or {})
    same_ids = {
        (one, other)
        for one in subjects["corpus"].unique()
        for other in others["corpus"].unique()
        if one != other
        and any(relation.same_ids for *_, relation in relations_between(all_facts, one, other))
    }
    renamed = {
        (one, _number(subject))
        for one, other in same_ids
        for corpus, subject in known
        if corpus == other
    }
    same = [
        (corpus, subject) in known or (corpus, _number(subject)) in renamed
        for corpus, subject in subjects[SUBJECT_KEY].itertuples(index=False)
    ]
    return subjects[same]


def _all_facts(
    corpora: Iterable[str], manifest_facts: Mapping[str, CorpusFacts]
) -> dict[str, CorpusFacts]:
    """Facts of every corpus: those of the manifest, then those of the specs of depmm."""
    return {
        corpus: manifest_facts.get(corpus, CorpusFacts()).union(shipped_facts(corpus))
        for corpus in corpora
    }


def _related(sessions: pd.DataFrame, first: str, second: str, relation: RelatedCorpus) -> Finding:
    apart = "Train and test within one of them; neither is an external test of the other."
    pair = sessions[sessions["corpus"].isin([first, second])]
    pair = pair.assign(number=pair["subject"].map(_number), side=pair["split"].fillna(_NO_SPLIT))
    in_both = set.intersection(*(set(rows["number"]) for _, rows in pair.groupby("corpus")))
    shared = pair[pair["number"].isin(in_both) & relation.same_ids]
    parted = {
        str(number): rows
        for number, rows in shared.groupby("number")
        if set(rows["side"]) not in ({name} for name in SPLITS)
    }
    same = f" {len(in_both)} subjects have the same id in both." if len(shared) else ""
    message = f"{first} and {second} are not independent: {relation.reason}.{same}"
    if not parted:
        subjects = unique_keys(shared, SUBJECT_KEY)
        return Finding("related_corpora", "warning", message, apart, subjects=subjects)
    named = [f"{number} ({_sides(rows)})" for number, rows in parted.items()]
    return Finding(
        "related_corpora",
        "error",
        f"{message} {len(named)} of them are on different sides, or a new split can put them "
        f"there: {abbreviate(named)}",
        f"{apart} Or leave these subjects out of one of them.",
        subjects=unique_keys(pd.concat(parted.values()), SUBJECT_KEY),
    )


def _number(subject: str) -> str:
    """Name of a subject in both corpora: ``300``, ``300_P`` and ``0300`` are the same."""
    numbers = re.findall(r"[0-9]+", subject)
    return str(int(numbers[0])) if len(numbers) == 1 else subject


def _sides(rows: pd.DataFrame) -> str:
    return ", ".join(
        f"{corpus}: {' and '.join(sorted(set(sides)))}"
        for corpus, sides in rows.groupby("corpus")["side"]
    )
