"""Table of the properties of every session other than voice and face.

A property that predicts the label is a shortcut: a model can reach its score without any sign of
depression. The table has one column ``<source>.<name>`` per property. Sources are

- ``column``: every further column of the manifest (gender, age, site, device, date, ...);
- ``steps``: number and length of the steps, tasks, number and rate of the words of the texts;
- ``sessions``: number of sessions of the subject;
- ``recording``: statistics of the recordings, with ``--root``;
- ``missing``: whether a column or a modality of the session is missing;
- ``file_name``: folders and names of the files, and patterns of the ids.

Numbers are float, categories are text. New columns of the manifest and new statistics of recordings
take part without a change here.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from depmm.audit.column_types import convert_column, find_outcome_columns, is_date
from depmm.audit.findings import AuditInput, SessionProperties, list_file_uses
from depmm.audit.path_properties import id_properties, path_properties
from depmm.audit.transcripts import TOKEN
from depmm.corpora.patterns import natural_sort_key
from depmm.corpora.step_durations import session_durations
from depmm.corpora.subject_labels import subject_labels
from depmm.schemas.manifest import SESSION_KEY, SESSIONS, SUBJECT_KEY

MAX_CATEGORIES = 20  # of a text column that a model can use; more are names or free text
_MAX_TEXT = 200  # characters of a value: several values of a session are joined
_NOT_PROPERTIES = {*SESSIONS.names} - {"gender", "age"}


def session_properties(inputs: AuditInput) -> SessionProperties:
    """Collect the properties of every session of a manifest.

    Parameters
    ----------
    inputs : AuditInput
        Manifest, and the statistics of recordings where available.

    Returns
    -------
    SessionProperties
        The table, the names of dates, and the columns that are other forms of the label.
    """
    sessions = inputs.manifest.sessions
    names = [str(name) for name in sessions if name not in _NOT_PROPERTIES]
    outcomes = {
        str(corpus): tuple(find_outcome_columns(rows, names))
        for corpus, rows in sessions.groupby("corpus")
    }
    left_out = {name for found in outcomes.values() for name in found}
    columns: dict[str, pd.Series] = {}
    for name in names:
        if name not in left_out:
            converted = convert_column(sessions[name])
            columns |= {f"column.{name}{part}": values for part, values in converted.items()}
    n_sessions = sessions.groupby(SUBJECT_KEY)["session"].transform("size").astype(float)
    ids = id_properties(sessions).add_prefix("file_name.")
    table = pd.concat(
        [sessions[SESSION_KEY], pd.DataFrame(columns, index=sessions.index)], axis=1
    ).assign(**{"sessions.n_sessions": n_sessions}, **ids)
    uses = list_file_uses(inputs.manifest)
    parts = [_step_properties(inputs), _recording_properties(inputs, uses), _path_table(uses)]
    for part in parts:
        if part is not None:
            table = table.merge(part, on=SESSION_KEY, how="left")
    table = pd.concat([table, _missing_values(table, sessions, uses)], axis=1)
    dates = frozenset(
        f"column.{name}" for name in names if name not in left_out and is_date(sessions[name])
    )
    return SessionProperties(table, dates, outcomes)


def property_names(table: pd.DataFrame) -> list[str]:
    """List the columns of a table that are properties.

    Parameters
    ----------
    table : DataFrame
        Table of sessions or subjects.

    Returns
    -------
    list of str
        Names ``<source>.<name>``.
    """
    return [str(name) for name in table if "." in str(name)]


def subject_properties(inputs: AuditInput, properties: SessionProperties) -> pd.DataFrame:
    """Summarise the sessions of each subject that have a label or a score.

    Parameters
    ----------
    inputs : AuditInput
        The manifest.
    properties : SessionProperties
        Properties of its sessions.

    Returns
    -------
    DataFrame
        One row per subject in natural order of the ids. Columns corpus, subject, label (majority; a
        tie is positive; NaN if unknown), score (mean; NaN if unknown) and the properties: means of
        numbers, and the different values of categories joined by " + ".
    """
    sessions = inputs.manifest.sessions
    known = sessions[sessions["label"].notna() | sessions["score"].notna()]
    outcome = known[[*SESSION_KEY]].assign(
        label=known["label"].astype("Float64").to_numpy(float, na_value=np.nan),
        score=known["score"].astype("Float64").to_numpy(float, na_value=np.nan),
    )
    table = outcome.merge(properties.table, on=SESSION_KEY, how="left")
    names = property_names(table)
    numbers = [name for name in names if is_numeric_dtype(table[name])]
    subjects = table.groupby(SUBJECT_KEY, as_index=False)[["label", "score", *numbers]].mean()
    subjects["label"] = subject_labels(table).to_numpy()  # in the same order of the keys
    texts = {
        name: join_values(table[[*SUBJECT_KEY, name]], SUBJECT_KEY)
        for name in names
        if name not in numbers
    }
    keys = pd.MultiIndex.from_frame(subjects[SUBJECT_KEY])
    joined = pd.DataFrame({name: values.reindex(keys).to_numpy() for name, values in texts.items()})
    subjects = pd.concat([subjects, joined.astype("str")], axis=1)
    order = subjects["subject"].map(natural_sort_key)
    return subjects.loc[order.sort_values(kind="stable").index].reset_index(drop=True)


def join_values(table: pd.DataFrame, key: list[str]) -> pd.Series:
    """Join the different values of a column in each group.

    Parameters
    ----------
    table : DataFrame
        Columns ``key`` and one more with text.
    key : list of str
        Columns of the group.

    Returns
    -------
    Series of str
        Sorted values joined by " + ", with the groups as index; groups without a value are left
        out.
    """
    name = table.columns[-1]
    values = table.dropna().drop_duplicates().sort_values(name)
    single = ~values.duplicated(key, keep=False)
    joined = values[~single].groupby(key)[name].agg(" + ".join)
    everything: pd.Series = pd.concat([values[single].set_index(key)[name], joined])
    return everything.str.slice(stop=_MAX_TEXT)


def step_durations(inputs: AuditInput) -> pd.Series:
    """Compute the duration of each step.

    A step without end lasts to the end of its file, whose duration must be known.

    Parameters
    ----------
    inputs : AuditInput
        Input of the audit.

    Returns
    -------
    Series
        Durations in seconds with the index of ``manifest.steps``; NaN if unknown.
    """
    steps = inputs.manifest.steps
    ends = steps["end_s"].astype(float)
    if inputs.recordings is not None and ends.isna().any():
        table = inputs.recordings.table
        files = pd.MultiIndex.from_arrays(
            [steps["corpus"], steps["audio"].where(steps["audio"].notna(), steps["face"])]
        )
        ends = ends.fillna(pd.Series(table["length_s"].reindex(files).to_numpy(), steps.index))
    return ends - steps["start_s"]


def _step_properties(inputs: AuditInput) -> pd.DataFrame:
    steps = inputs.manifest.steps
    text = steps["text"].astype("str").fillna("")
    n_words = text.str.count(TOKEN) if (text != "").any() else pd.Series(0, steps.index)
    table = steps[SESSION_KEY].assign(
        seconds=step_durations(inputs), start=steps["start_s"], words=n_words.astype(float)
    )
    grouped = table.groupby(SESSION_KEY)
    seconds = session_durations(steps, steps["start_s"] + table["seconds"])
    words = grouped["words"].sum()
    properties = pd.DataFrame(
        {
            "steps.n_steps": grouped.size().astype(float),
            "steps.duration_s": seconds,
            "steps.step_s": grouped["seconds"].mean().where(seconds.notna()),
            "steps.first_start_s": grouped["start"].min(),
        }
    )
    if words.any():
        properties["steps.n_words"] = words
        properties["steps.words_per_s"] = words / seconds.where(seconds > 0)
    for name in ("task", "valence"):
        if steps[name].notna().any():
            joined = join_values(steps[[*SESSION_KEY, name]], SESSION_KEY)
            properties[f"steps.{name}"] = joined.reindex(properties.index)
    return properties.reset_index()


def _recording_properties(inputs: AuditInput, uses: pd.DataFrame) -> pd.DataFrame | None:
    """Average the statistics of the recordings of each session."""
    if inputs.recordings is None or inputs.recordings.table.empty:
        return None
    statistics = inputs.recordings.table.reset_index()
    files = uses[[*SESSION_KEY, "file"]].drop_duplicates()
    table = files.merge(statistics, on=["corpus", "file"]).drop(columns="file")
    measured = [name for name in table if name not in SESSION_KEY and table[name].notna().any()]
    numbers = [name for name in measured if is_numeric_dtype(table[name])]
    properties = table.groupby(SESSION_KEY)[numbers].mean()
    for name in measured:
        if name not in numbers:
            joined = join_values(table[[*SESSION_KEY, name]], SESSION_KEY)
            properties[name] = joined.reindex(properties.index)
    return properties.add_prefix("recording.").reset_index()


def _path_table(uses: pd.DataFrame) -> pd.DataFrame | None:
    """Describe the names of the files of each session, by use; streams of features are one use."""
    if uses.empty:
        return None
    described = path_properties(uses)
    parts = []
    for use, rows in described.groupby("use"):
        sessions = rows.groupby(SESSION_KEY)
        part = sessions[["name_length", "digits"]].mean()
        for name in ("folder", "prefix", "suffix", "extension"):
            part[name] = join_values(rows[[*SESSION_KEY, name]], SESSION_KEY).reindex(part.index)
        part["n_files"] = sessions.size().astype(float)
        parts.append(part.add_prefix(f"file_name.{use}_"))
    return pd.concat(parts, axis=1).reset_index()


def _missing_values(
    table: pd.DataFrame, sessions: pd.DataFrame, uses: pd.DataFrame
) -> pd.DataFrame:
    """Mark the sessions without a value of a column, and without a modality."""
    missing = {}
    for name in property_names(table):
        source, _, rest = name.partition(".")
        if source in ("column", "recording") and " time of day" not in rest:
            missing[f"missing.{rest}"] = table[name].isna()
    keys = pd.MultiIndex.from_frame(sessions[SESSION_KEY])
    for use, rows in uses.groupby("use"):
        present = keys.isin(pd.MultiIndex.from_frame(rows[SESSION_KEY]))
        missing[f"missing.{use} files"] = pd.Series(~present, table.index)
    marked = pd.DataFrame(missing, index=table.index)
    varying = [str(name) for name in marked if 0 < marked[name].sum() < len(marked)]
    return (
        marked[_different(marked, varying)].replace({True: "missing", False: "known"}).astype("str")
    )


def _different(marked: pd.DataFrame, names: Iterable[str]) -> list[str]:
    """Select one of several columns with equal values."""
    seen: dict[bytes, str] = {}
    for name in names:
        seen.setdefault(marked[name].to_numpy(bool).tobytes(), name)
    return list(seen.values())
