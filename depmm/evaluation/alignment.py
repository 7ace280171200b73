"""Alignment of predictions tables of other programs with those of a run: corpus and ids.

Another program often writes subject and session alone, and other forms of the ids: ``7`` for
``007`` after a table was read as numbers, or ``P01`` for ``p_01``. Before tables are compared or
combined, ids that are the same but for their form are replaced by those of the first table that
has a column ``corpus``, usually a run. Nothing is replaced where that is ambiguous.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from depmm.errors import DepmmError, abbreviate, fold
from depmm.evaluation.prediction_checks import DEFAULTS
from depmm.schemas.manifest import SESSION_KEY

_PAIR = ["subject", "session"]


class AlignmentError(DepmmError):
    """Tables whose sessions cannot be identified with each other."""


class Alignment(NamedTuple):
    """Tables with the ids of one of them.

    Attributes
    ----------
    tables : dict of str to DataFrame
        Tables with the columns that were asked for, and with corpus if one of them had it.
    notes : dict of str to list of str
        What was taken from the reference, one sentence each, by the name of the table.
    """

    tables: dict[str, pd.DataFrame]
    notes: dict[str, list[str]]


def align_tables(tables: Mapping[str, pd.DataFrame], columns: Sequence[str] = ()) -> Alignment:
    """Give all tables the corpus and the ids of the first one that has a column corpus.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Predictions, by a name that identifies them. Ids are text or whole numbers.
    columns : sequence of str, default ()
        Properties of sessions that are taken from the reference where a table does not have them.

    Returns
    -------
    Alignment
        The tables, and what was changed.

    Raises
    ------
    AlignmentError
        If the corpus of a session, or the session that another form of an id means, is ambiguous.
    """
    named = {name: _with_text_ids(table) for name, table in tables.items()}
    reference = next((name for name, t in named.items() if "corpus" in t), next(iter(named)))
    known = "corpus" in named[reference]
    if not known:  # so that the ids of all tables have three parts
        named = {name: t.assign(corpus=DEFAULTS["corpus"]) for name, t in named.items()}
    sessions = named[reference].drop_duplicates(SESSION_KEY)
    aligned: dict[str, pd.DataFrame] = {}
    notes: dict[str, list[str]] = {}
    for name, table in named.items():
        notes[name] = []
        if name != reference:
            table = _align(table, name, sessions, reference, notes[name])
            table = _add_columns(table, columns, sessions, reference, notes[name])
        aligned[name] = table if known else table.drop(columns="corpus")
    return Alignment(aligned, notes)


def _with_text_ids(table: pd.DataFrame) -> pd.DataFrame:
    """Convert whole numbers to text; other ids are left to ``check_predictions``."""
    names = [name for name in SESSION_KEY if name in table]
    whole = {n: table[n].astype(str) for n in names if pd.api.types.is_integer_dtype(table[n])}
    return table.assign(**whole)


def _align(
    table: pd.DataFrame, name: str, sessions: pd.DataFrame, reference: str, notes: list[str]
) -> pd.DataFrame:
    """Replace corpus, subject and session by those of the reference."""
    given = [column for column in SESSION_KEY if column in table]
    if len(given) < len(_PAIR) or table[given].isna().to_numpy().any():
        return table  # check_predictions names the column or the row
    keys = [tuple(map(str, row)) for row in table[given].drop_duplicates().to_numpy()]
    known = [tuple(map(str, row)) for row in sessions[SESSION_KEY].to_numpy()]
    exact, by_form = _group(known, len(given), str), _group(known, len(given), _form)
    target: dict[tuple[str, ...], tuple[str, ...]] = {}
    unknown = []
    for key in keys:
        found = exact.get(key) or by_form.get(tuple(map(_form, key))) or []
        if len(found) > 1:
            raise AlignmentError(
                f"{name}: session {'/'.join(key)} can be {abbreviate(list(map('/'.join, found)))} "
                f"of {reference}.",
                column="session" if "corpus" in given else "corpus",
                subject=key[-2],
                session=key[-1],
                value=["/".join(session) for session in found],
                remedy="Write the ids as in the run, and add the column corpus.",
            )
        if found:
            target[key] = found[0]
        else:
            unknown.append(key)
    _check_distinct(target, name, reference)
    corpora = sorted(sessions["corpus"].unique())
    if unknown and "corpus" not in given and len(corpora) > 1:
        raise AlignmentError(
            f"{name}: {len(unknown)} of {len(keys)} sessions, for example "
            f"{'/'.join(unknown[0])}, are not in {reference}, whose corpora are "
            f"{abbreviate(corpora)}, and the table has no column corpus.",
            column="corpus",
            subject=unknown[0][-2],
            session=unknown[0][-1],
            remedy="Add the column corpus.",
        )
    for key in unknown:
        target[key] = key if "corpus" in given else (corpora[0], *key)
    notes += _describe(target, given, reference, len(unknown), _unequal_ids(unknown, known))
    rows = [target[tuple(map(str, row))] for row in table[given].to_numpy()]
    ids = pd.DataFrame(rows, columns=SESSION_KEY, index=table.index, dtype="str")
    return table.assign(**{column: ids[column] for column in SESSION_KEY})


def _group(
    known: Sequence[tuple[str, ...]], size: int, form: Callable[[str], str]
) -> dict[tuple[str, ...], list[tuple[str, ...]]]:
    """Group the sessions of the reference by the form of the ids that a table has."""
    groups: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for session in known:
        groups.setdefault(tuple(map(form, session[-size:])), []).append(session)
    return groups


def _form(text: str) -> str:
    """Remove what is only a form: case, blanks, hyphens, leading zeros, and ``.0`` at the end."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", fold(re.sub(r"^(\d+)\.0$", r"\1", text)))


def _check_distinct(
    target: Mapping[tuple[str, ...], tuple[str, ...]], name: str, reference: str
) -> None:
    """Check that two sessions of a table do not become one."""
    origin: dict[tuple[str, ...], tuple[str, ...]] = {}
    for key, session in target.items():
        if session in origin:
            raise AlignmentError(
                f"{name}: {'/'.join(origin[session])} and {'/'.join(key)} both mean "
                f"{'/'.join(session)} of {reference}.",
                column="session",
                subject=key[-2],
                session=key[-1],
                value=["/".join(origin[session]), "/".join(key)],
                remedy="Write the ids as in the run.",
            )
        origin[session] = key


def _unequal_ids(unknown: Sequence[tuple[str, ...]], known: Sequence[tuple[str, ...]]) -> str:
    """Say how the ids of unknown sessions differ: in the session alone, or in the subject."""
    if not unknown:
        return ""
    sessions = {_form(session[-2]): session[-1] for session in known}
    for *_, subject, session in unknown:
        if _form(subject) in sessions:
            return (
                f"subject {subject} has the session {session}, and in the run the session "
                f"{sessions[_form(subject)]}"
            )
    return f"for example {'/'.join(unknown[0])}; ids of the run are like {'/'.join(known[0])}"


def _describe(
    target: Mapping[tuple[str, ...], tuple[str, ...]],
    given: Sequence[str],
    reference: str,
    n_unknown: int,
    unknown: str,
) -> list[str]:
    notes = []
    if "corpus" not in given:
        corpora = sorted({session[0] for session in target.values()})
        notes.append(f"The corpus is taken from {reference}: {', '.join(corpora)}.")
    for column in _PAIR:
        at = SESSION_KEY.index(column) - len(SESSION_KEY)
        changed = {key[at]: new[at] for key, new in target.items() if key[at] != new[at]}
        if changed:
            old, new = next(iter(changed.items()))
            notes.append(
                f"{len(changed)} ids of the column {column} are written differently and are "
                f"replaced by those of {reference}, for example {old} by {new}."
            )
    if n_unknown:
        notes.append(
            f"{n_unknown} of {len(target)} sessions are not in {reference} under any form of their "
            f"ids: {unknown}."
        )
    return notes


def _add_columns(
    table: pd.DataFrame,
    columns: Sequence[str],
    sessions: pd.DataFrame,
    reference: str,
    notes: list[str],
) -> pd.DataFrame:
    """Add properties of the sessions from the reference."""
    missing = [name for name in columns if name not in table and name in sessions]
    if not missing or not set(SESSION_KEY) <= set(table):
        return table
    keys = pd.MultiIndex.from_frame(table[SESSION_KEY])
    values = sessions.set_index(SESSION_KEY)[missing].reindex(keys)
    notes.append(f"{' and '.join(missing)} of each session is taken from {reference}.")
    return table.assign(**{name: values[name].to_numpy() for name in missing})
