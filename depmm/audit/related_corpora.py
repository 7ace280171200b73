"""What is known of corpora and no manifest can show: shared people, and people without ids."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import combinations

import pandas as pd

from depmm.audit.findings import AuditInput, Finding, abbreviate, unique_keys
from depmm.corpora.manifest import SPLITS, SUBJECT_KEY

_NO_SPLIT = "no official split"


@dataclass(frozen=True)
class Kinship:
    """Two corpora that may not serve as each other's test.

    Parameters
    ----------
    first, second : corpus ids; ``*`` stands for any ending
    same_ids : whether a number names the same person in both
    reason : what they share
    """

    first: str
    second: str
    same_ids: bool
    reason: str


KINSHIPS = (
    Kinship(
        "daic_woz*",
        "edaic*",
        True,
        "E-DAIC contains all 189 people of DAIC-WOZ, split anew: 47 of the DAIC-WOZ test people "
        "are in its train and development sets",
    ),
    Kinship("avec2013*", "avec2014*", True, "they hold nearly the same sessions"),
    Kinship("mpdd*", "mpdd*", False, "nobody has shown that its years recorded different people"),
    Kinship("ewre*", "ewre*", False, "the released arrays and the recordings are one experiment"),
)

# corpora that name videos, not people
WITHOUT_PERSON_IDS = {
    "dvlog": "D-Vlog names 961 vlogs; one vlogger may have made several",
    "lmvd": "LMVD has 1823 videos of 1475 people, and does not say who is in which",
}


def related_corpora(inputs: AuditInput) -> Iterator[Finding]:
    """Find corpora that share people, and the people who would be trained on and tested.

    It is an error when the same person stands on different sides of the official splits, or has
    no official split in one of the corpora: a new split would take the two ids for two people.
    Otherwise it is a warning, as the corpora are not independent.
    """
    sessions = inputs.manifest.sessions
    for one, two in combinations(sorted(sessions["corpus"].unique()), 2):
        for kinship in KINSHIPS:
            pair = _ordered(kinship, one, two)
            if pair is not None:
                yield _related(sessions, kinship, *pair)


def missing_subject_ids(inputs: AuditInput) -> Iterator[Finding]:
    """Find corpora whose subjects are videos, so that nobody can prove people to be disjoint.

    A corpus of ``WITHOUT_PERSON_IDS`` counts while each of its subjects has one session; once
    somebody has joined the videos of a person, subjects are people.
    """
    for corpus, rows in inputs.manifest.sessions.groupby("corpus"):
        reason = WITHOUT_PERSON_IDS.get(str(corpus))
        if reason and not rows["subject"].duplicated().any():
            yield Finding(
                "missing_subject_ids",
                "warning",
                f"{corpus}: {len(rows)} sessions, each a subject of its own, as no person ids are "
                f"known ({reason}). That train and test people differ cannot be proved.",
                "Say so beside every result, or find out who is who and give the spec a subject.",
            )


def shared_subjects(people: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """Find who of some people is one of the others, in the same corpus or in one with its people.

    Parameters
    ----------
    people, others : corpus and subject, one row a person

    Returns
    -------
    rows of ``people``; corpora that may share people but not their ids cannot be compared
    """
    known = set(others[SUBJECT_KEY].itertuples(index=False, name=None))
    renamed = {
        (relative, _number(subject))
        for relative in people["corpus"].unique()
        for corpus, subject in known
        if corpus != relative
        and any(each.same_ids and _ordered(each, relative, corpus) for each in KINSHIPS)
    }
    same = [
        (corpus, subject) in known or (corpus, _number(subject)) in renamed
        for corpus, subject in people[SUBJECT_KEY].itertuples(index=False)
    ]
    return people[same]


def _ordered(kinship: Kinship, one: str, two: str) -> tuple[str, str] | None:
    for first, second in ((one, two), (two, one)):
        if fnmatchcase(first, kinship.first) and fnmatchcase(second, kinship.second):
            return first, second
    return None


def _related(sessions: pd.DataFrame, kinship: Kinship, first: str, second: str) -> Finding:
    apart = "Train and test within one of them; neither is an external test of the other."
    pair = sessions[sessions["corpus"].isin([first, second])]
    pair = pair.assign(number=pair["subject"].map(_number), side=pair["split"].fillna(_NO_SPLIT))
    in_both = set.intersection(*(set(own["number"]) for _, own in pair.groupby("corpus")))
    shared = pair[pair["number"].isin(in_both) & kinship.same_ids]
    parted = {
        str(number): rows
        for number, rows in shared.groupby("number")
        if set(rows["side"]) not in ({name} for name in SPLITS)
    }
    same = f" {len(in_both)} people have the same id in both." if len(shared) else ""
    found = f"{first} and {second} are not independent: {kinship.reason}.{same}"
    if not parted:
        people = unique_keys(shared, SUBJECT_KEY)
        return Finding("related_corpora", "warning", found, apart, subjects=people)
    named = [f"{number} ({_sides(rows)})" for number, rows in parted.items()]
    return Finding(
        "related_corpora",
        "error",
        f"{found} {len(named)} of them are on different sides, or can be put there: "
        f"{abbreviate(named)}",
        f"{apart} Or leave these people out of one of them.",
        subjects=unique_keys(pd.concat(parted.values()), SUBJECT_KEY),
    )


def _number(subject: str) -> str:
    """What a subject is called in both corpora: ``300``, ``300_P`` and ``0300`` are one."""
    numbers = re.findall(r"[0-9]+", subject)
    return str(int(numbers[0])) if len(numbers) == 1 else subject


def _sides(rows: pd.DataFrame) -> str:
    return ", ".join(
        f"{corpus}: {' and '.join(sorted(set(own['side'])))}"
        for corpus, own in rows.groupby("corpus")
    )
