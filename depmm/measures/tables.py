"""Tables of the measures of a manifest: long, and wide for SPSS and R."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from depmm.corpora.manifest import Manifest
from depmm.files.checksums import write_table, write_text
from depmm.files.csv_text import to_csv
from depmm.measures.face import MIN_BLINK_RATE_HZ
from depmm.measures.measure import Measure, MeasureError
from depmm.measures.sets import SESSION_SETS, SET_NAMES, SetName, measures_of, parse_sets
from depmm.measures.store import aggregate_steps, read_session_measures, read_step_measures
from depmm.schemas.manifest import SESSION_KEY, STEP_KEY
from depmm.schemas.measures import CODEBOOK, MEASURES
from depmm.store.errors import StoreError
from depmm.store.failures import SessionKey
from depmm.store.index import read_index
from depmm.store.sessions import SessionStore
from depmm.store.step_hashes import check_stored_steps

OPTIONAL_SETS: frozenset[str] = frozenset({"egemaps"})  # only if named: it needs an extra
_TABLES = ("measures.csv", "sessions.csv", "steps.csv", "codebook.csv", "effects.csv")
_OTHER_FILES = (*_TABLES, "sessions.parquet", "index.parquet")  # the last two: manifest, store
_MODALITY = {"voice": "audio", "timing": "audio", "egemaps": "audio", "face": "face"}


@dataclass(frozen=True)
class MeasureTables:
    """The measures of the sessions of a manifest.

    Attributes
    ----------
    steps : DataFrame
        One column per measure of steps, with the index corpus, subject, session, step.
    sessions : DataFrame
        One column per measure of sessions, with the index corpus, subject, session.
    measures : list of Measure
        All measures: the columns of ``steps``, then those of ``sessions``.
    not_stored : list of tuple of str
        Sessions of the manifest that are not in the store.
    notes : list of str
        What was left out and why, one sentence each.
    """

    steps: pd.DataFrame
    sessions: pd.DataFrame
    measures: list[Measure]
    not_stored: list[SessionKey]
    notes: list[str] = field(default_factory=list)

    @property
    def summary(self) -> pd.DataFrame:
        """One row per session: mean and standard deviation of steps, and measures of sessions."""
        if self.steps.columns.empty:
            return self.sessions
        of_steps = aggregate_steps(self.steps).reindex(self.sessions.index)
        return pd.concat([of_steps, self.sessions], axis=1)


def collect_measures(
    manifest: Manifest, store: SessionStore, sets: Sequence[str] = (), workers: int = 0
) -> MeasureTables:
    """Read the measures of all sessions of a manifest, and compute those that are missing.

    Parameters
    ----------
    manifest : Manifest
        The sessions.
    store : SessionStore
        Their signals.
    sets : sequence of str, optional
        Names of sets. By default, all sets whose modality is in the store, except those that need
        an optional library.
    workers : int, default 0
        Number of processes that compute; 0: this process.

    Returns
    -------
    MeasureTables
        The measures.

    Raises
    ------
    MeasureError
        If a set is unknown, or a named set has no value in any session.
    StoreError
        If no session is in the store, a session was extracted with other steps than those of the
        manifest, or a file of the store is damaged.
    """
    chosen = parse_sets(sets) or [name for name in SET_NAMES if name not in OPTIONAL_SETS]
    keys: list[SessionKey] = list(manifest.sessions[SESSION_KEY].itertuples(index=False, name=None))
    stored = [key for key in keys if store.has(*key)]
    if not stored:
        raise _wrong_store(store, len(keys))
    index = read_index(store)
    check_stored_steps(index, manifest, store.url)
    index = index.set_index(SESSION_KEY)
    # n_frames_with_face counts aligned faces too
    tracked = index["streams"].map(lambda streams: "head_pose" in streams)
    has_signal = {"audio": (index["audio_s"] > 0).any(), "face": tracked.any()}
    steps: list[pd.DataFrame] = []
    sessions: list[pd.DataFrame] = []
    measures: list[Measure] = []
    notes: list[str] = []
    for name in chosen:
        table = None
        if has_signal[_MODALITY[name]]:
            read = read_session_measures if name in SESSION_SETS else read_step_measures
            table = read(store, stored, [name], workers)
        if table is None or table.isna().all(axis=None):
            if sets:
                raise _no_signal(store, name)
            notes.append(f"No session has measures of the set {name}: {_reason(name)}.")
            continue
        (sessions if name in SESSION_SETS else steps).append(table)
        measures += measures_of(name)
    if not measures:
        raise MeasureError(
            f"{store.url}: no session has a measure.", file=store.url, remedy=" ".join(notes)
        )
    empty = pd.DataFrame(index=pd.MultiIndex.from_tuples(stored, names=SESSION_KEY))
    tables = MeasureTables(
        pd.concat(steps, axis=1) if steps else pd.DataFrame(index=_no_steps()),
        pd.concat([empty, *sessions], axis=1),
        measures,
        [key for key in keys if key not in set(stored)],
        notes,
    )
    return tables if "blink_rate" not in tables.steps else _with_blink_note(tables)


def check_output(out: Path) -> None:
    """Refuse a folder with files of others that the tables would replace or mix with.

    Parameters
    ----------
    out : Path
        Folder of the tables, which may be missing.

    Raises
    ------
    MeasureError
        If it is a manifest or a store, or contains a label table of the same name.
    """
    if (out / MEASURES.file).is_file():
        return
    for name in _OTHER_FILES:
        if (out / name).is_file():
            raise MeasureError(
                f"{out} contains {name}, which depmm measures did not write.",
                setting="--out",
                file=out / name,
                remedy="Choose another folder.",
            )


def write_tables(
    tables: MeasureTables, manifest: Manifest, target: pd.Series | None, out: Path
) -> int:
    """Write the long table (Parquet and CSV), ``sessions.csv``, ``steps.csv`` and ``codebook.csv``.

    Parameters
    ----------
    tables : MeasureTables
        The measures.
    manifest : Manifest
        The sessions and steps, whose label, score, gender, age, task and valence are copied.
    target : Series of float or None
        Target of each session with the index corpus, subject, session; None without labels.
    out : Path
        Folder, created if missing.

    Returns
    -------
    int
        Number of rows of the long table.
    """
    out.mkdir(parents=True, exist_ok=True)
    long = long_table(tables)
    MEASURES.check(long)
    write_table(out / MEASURES.file, long)
    write_text(out / "measures.csv", to_csv(long))
    known = manifest.sessions.set_index(SESSION_KEY)[["label", "score", "gender", "age"]]
    if target is not None:
        known = known.assign(target=target)
    summary = tables.summary
    write_text(out / "sessions.csv", _wide(known, summary))
    steps = manifest.steps.set_index(STEP_KEY)[["start_s", "end_s", "task", "valence"]]
    write_text(out / "steps.csv", _wide(steps, tables.steps))
    write_text(out / "codebook.csv", to_csv(codebook(tables)))
    return len(long)


def long_table(tables: MeasureTables) -> pd.DataFrame:
    """Put every value into a row.

    Parameters
    ----------
    tables : MeasureTables
        The measures.

    Returns
    -------
    DataFrame
        Columns of ``depmm.schemas.measures.MEASURES``: the rows of steps, then those of sessions.
    """
    of_column = _column_measures(tables)
    parts = []
    for table in (tables.steps, tables.summary):
        values = table.reset_index().melt(
            id_vars=table.index.names, var_name="measure", value_name="value"
        )
        if "step" not in values:
            values["step"] = pd.NA
        parts.append(values.astype({"step": "Int64", "value": "float64"}))
    long = pd.concat(parts, ignore_index=True)
    for name in ("modality", "group", "unit"):
        values_of = {column: getattr(m, name) for column, m in of_column.items()}
        long[name] = long["measure"].map(values_of).astype("str")
    return long[MEASURES.names].astype({"measure": "str"})


def codebook(tables: MeasureTables) -> pd.DataFrame:
    """Describe the columns of ``steps.csv`` and ``sessions.csv``.

    Parameters
    ----------
    tables : MeasureTables
        The measures.

    Returns
    -------
    DataFrame
        Columns file, column, modality, group, unit and description, one row per measure column.
    """
    rows = []
    for file, columns in (
        ("steps.csv", tables.steps.columns),
        ("sessions.csv", tables.summary.columns),
    ):
        for column in columns:
            measure = _column_measures(tables)[column]
            prefix = ""
            if column != measure.name:
                prefix = "Mean over the steps. " if column.endswith("_mean") else _STD
            rows.append(
                {
                    "file": file,
                    "column": column,
                    "modality": measure.modality,
                    "group": measure.group,
                    "unit": measure.unit,
                    "description": prefix + measure.description,
                }
            )
    return CODEBOOK.build(rows)


_STD = "Standard deviation over the steps (n - 1). "


def _column_measures(tables: MeasureTables) -> dict[str, Measure]:
    """Return the measure of each column of steps and sessions."""
    columns = {}
    for measure in tables.measures:
        columns[measure.name] = measure
        if measure.name in tables.steps:
            columns |= {f"{measure.name}_{name}": measure for name in ("mean", "std")}
    return columns


def _wide(known: pd.DataFrame, measures: pd.DataFrame) -> str:
    """Format columns of the manifest and measures, one row per row of the measures."""
    return to_csv(known.reindex(measures.index).join(measures).reset_index())


def _no_steps() -> pd.MultiIndex:
    return pd.MultiIndex.from_arrays([[] for _ in STEP_KEY], names=STEP_KEY)


def _with_blink_note(tables: MeasureTables) -> MeasureTables:
    known = tables.steps["face_share"].notna()
    if not known.any() or tables.steps.loc[known, "blink_rate"].notna().any():
        return tables
    tables.notes.append(
        "blink_rate is missing in every step, because the videos were sampled at fewer than "
        f"{MIN_BLINK_RATE_HZ:g} frames per second, at which many blinks fall between two frames. "
        "Extract with face.frames_per_second=25 to measure it."
    )
    return tables


def _reason(name: SetName) -> str:
    if _MODALITY[name] == "face":
        return (
            "the store has no tracked faces. It has no video, or aligned faces (faces: aligned in "
            "the data spec), which have no landmarks"
        )
    return "the store has no sound, or no step has enough of it"


def _no_signal(store: SessionStore, name: SetName) -> MeasureError:
    return MeasureError(
        f"{store.url}: no session has measures of the set {name}: {_reason(name)}.",
        setting="set",
        value=name,
        file=store.url,
        remedy="Choose another set (--set), or extract recordings that have the signal.",
    )


def _wrong_store(store: SessionStore, n_sessions: int) -> StoreError:
    return StoreError(
        f"{store.url}: none of the {n_sessions} sessions of the manifest is in this store with "
        f"these extraction settings ({store.settings_hash}).",
        file=store.url,
        value=store.settings_hash,
        remedy="Give the store of this manifest, and the settings with which it was extracted "
        "(--config, or extract.face.frames_per_second=...).",
    )
