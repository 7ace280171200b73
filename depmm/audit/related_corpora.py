"""Corpora that share subjects, and corpora without subject ids.

Neither can be derived from the tables of a manifest. The data specs state them as
``related_corpora`` and ``without_subject_ids``, and the manifest keeps these facts. For a corpus
with the name or the layout of a spec of depmm, the facts of that spec apply as well.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import combinations

import pandas as pd

from depmm.audit.findings import AuditInput, Finding, unique_keys
from depmm.corpora.corpus_facts import CorpusFacts, RelatedCorpus, relations_between
from depmm.corpora.spec import all_facts
from depmm.errors import abbreviate
from depmm.schemas.manifest import SPLITS, SUBJECT_KEY

_NO_SPLIT = "no official split"


def related_corpora(inputs: AuditInput) -> Iterator[Finding]:
    """Find related corpora, and the subjects in training and test data of the two.

    The finding is an error if a subject has different official splits in the two corpora, or no
    official split in one of them: a new split would treat the two ids as two subjects. Otherwise it
    is a warning, as the corpora are not independent.

    Parameters
    ----------
    inputs : AuditInput
        Input of the audit.

    Yields
    ------
    Finding
        One for each pair of related corpora.
    """
    sessions = inputs.manifest.sessions
    corpora = sorted(sessions["corpus"].unique())
    facts = all_facts(corpora, inputs.manifest.facts)
    for one, other in combinations(corpora, 2):
        relations = relations_between(facts, one, other)
        # both specs may state the relation; prefer one with the same subject ids
        relation = max(relations, key=lambda relation: relation[2].same_ids, default=None)
        if relation is not None:
            yield _related(sessions, *relation)


def missing_subject_ids(inputs: AuditInput) -> Iterator[Finding]:
    """Find corpora whose subject ids are ids of sessions, so that subjects may overlap.

    A corpus is reported if its facts state that subject ids are missing and every subject has one
    session. A subject with several sessions shows that the user has set the subject ids.

    Parameters
    ----------
    inputs : AuditInput
        Input of the audit.

    Yields
    ------
    Finding
        One for each corpus without subject ids.
    """
    sessions = inputs.manifest.sessions
    facts = all_facts(sessions["corpus"].unique(), inputs.manifest.facts)
    for corpus, rows in sessions.groupby("corpus"):
        reason = facts[str(corpus)].without_subject_ids
        if reason and not rows["subject"].duplicated().any():
            yield Finding(
                "missing_subject_ids",
                "warning",
                f"{corpus}: the {len(rows)} sessions count as {len(rows)} subjects, as subject ids "
                f"are missing ({reason}). Training and test data may have subjects in common.",
                "State this with every result, or determine which sessions have the same subject "
                "and set subject: in the spec. depmm audit --identity clusters voices for "
                "split.group_by: pseudo_subject.",
            )


def shared_subjects(
    subjects: pd.DataFrame, others: pd.DataFrame, facts: Mapping[str, CorpusFacts] | None = None
) -> pd.DataFrame:
    """Find subjects that are also in another table, by the same id in the same or a related corpus.

    Parameters
    ----------
    subjects, others : DataFrame
        Columns corpus and subject, one row per subject.
    facts : mapping of str to CorpusFacts, optional
        Facts of the corpora, as stated by the manifest.

    Returns
    -------
    DataFrame
        Rows of ``subjects``. Related corpora with different subject ids cannot be compared.
    """
    known = set(others[SUBJECT_KEY].itertuples(index=False, name=None))
    corpora = {*subjects["corpus"].unique(), *others["corpus"].unique()}
    known_facts = all_facts(corpora, facts or {})
    same_ids = {
        (one, other)
        for one in subjects["corpus"].unique()
        for other in others["corpus"].unique()
        if one != other
        and any(relation.same_ids for *_, relation in relations_between(known_facts, one, other))
    }
    renamed = {
        (one, subject_number(subject))
        for one, other in same_ids
        for corpus, subject in known
        if corpus == other
    }
    same = [
        (corpus, subject) in known or (corpus, subject_number(subject)) in renamed
        for corpus, subject in subjects[SUBJECT_KEY].itertuples(index=False)
    ]
    return subjects[same]


def _related(sessions: pd.DataFrame, first: str, second: str, relation: RelatedCorpus) -> Finding:
    remedy = "Train and test within one of them; neither is an external test set of the other."
    pair = sessions[sessions["corpus"].isin([first, second])]
    pair = pair.assign(
        number=pair["subject"].map(subject_number), split=pair["split"].fillna(_NO_SPLIT)
    )
    in_both = set.intersection(*(set(rows["number"]) for _, rows in pair.groupby("corpus")))
    shared = pair[pair["number"].isin(in_both) & relation.same_ids]
    separated = {
        str(number): rows
        for number, rows in shared.groupby("number")
        if set(rows["split"]) not in ({name} for name in SPLITS)
    }
    same = f" {len(in_both)} subjects have the same id in both." if len(shared) else ""
    message = f"{first} and {second} are not independent: {relation.reason}.{same}"
    if not separated:
        subjects = unique_keys(shared, SUBJECT_KEY)
        return Finding("related_corpora", "warning", message, remedy, subjects=subjects)
    names = [f"{number} ({_splits(rows)})" for number, rows in separated.items()]
    return Finding(
        "related_corpora",
        "error",
        f"{message} {len(names)} of them have different official splits, or none, so that a new "
        f"split can separate them: {abbreviate(names)}.",
        f"{remedy} Or remove these subjects from one of them.",
        subjects=unique_keys(pd.concat(separated.values()), SUBJECT_KEY),
    )


def subject_number(subject: str) -> str:
    """Extract the number of a subject id: ``300``, ``300_P`` and ``0300`` are the same subject.

    Parameters
    ----------
    subject : str
        The id.

    Returns
    -------
    str
        The number without leading zeros; the id if it has several numbers or none.
    """
    numbers = re.findall(r"[0-9]+", subject)
    return str(int(numbers[0])) if len(numbers) == 1 else subject


def _splits(rows: pd.DataFrame) -> str:
    return ", ".join(
        f"{corpus}: {' and '.join(sorted(set(splits)))}"
        for corpus, splits in rows.groupby("corpus")["split"]
    )
