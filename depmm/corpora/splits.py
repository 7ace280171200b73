"""Splits by subject: official, k-fold, leave-one-subject-out, or from a file.

All sessions of a subject are in the same split. The splits do not depend on library versions or on
the order of rows (see ``stratified_assignment``).
"""

from collections import Counter

import pandas as pd

from depmm.config import SplitConfig
from depmm.corpora.split_classes import check_classes
from depmm.corpora.split_files import (
    MAX_NAMED,
    SplitError,
    check_disjoint,
    format_split,
    name_overlap,
    read_split,
    splits_by_subject,
    write_split,
)
from depmm.corpora.stratified_assignment import Stratum, SubjectKey, assign_folds, sample_evenly
from depmm.corpora.subject_groups import group_subjects
from depmm.errors import abbreviate
from depmm.schemas.manifest import SPLIT, SUBJECT_KEY

__all__ = [
    "SplitError",
    "check_disjoint",
    "count_folds",
    "format_split",
    "make_folds",
    "make_split",
    "official_overlap",
    "read_split",
    "write_split",
]

# many published folds have no validation subjects
_NEEDED = ("train", "test")


def count_folds(sessions: pd.DataFrame, config: SplitConfig) -> int:
    """Count the folds of a design.

    Parameters
    ----------
    sessions : DataFrame
        The manifest's table, or the rows of it that are used.
    config : SplitConfig
        The design.

    Returns
    -------
    int
        1 for the official split, the folds of all repetitions for k-fold, the number of folds in
        the file, or the number of subjects.

    Raises
    ------
    SplitError
        If the file of folds cannot be used.
    """
    if config.kind == "official":
        return 1
    if config.kind == "file":
        return read_split(config.file or "", _NEEDED)["fold"].nunique()
    if config.kind == "k_fold":
        return config.folds * config.repeats
    if config.group_by is not None:
        return len(set(group_subjects(sessions, config.group_by).values()))
    return len(_subjects(sessions))


def make_split(
    sessions: pd.DataFrame, config: SplitConfig, labels: pd.Series | None = None
) -> pd.DataFrame:
    """Assign every subject to train, validation or test, for one fold.

    The class and gender of a subject are the most frequent ones of its sessions; a missing value is
    treated as a further value. In k-fold, every subject is tested exactly once. With
    ``stratify_by`` = [label, gender, corpus], the numbers of test subjects in any two folds differ
    by at most one: in total, and within each class; class and gender; class, gender and corpus;
    corpus; corpus and gender. Consequently, the numbers of a gender differ by at most the number of
    classes or the number of corpora, whichever is smaller. With another ``stratify_by``, the same
    holds for the combinations of its first entries and of its last entries.

    Repetition r consists of the folds r * folds to (r + 1) * folds - 1; each repetition is a new
    assignment of all subjects.

    Validation subjects are sampled from the subjects that are not tested, with the same strata.
    Each class contributes ``validation`` times its number of subjects, rounded, but at least one;
    each gender contributes its share of the class, rounded up or down. A validation set of an
    official split or a file is not changed. With ``group_by``, groups take the place of subjects.

    Parameters
    ----------
    sessions : DataFrame
        The manifest's table, or the rows of it that are used.
    config : SplitConfig
        Kind, folds, fold, share of validation subjects, seed.
    labels : Series, optional
        Class of each session, with the index of ``sessions``; null if a session has no class. By
        default, the column ``label``.

    Returns
    -------
    DataFrame
        Columns corpus, subject, split (train, validation, test), one row per subject, sorted.

    Raises
    ------
    SplitError
        If the fold does not exist, there are too few subjects (of a class), a subject is in two
        official splits or in none, the official split has no train or test subjects, or the file
        cannot be read or does not list a subject.
    """
    if labels is None:
        labels = sessions["label"]
    if not labels.index.equals(sessions.index):
        raise SplitError(
            "labels: the index differs from that of sessions. Pass one label for each row."
        )
    folds = count_folds(sessions, config)
    if config.fold >= folds:
        raise SplitError(
            f"split.fold is {config.fold}, but there are {folds} folds: choose 0 to {folds - 1}.",
            setting="split.fold",
            value=config.fold,
        )
    if config.group_by is not None:
        return _split_groups(sessions, config, labels)
    classes = _majority(sessions, labels)
    strata = _strata(sessions, classes, config)
    subjects = sorted(classes)
    if len(subjects) < 3:
        raise SplitError(
            f"{len(subjects)} subjects: train, validation and test need at least 3. Add "
            "recordings.",
            setting="split",
            value=len(subjects),
        )
    if config.kind == "official":
        parts = _official_split(sessions)
    elif config.kind == "file":
        parts = _split_from_file(subjects, config)
    else:
        parts = dict.fromkeys(subjects, "train")
        parts.update(dict.fromkeys(_test_subjects(subjects, strata, config), "test"))
    if "validation" not in parts.values():
        rest = [subject for subject in subjects if parts[subject] == "train"]
        chosen = _validation_subjects(rest, classes, strata, config)
        parts.update(dict.fromkeys(chosen, "validation"))
    split = pd.DataFrame(
        [(*subject, parts[subject]) for subject in subjects], columns=SPLIT.names, dtype="str"
    )
    check_disjoint(split)
    check_classes(sessions, labels, parts, config)
    return split


def _split_groups(sessions: pd.DataFrame, config: SplitConfig, labels: pd.Series) -> pd.DataFrame:
    """Split the groups of ``group_by`` as if each was one subject."""
    first = group_subjects(sessions, str(config.group_by))
    alone = config.model_copy(update={"group_by": None})
    if config.kind == "file":  # lists subjects, not groups
        parts = _split_from_file(_subjects(sessions), config)
        _check_groups(parts, first, config)
        if "validation" in parts.values():
            return make_split(sessions, alone, labels)
    if (count := len(set(first.values()))) < 3:
        name = f"split.group_by: {config.group_by}"
        problem = f"{name} has {count} group(s) of subjects, and a split needs at least 3."
        remedy = "Choose a column with more values."
        raise SplitError(problem, setting="split.group_by", value=config.group_by, remedy=remedy)
    keys = [first[key] for key in zip(sessions["corpus"], sessions["subject"], strict=True)]
    split = make_split(sessions.assign(subject=[key[1] for key in keys]), alone, labels)
    part = {(corpus, name): part for corpus, name, part in split.itertuples(index=False)}
    rows = [(*subject, part[first[subject]]) for subject in _subjects(sessions)]
    return pd.DataFrame(rows, columns=SPLIT.names, dtype="str")


def _check_groups(
    parts: dict[SubjectKey, str], first: dict[SubjectKey, SubjectKey], config: SplitConfig
) -> None:
    """Refuse a file that has the subjects of a group in several sets."""
    sets: dict[SubjectKey, set[str]] = {}
    for subject, part in parts.items():
        sets.setdefault(first[subject], set()).add(part)
    if several := [group for group, names in sets.items() if len(names) > 1]:
        raise SplitError(
            f"{config.file}: the subjects of {len(several)} groups of {config.group_by} are in "
            f"several sets, for example that of {'/'.join(several[0])}. Write the folds with this "
            "split.group_by, or remove it.",
            setting="split.group_by",
            file=config.file,
            subject=several[0][1],
        )


def make_folds(
    sessions: pd.DataFrame, config: SplitConfig, labels: pd.Series | None = None
) -> pd.DataFrame:
    """Assign every subject to train, validation or test, for all folds.

    Parameters
    ----------
    sessions : DataFrame
        The manifest's table, or the rows of it that are used.
    config : SplitConfig
        The design; ``fold`` is not used.
    labels : Series, optional
        As in ``make_split``.

    Returns
    -------
    DataFrame
        Columns corpus, subject, fold (from 0), split; one row per subject and fold, fold by fold,
        as ``write_split`` saves it.

    Raises
    ------
    SplitError
        As ``make_split``.
    """
    splits = []
    for fold in range(count_folds(sessions, config)):
        split = make_split(sessions, config.model_copy(update={"fold": fold}), labels)
        split.insert(len(SUBJECT_KEY), "fold", fold)
        splits.append(split)
    return pd.concat(splits, ignore_index=True)


def official_overlap(sessions: pd.DataFrame) -> dict[SubjectKey, list[str]]:
    """Find the subjects whose sessions are in several official splits.

    Parameters
    ----------
    sessions : DataFrame
        The manifest's table.

    Returns
    -------
    dict of tuple to list of str
        (corpus, subject) -> the names of the splits, sorted.
    """
    splits = splits_by_subject(sessions.dropna(subset=["split"]))
    return {subject: sorted(set(names)) for subject, names in splits.items() if len(set(names)) > 1}


def _subjects(sessions: pd.DataFrame) -> list[SubjectKey]:
    return sorted(set(zip(sessions["corpus"], sessions["subject"], strict=True)))


def _majority(sessions: pd.DataFrame, values: pd.Series) -> dict[SubjectKey, str]:
    """Return the most frequent value of each subject; empty if null.

    Of equally frequent values the last by name is returned: label 1, as by ``subject_labels``.
    """
    counts: dict[SubjectKey, Counter[str]] = {subject: Counter() for subject in _subjects(sessions)}
    for corpus, subject, value in zip(
        sessions["corpus"], sessions["subject"], values.astype(object), strict=True
    ):
        if pd.notna(value):
            counts[corpus, subject][str(value)] += 1
    return {
        subject: max(count, key=lambda name: (count[name], name)) if count else ""
        for subject, count in counts.items()
    }


def _strata(
    sessions: pd.DataFrame, classes: dict[SubjectKey, str], config: SplitConfig
) -> dict[SubjectKey, Stratum]:
    """Return the stratum of each subject: its values of ``config.stratify_by``."""
    genders = _majority(sessions, sessions["gender"])
    return {
        subject: tuple(
            {"label": classes[subject], "gender": genders[subject], "corpus": subject[0]}[name]
            for name in config.stratify_by
        )
        for subject in classes
    }


def _test_subjects(
    subjects: list[SubjectKey], strata: dict[SubjectKey, Stratum], config: SplitConfig
) -> list[SubjectKey]:
    if config.kind == "leave_one_subject_out":
        return [subjects[config.fold]]
    if len(subjects) < config.folds:
        raise SplitError(
            f"{len(subjects)} subjects for {config.folds} folds. Lower split.folds to at most "
            f"{len(subjects)}.",
            setting="split.folds",
            value=config.folds,
        )
    repeat, fold = divmod(config.fold, config.folds)
    salt = (config.seed, "repeat", repeat) if repeat else (config.seed,)
    return assign_folds(strata, config.folds, salt)[fold]


def _validation_subjects(
    subjects: list[SubjectKey],
    classes: dict[SubjectKey, str],
    strata: dict[SubjectKey, Stratum],
    config: SplitConfig,
) -> list[SubjectKey]:
    """Sample validation subjects: at least one of each class with two or more subjects."""
    chosen = []
    for name in sorted({classes[subject] for subject in subjects}):
        members = {subject: strata[subject] for subject in subjects if classes[subject] == name}
        if len(members) < 2:
            continue
        size = min(max(1, round(config.validation * len(members))), len(members) - 1)
        chosen += sample_evenly(members, size, (config.seed, "validation", config.fold))
    return chosen


def _official_split(sessions: pd.DataFrame) -> dict[SubjectKey, str]:
    if overlap := official_overlap(sessions):
        raise SplitError(
            f"{len(overlap)} subjects are in two official splits: {name_overlap(overlap)}. Use "
            "split.kind k_fold, which keeps the sessions of a subject together.",
            setting="split.kind",
            subject=next(iter(overlap))[1],
        )
    splits = splits_by_subject(sessions)
    without = [subject for subject, names in splits.items() if not any(map(pd.notna, names))]
    if without:
        raise SplitError(
            f"{len(without)} subjects have no official split: "
            f"{', '.join('/'.join(subject) for subject in without[:5])}. Give the spec a table "
            "with their split, leave them out, or use split.kind k_fold.",
            setting="split.kind",
            subject=without[0][1],
        )
    chosen = {subject: next(filter(pd.notna, names)) for subject, names in splits.items()}
    for needed in _NEEDED:
        if needed not in chosen.values():
            raise SplitError(
                f"the official split has no {needed} subjects. Use split.kind k_fold, or translate "
                "the original names under codes: split: in the spec.",
                setting="split.kind",
                value=needed,
            )
    return chosen


def _split_from_file(subjects: list[SubjectKey], config: SplitConfig) -> dict[SubjectKey, str]:
    """Look up the subjects in a file of folds; other subjects in the file are ignored."""
    table = read_split(config.file or "", _NEEDED)
    rows = table[table["fold"] == config.fold]
    names = {subject: entries[0] for subject, entries in splits_by_subject(rows).items()}
    location = f"{config.file}, fold {config.fold}"
    if missing := [subject for subject in subjects if subject not in names]:
        raise SplitError(
            f"{location}: {len(missing)} subjects of the manifest are not in it: "
            f"{abbreviate(['/'.join(subject) for subject in missing], MAX_NAMED)}. Add a row for "
            "each, or leave them out of the manifest.",
            setting="split.file",
            file=config.file,
            subject=missing[0][1],
        )
    parts = {subject: names[subject] for subject in subjects}
    if unused := sorted(set(names.values()) - set(parts.values())):
        raise SplitError(
            f"{location}: none of its {unused[0]} subjects is used. Check that corpus and subject "
            "are written as in the manifest, and which subjects have a label and a recording.",
            setting="split.file",
            file=config.file,
            value=unused[0],
        )
    return parts
