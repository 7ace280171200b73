"""Splits of people: official, k-fold, leave-one-subject-out. No person is ever on two sides.

People are ordered by a hash of the seed and their key, not by a random generator, so a split
depends on no library version and on no order of rows. The sessions of a person follow the person.
"""

import hashlib
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from depmm.config import SplitConfig
from depmm.corpora.manifest import PERSON_KEY, SPLITS

Person = tuple[str, str]
Stratum = tuple[str, ...]


class SplitError(ValueError):
    """A split that cannot be made or trusted; names the people or classes and the remedy."""


def number_of_folds(sessions: pd.DataFrame, config: SplitConfig) -> int:
    """Count the folds of a design: 1 if official, else the folds, or one a person."""
    if config.kind == "official":
        return 1
    return config.folds if config.kind == "k_fold" else len(_people(sessions))


def make_split(
    sessions: pd.DataFrame, config: SplitConfig, labels: pd.Series | None = None
) -> pd.DataFrame:
    """Decide for one fold who is in train, validation and test.

    A person's class is the majority of his labels, his gender that of most of his sessions; unknown
    is a value of its own. Over the folds of k-fold every person is tested once, and for ``balance``
    = label, gender, corpus it is guaranteed that no two folds differ by more than one in how many
    people they test: in all, of a class, of a class and gender, of a class, gender and corpus, of
    a corpus, of a corpus and gender. So they differ in a gender by no more than there are classes
    or corpora, whichever are fewer. Another ``balance`` reads the same from its first to its last
    entry and back.

    Validation people are drawn from the rest in the same strata: of each class its share, rounded
    (one at least), and of each gender in the class its share, rounded up or down. A validation set
    that is given (official) is kept as it is.

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
        splits or in none, an official split without train or test
    """
    if labels is None:
        labels = sessions["label"]
    if not labels.index.equals(sessions.index):
        raise SplitError("labels: its index is not that of sessions. Pass one label for each row.")
    folds = number_of_folds(sessions, config)
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
    else:
        parts = dict.fromkeys(people, "train")
        parts.update(dict.fromkeys(_tested(people, strata, config), "test"))
    if "validation" not in parts.values():
        rest = [person for person in people if parts[person] == "train"]
        parts.update(dict.fromkeys(_drawn(rest, classes, strata, config), "validation"))
    split = pd.DataFrame(
        [(*person, parts[person]) for person in people], columns=[*PERSON_KEY, "split"], dtype="str"
    )
    check_disjoint(split)
    _check_classes(sessions, labels, parts, config)
    return split


def check_disjoint(split: pd.DataFrame) -> None:
    """Check that every person stands in exactly one split and that no split is empty.

    Raises
    ------
    SplitError : a missing column, an unknown or empty split, a person in two splits or twice in one
    """
    for column in (*PERSON_KEY, "split"):
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
    if empty := [name for name in SPLITS if name not in set(split["split"])]:
        raise SplitError(
            f"split: {empty[0]} is empty ({len(split)} people). Add people, or change folds or "
            "validation."
        )


def write_split(split: pd.DataFrame, path: Path | str) -> None:
    """Check a split and save it as CSV (corpus, subject, split), which others can reuse."""
    check_disjoint(split)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    split[[*PERSON_KEY, "split"]].to_csv(temporary, index=False, lineterminator="\n")
    temporary.replace(path)


def read_split(path: Path | str) -> pd.DataFrame:
    """Read and check a split saved as CSV; ids stay text (``01`` is not 1).

    Raises
    ------
    SplitError : no such file, no CSV, or as ``check_disjoint``
    """
    try:
        split = pd.read_csv(path, dtype="str", keep_default_na=False)
    except (OSError, pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise SplitError(f"{path}: cannot be read as CSV ({error}). Check the path.") from None
    try:
        check_disjoint(split)
    except SplitError as error:
        raise SplitError(f"{path}: {error}") from None
    return split[[*PERSON_KEY, "split"]]


def _people(sessions: pd.DataFrame) -> list[Person]:
    return sorted(set(zip(sessions["corpus"], sessions["subject"], strict=True)))


def _majority(sessions: pd.DataFrame, values: pd.Series) -> dict[Person, str]:
    """Each person's most frequent value; the first by name when tied, empty when there is none."""
    counts: dict[Person, Counter[str]] = {person: Counter() for person in _people(sessions)}
    for corpus, subject, value in zip(
        sessions["corpus"], sessions["subject"], values.astype(object), strict=True
    ):
        if pd.notna(value):
            counts[corpus, subject][str(value)] += 1
    return {
        person: min(own, key=lambda name: (-own[name], name)) if own else ""
        for person, own in counts.items()
    }


def _rank(person: Person, *salt: object) -> bytes:
    """A fixed pseudo-random place for a person, the same on every machine."""
    return hashlib.sha256(repr((*salt, *person)).encode()).digest()


def _strata(
    sessions: pd.DataFrame, classes: dict[Person, str], config: SplitConfig
) -> dict[Person, Stratum]:
    """Each person's values of what is balanced, in the order of ``config.balance``."""
    genders = _majority(sessions, sessions["gender"])
    return {
        person: tuple(
            {"label": classes[person], "gender": genders[person], "corpus": person[0]}[name]
            for name in config.balance
        )
        for person in classes
    }


def _tested(
    people: list[Person], strata: dict[Person, Stratum], config: SplitConfig
) -> list[Person]:
    if config.kind == "leave_one_subject_out":
        return [people[config.fold]]
    if len(people) < config.folds:
        raise SplitError(
            f"{len(people)} people for {config.folds} folds. Lower split.folds to at most "
            f"{len(people)}."
        )
    dealt = sorted(people, key=lambda person: (strata[person], _rank(person, config.seed)))
    folds = [dealt[fold :: config.folds] for fold in range(config.folds)]
    # dealt in turn, strata are even; what runs across them (a corpus, say) need not be. Each pass
    # makes a set of people more even between two folds and no other set less: it comes to an end
    pairs = list(combinations(range(config.folds), 2))
    while uneven := [(a, b) for a, b in pairs if _uneven(folds[a], folds[b], strata)]:
        one, other = uneven[0]
        folds[one], folds[other] = _halved(folds[one] + folds[other], strata)
    return folds[config.fold]


def _uneven(one: list[Person], other: list[Person], strata: dict[Person, Stratum]) -> bool:
    """Whether two folds differ by more than one person in a set that is to be shared evenly."""
    differences: Counter[tuple[int, Stratum]] = Counter()
    for people, sign in ((one, 1), (other, -1)):
        for person in people:
            for way in (1, -1):
                for depth in range(len(strata[person]) + 1):
                    differences[way, strata[person][::way][:depth]] += sign
    return any(abs(difference) > 1 for difference in differences.values())


def _halved(
    people: list[Person], strata: dict[Person, Stratum]
) -> tuple[list[Person], list[Person]]:
    """Deal people to two folds that differ by one at most in every set.

    People are paired within their stratum, those left over within the next larger set, and so on;
    once for label > gender > corpus and once for corpus > gender > label. Partners go to different
    folds, which is always possible: two pairings make no odd circle (the equitable edge colouring
    of bipartite graphs; de Werra, "Equitable colorations of graphs", 1971).
    """
    partners: dict[Person, list[Person]] = {person: [] for person in people}
    for way in (1, -1):
        single = people
        for depth in range(len(strata[people[0]]), -1, -1):
            waiting: dict[Stratum, Person] = {}
            for person in single:
                group = strata[person][::way][:depth]
                if partner := waiting.pop(group, None):
                    partners[person].append(partner)
                    partners[partner].append(person)
                else:
                    waiting[group] = person
            single = list(waiting.values())
    side: dict[Person, bool] = {}
    for first in people:
        reached = [] if first in side else [(first, False)]
        while reached:
            person, here = reached.pop()
            if person not in side:
                side[person] = here
                reached += [(partner, not here) for partner in partners[person]]
    return [p for p in people if not side[p]], [p for p in people if side[p]]


def _drawn(
    people: list[Person],
    classes: dict[Person, str],
    strata: dict[Person, Stratum],
    config: SplitConfig,
) -> list[Person]:
    """Draw the validation people, evenly over strata and at least one of each class."""
    chosen = []
    for name in sorted({classes[person] for person in people}):
        group = sorted(
            (person for person in people if classes[person] == name),
            key=lambda person: (
                strata[person],
                _rank(person, config.seed, "validation", config.fold),
            ),
        )
        if len(group) < 2:
            continue
        number = min(max(1, round(config.validation * len(group))), len(group) - 1)
        places = np.floor((np.arange(number) + 0.5) * len(group) / number).astype(int)
        chosen += [group[place] for place in places]
    return chosen


def official_overlap(sessions: pd.DataFrame) -> dict[Person, list[str]]:
    """Find the people whose sessions stand in several official splits.

    Returns
    -------
    (corpus, subject) -> the names of the splits, sorted
    """
    sides = _sides(sessions.dropna(subset=["split"]))
    return {person: sorted(set(names)) for person, names in sides.items() if len(set(names)) > 1}


def _official(sessions: pd.DataFrame) -> dict[Person, str]:
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


def _check_classes(
    sessions: pd.DataFrame, labels: pd.Series, parts: dict[Person, str], config: SplitConfig
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


def _sides(table: pd.DataFrame) -> dict[Person, list[str]]:
    """Collect the entries of the column split for each person, sorted by person."""
    sides: dict[Person, list[str]] = {}
    for corpus, subject, name in zip(
        table["corpus"], table["subject"], table["split"], strict=True
    ):
        sides.setdefault((corpus, subject), []).append(name)
    return dict(sorted(sides.items()))


def _named(several: dict[Person, list[str]], at_most: int = 20) -> str:
    names = [f"{'/'.join(person)} in {' and '.join(parts)}" for person, parts in several.items()]
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return "; ".join(names[:at_most]) + more
