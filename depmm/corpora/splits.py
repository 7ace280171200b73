"""Splits of people: official, k-fold, leave-one-subject-out, a file. Nobody is on two sides.

A split depends on no library version and on no order of rows (see ``dealing.py``). The sessions of
a person follow the person.
"""

from collections import Counter
from pathlib import Path

import pandas as pd

from depmm.config import SplitConfig
from depmm.corpora.manifest import SPLITS, SUBJECT_KEY
from depmm.corpora.stratified_assignment import Stratum, SubjectKey, assign_folds, sample_evenly
from depmm.errors import DepmmError

FROM_FILE = ("train", "test")  # published folds often leave the validation people to the user


class SplitError(DepmmError):
    """A split that cannot be made or trusted; names the people or classes and the remedy."""


def count_folds(sessions: pd.DataFrame, config: SplitConfig) -> int:
    """Count the folds of a design: one if official, those of every repetition, or one a person."""
    if config.kind == "official":
        return 1
    if config.kind == "file":
        return read_split(config.file or "", FROM_FILE)["fold"].nunique()
    return config.folds * config.repeats if config.kind == "k_fold" else len(_people(sessions))


def make_split(
    sessions: pd.DataFrame, config: SplitConfig, labels: pd.Series | None = None
) -> pd.DataFrame:
    """Decide for one fold who is in train, validation and test.

    Class and gender of a person are those of most of the person's sessions; unknown is a value of
    its own. Over the folds of k-fold every person is tested once, and for ``stratify_by``
    = label, gender, corpus it is guaranteed that no two folds differ by more than one in how many
    people they test: in all, of a class, of a class and gender, of a class, gender and corpus, of
    a corpus, of a corpus and gender. So they differ in a gender by no more than there are classes
    or corpora, whichever are fewer. Another ``stratify_by`` reads the same from its first to
    its last
    entry and back.

    Repetition r has the folds r * folds ... (r + 1) * folds - 1; each deals everybody anew.

    Validation people are drawn from the rest in the same strata: of each class its share, rounded
    (one at least), and of each gender in the class its share, rounded up or down. A validation set
    that is given (official, file) is kept as it is.

    Parameters
    ----------
    sessions : the manifest's table, or those of its rows that take part
    config : kind, folds, fold, validation share, seed
    labels : class of each session, same index as ``sessions``, null where it has none; default: the
        column ``label``

    Returns
    -------
    columns corpus, subject, split (train, validation, test), one row a person, sorted

    Raises
    ------
    SplitError : a fold that does not exist, too few people (of a class), a person in two official
        splits or in none, an official split without train or test, a file that cannot be used or
        lacks a person
    """
    if labels is None:
        labels = sessions["label"]
    if not labels.index.equals(sessions.index):
        raise SplitError("labels: its index is not that of sessions. Pass one label for each row.")
    folds = count_folds(sessions, config)
    if config.fold >= folds:
        raise SplitError(
            f"split.fold is {config.fold}, but there are {folds} folds: choose 0 to {folds - 1}."
        )
    classes = _majority(sessions, labels)
    strata = _strata(sessions, classes, config)
    people = sorted(classes)
    if len(people) < 3:
        raise SplitError(
            f"{len(people)} people: train, validation and test need at least 3. Add recordings."
        )
    if config.kind == "official":
        parts = _official(sessions)
    elif config.kind == "file":
        parts = _filed(people, config)
    else:
        parts = dict.fromkeys(people, "train")
        parts.update(dict.fromkeys(_tested(people, strata, config), "test"))
    if "validation" not in parts.values():
        rest = [person for person in people if parts[person] == "train"]
        parts.update(dict.fromkeys(_drawn(rest, classes, strata, config), "validation"))
    split = pd.DataFrame(
        [(*person, parts[person]) for person in people],
        columns=[*SUBJECT_KEY, "split"],
        dtype="str",
    )
    check_disjoint(split)
    _check_classes(sessions, labels, parts, config)
    return split


def make_folds(
    sessions: pd.DataFrame, config: SplitConfig, labels: pd.Series | None = None
) -> pd.DataFrame:
    """Decide for every fold who is in train, validation and test: what ``write_split`` saves.

    Parameters and errors : as ``make_split``

    Returns
    -------
    columns corpus, subject, fold (from 0), split; one row a person and fold, fold by fold
    """
    splits = []
    for fold in range(count_folds(sessions, config)):
        split = make_split(sessions, config.model_copy(update={"fold": fold}), labels)
        split.insert(len(SUBJECT_KEY), "fold", fold)
        splits.append(split)
    return pd.concat(splits, ignore_index=True)


def check_disjoint(split: pd.DataFrame, needed: tuple[str, ...] = SPLITS) -> None:
    """Check that every person stands in exactly one split and that no split is empty.

    Parameters
    ----------
    split : columns corpus, subject, split, and perhaps fold: then each fold is checked
    needed : the splits that must not be empty

    Raises
    ------
    SplitError : a missing column, folds that do not count from 0, an unknown or empty split, a
        person in two splits or twice in one
    """
    if "fold" in split:
        numbers = sorted(set(map(int, split["fold"])))
        if not numbers or numbers != list(range(len(numbers))):
            raise SplitError(
                f"split: the folds are {numbers[:20]}, not 0, 1, 2, ... Number them from 0."
            )
        for fold, rows in split.groupby("fold"):
            try:
                check_disjoint(rows.drop(columns="fold"), needed)
            except SplitError as error:
                raise SplitError(f"fold {fold}: {error}") from None
        return
    for column in (*SUBJECT_KEY, "split"):
        if column not in split:
            raise SplitError(f"split: column {column!r} is missing. Add it.")
    unknown = sorted(set(split["split"].astype(str)) - set(SPLITS))
    if unknown:
        raise SplitError(f"split: {unknown[0]!r} is unknown. Use {', '.join(SPLITS)}.")
    if several := {person: names for person, names in _sides(split).items() if len(names) > 1}:
        raise SplitError(
            f"{len(several)} people stand more than once: {_named(several)}. Keep each person "
            "in one split."
        )
    if empty := [name for name in needed if name not in set(split["split"])]:
        raise SplitError(
            f"split: {empty[0]} is empty ({len(split)} people). Add people, or change folds or "
            "validation."
        )


def write_split(split: pd.DataFrame, path: Path | str) -> None:
    """Check one split or the folds of ``make_folds`` and save them as CSV, for others to reuse.

    The columns are corpus, subject, fold where there is one, and split.
    """
    check_disjoint(split)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    columns = [name for name in (*SUBJECT_KEY, "fold", "split") if name in split]
    split[columns].to_csv(temporary, index=False, lineterminator="\n")
    temporary.replace(path)


def read_split(path: Path | str, needed: tuple[str, ...] = SPLITS) -> pd.DataFrame:
    """Read and check a split saved as CSV; ids stay text (``01`` is not 1).

    Parameters
    ----------
    path : columns corpus, subject, split, and fold where there are several
    needed : the splits that must not be empty

    Returns
    -------
    columns corpus, subject, fold (int; 0 where the file has none), split

    Raises
    ------
    SplitError : no such file, no CSV, or as ``check_disjoint``
    """
    try:
        split = pd.read_csv(path, dtype="str", keep_default_na=False)
    except (OSError, pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise SplitError(f"{path}: cannot be read as CSV ({error}). Check the path.") from None
    if "fold" not in split:
        split["fold"] = "0"
    wrong = ~split["fold"].str.fullmatch("[0-9]{1,9}")
    if wrong.any():
        raise SplitError(
            f"{path}: fold is {split['fold'][wrong].iloc[0]!r}. Number the folds from 0."
        )
    split = split.astype({"fold": int})
    try:
        check_disjoint(split, needed)
    except SplitError as error:
        raise SplitError(f"{path}: {error}") from None
    return split[[*SUBJECT_KEY, "fold", "split"]]


def _people(sessions: pd.DataFrame) -> list[SubjectKey]:
    return sorted(set(zip(sessions["corpus"], sessions["subject"], strict=True)))


def _majority(sessions: pd.DataFrame, values: pd.Series) -> dict[SubjectKey, str]:
    """Each person's most frequent value; the first by name when tied, empty when there is none."""
    counts: dict[SubjectKey, Counter[str]] = {person: Counter() for person in _people(sessions)}
    for corpus, subject, value in zip(
        sessions["corpus"], sessions["subject"], values.astype(object), strict=True
    ):
        if pd.notna(value):
            counts[corpus, subject][str(value)] += 1
    return {
        person: min(own, key=lambda name: (-own[name], name)) if own else ""
        for person, own in counts.items()
    }


def _strata(
    sessions: pd.DataFrame, classes: dict[SubjectKey, str], config: SplitConfig
) -> dict[SubjectKey, Stratum]:
    """Each person's values of what is balanced, in the order of ``config.stratify_by``."""
    genders = _majority(sessions, sessions["gender"])
    return {
        person: tuple(
            {"label": classes[person], "gender": genders[person], "corpus": person[0]}[name]
            for name in config.stratify_by
        )
        for person in classes
    }


def _tested(
    people: list[SubjectKey], strata: dict[SubjectKey, Stratum], config: SplitConfig
) -> list[SubjectKey]:
    if config.kind == "leave_one_subject_out":
        return [people[config.fold]]
    if len(people) < config.folds:
        raise SplitError(
            f"{len(people)} people for {config.folds} folds. Lower split.folds to at most "
            f"{len(people)}."
        )
    repeat, fold = divmod(config.fold, config.folds)
    salt = (config.seed, "repeat", repeat) if repeat else (config.seed,)
    return assign_folds(strata, config.folds, salt)[fold]


def _drawn(
    people: list[SubjectKey],
    classes: dict[SubjectKey, str],
    strata: dict[SubjectKey, Stratum],
    config: SplitConfig,
) -> list[SubjectKey]:
    """Draw the validation people, at least one of each class that has two."""
    chosen = []
    for name in sorted({classes[person] for person in people}):
        group = {person: strata[person] for person in people if classes[person] == name}
        if len(group) < 2:
            continue
        number = min(max(1, round(config.validation * len(group))), len(group) - 1)
        chosen += sample_evenly(group, number, (config.seed, "validation", config.fold))
    return chosen


def official_overlap(sessions: pd.DataFrame) -> dict[SubjectKey, list[str]]:
    """Find the people whose sessions stand in several official splits.

    Returns
    -------
    (corpus, subject) -> the names of the splits, sorted
    """
    sides = _sides(sessions.dropna(subset=["split"]))
    return {person: sorted(set(names)) for person, names in sides.items() if len(set(names)) > 1}


def _official(sessions: pd.DataFrame) -> dict[SubjectKey, str]:
    if several := official_overlap(sessions):
        raise SplitError(
            f"{len(several)} people are in two official splits: {_named(several)}. Use split.kind "
            "k_fold, which keeps a person together."
        )
    parts = _sides(sessions)
    if none := [person for person, names in parts.items() if not any(map(pd.notna, names))]:
        raise SplitError(
            f"{len(none)} people have no official split: "
            f"{', '.join('/'.join(person) for person in none[:5])}. Give the spec a table with "
            "their split, leave them out, or use split.kind k_fold."
        )
    chosen = {person: next(filter(pd.notna, names)) for person, names in parts.items()}
    for needed in ("train", "test"):
        if needed not in chosen.values():
            raise SplitError(
                f"the official split has no {needed} people. Use split.kind k_fold, or translate "
                "the delivered names under codes: split: in the spec."
            )
    return chosen


def _filed(people: list[SubjectKey], config: SplitConfig) -> dict[SubjectKey, str]:
    """Look the people up in a file of folds; who is in the file alone takes no part."""
    table = read_split(config.file or "", FROM_FILE)
    rows = table[table["fold"] == config.fold]
    names = {person: entries[0] for person, entries in _sides(rows).items()}
    place = f"{config.file}, fold {config.fold}"
    if missing := [person for person in people if person not in names]:
        more = f" and {len(missing) - 20} more" if len(missing) > 20 else ""
        raise SplitError(
            f"{place}: {len(missing)} people of the manifest are not in it: "
            f"{', '.join('/'.join(person) for person in missing[:20])}{more}. Add a row for each, "
            "or leave them out of the manifest."
        )
    parts = {person: names[person] for person in people}
    if lost := sorted(set(names.values()) - set(parts.values())):
        raise SplitError(
            f"{place}: none of its {lost[0]} people takes part. Check that corpus and subject are "
            "written as in the manifest, and who has a label and a recording."
        )
    return parts


def _check_classes(
    sessions: pd.DataFrame, labels: pd.Series, parts: dict[SubjectKey, str], config: SplitConfig
) -> None:
    """Refuse a split in which a class cannot be learned, chosen by, or (k-fold) tested."""
    keys = zip(sessions["corpus"], sessions["subject"], strict=True)
    rows = pd.DataFrame({"person": list(keys), "class": labels.astype(object).to_numpy()})
    rows = rows.dropna(subset=["class"])
    rows["part"] = rows["person"].map(parts)
    names = sorted(set(rows["class"]))
    checked = SPLITS if config.kind == "k_fold" else ("train", "validation")
    for name in names if len(names) > 1 else []:
        having = rows[rows["class"] == name]
        people = len(set(having["person"]))
        if config.kind == "k_fold" and people < config.folds:
            raise SplitError(
                f"class {name}: {people} people for {config.folds} folds, so a fold would test "
                f"nobody of it. Lower split.folds to at most {people}, or gather more people."
            )
        for part in checked:
            if part not in set(having["part"]):
                raise SplitError(
                    f"fold {config.fold}: {part} has no session of class {name}, which "
                    f"{people} people have. Lower split.folds, change "
                    "split.validation, or gather more people of that class."
                )


def _sides(table: pd.DataFrame) -> dict[SubjectKey, list[str]]:
    """Collect the entries of the column split for each person, sorted by person."""
    sides: dict[SubjectKey, list[str]] = {}
    for corpus, subject, name in zip(
        table["corpus"], table["subject"], table["split"], strict=True
    ):
        sides.setdefault((corpus, subject), []).append(name)
    return dict(sorted(sides.items()))


def _named(several: dict[SubjectKey, list[str]], at_most: int = 20) -> str:
    names = [f"{'/'.join(person)} in {' and '.join(parts)}" for person, parts in several.items()]
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return "; ".join(names[:at_most]) + more
