"""From the sessions that were found to those that a run uses, and which modalities are missing.

The flow is part of ``data_summary.json``. It contains numbers only, no ids, so that it stays with a
run that is shared.
"""

from pathlib import Path

import pandas as pd
from pydantic import Field

from depmm.config import Experiment, Settings
from depmm.corpora.index_report import read_index_report
from depmm.corpora.manifest import Manifest, read_manifest
from depmm.data.experiment_data import ExperimentData, find_modalities
from depmm.data.targets import labelled_sessions, no_target_reason
from depmm.schemas.manifest import SESSION_KEY
from depmm.store.derived_streams import track_of
from depmm.store.index import read_failures, read_index
from depmm.store.sessions import SessionStore


class FlowStage(Settings):
    """Sessions that reach one stage of a study."""

    name: str = Field(description="found, labelled, recorded, extracted or used")
    sessions: int = Field(description="number of sessions")
    subjects: int = Field(description="number of subjects")
    positive_sessions: int | None = Field(
        description="number of sessions with label 1; null if they are not known"
    )
    lost: dict[str, int] = Field(
        description="reason -> number of sessions that reach the previous stage but not this one"
    )


class ModalityCount(Settings):
    """Labelled sessions of one label with and without a modality."""

    modality: str = Field(description="the modality")
    label: int | None = Field(description="label; null for targets that are not binary")
    sessions: int = Field(description="number of labelled sessions")
    missing: int = Field(description="number of them without the modality in the store")


class DataFlow(Settings):
    """Sessions at each stage, from the corpus to the run."""

    stages: list[FlowStage] = Field(description="stages in their order")
    modalities: list[ModalityCount] = Field(description="missing modalities by label")
    not_indexed: dict[str, int] | None = Field(
        description="what depmm index left out of the manifest: number of failures, of missing "
        "files or rows, and of units that rules of the spec leave out; null without index.json"
    )


def measure_data_flow(config: Experiment, data: ExperimentData) -> DataFlow:
    """Count the sessions at each stage of an experiment.

    Parameters
    ----------
    config : Experiment
        Manifest, store and target.
    data : ExperimentData
        The sessions that the experiment uses.

    Returns
    -------
    DataFlow
        The counts.

    Raises
    ------
    DataError, ManifestError, StoreError
        As :func:`~depmm.data.experiment_data.load_experiment_data`.
    """
    manifest = read_manifest(config.data.manifest)
    labelled, _ = labelled_sessions(manifest.sessions, config.target, config.data.manifest)
    store = SessionStore(config.data.store, config.extract)
    index, failures = read_index(store), read_failures(store)
    targets = labelled.set_index(SESSION_KEY)["target"] if config.target.kind == "binary" else None
    stored = labelled[SESSION_KEY].merge(index, on=SESSION_KEY, how="left")
    available = find_modalities(stored, config.data)
    modalities = " or ".join(config.data.modalities)
    found, with_label, used = map(_keys, (manifest.sessions, labelled, data.sessions))
    recorded = with_label.intersection(_recorded_sessions(manifest, config))
    in_store = recorded.intersection(_keys(index))
    extracted = recorded.intersection(_keys(stored[available.any(axis=1)]))
    failed = recorded.difference(in_store).intersection(_keys(failures))
    absent = recorded.difference(in_store).difference(failed)
    reasons = [
        ("found", found, {}),
        ("labelled", with_label, {no_target_reason(config.target): found.difference(with_label)}),
        ("recorded", recorded, {f"no file of {modalities}": with_label.difference(recorded)}),
        (
            "extracted",
            extracted,
            {
                "extraction failed": failed,
                "not in the store": absent,
                f"in the store without {modalities}": in_store.difference(extracted),
            },
        ),
        ("used", used, {f"no {modalities} in the steps of data.steps": extracted.difference(used)}),
    ]
    return DataFlow(
        stages=[
            FlowStage(
                name=name,
                sessions=len(keys),
                subjects=len(keys.droplevel("session").unique()),
                positive_sessions=_count_positive(targets, keys) if name != "found" else None,
                lost={reason: len(lost) for reason, lost in losses.items() if len(lost)},
            )
            for name, keys, losses in reasons
        ],
        modalities=_missing_modalities(labelled, available, targets is not None),
        not_indexed=_count_not_indexed(config.data.manifest),
    )


def _keys(table: pd.DataFrame) -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(table[SESSION_KEY].astype(str)).unique()


def _recorded_sessions(manifest: Manifest, config: Experiment) -> pd.MultiIndex:
    """List the sessions with a file of a modality that the experiment reads."""
    tables = []
    for modality in config.data.modalities:
        stream = config.data.features.get(modality)
        if stream is None:
            tables.append(manifest.steps.loc[manifest.steps[modality].notna(), SESSION_KEY])
            continue
        tables.append(manifest.features.loc[manifest.features["name"] == stream, SESSION_KEY])
        if (track := track_of(stream)) is not None:  # depmm computes it from the recording
            tables.append(manifest.steps.loc[manifest.steps[track].notna(), SESSION_KEY])
    return _keys(pd.concat(tables))


def _count_positive(targets: "pd.Series | None", keys: pd.MultiIndex) -> int | None:
    return None if targets is None else int(targets.loc[keys].sum())


def _missing_modalities(
    labelled: pd.DataFrame, available: pd.DataFrame, binary: bool
) -> list[ModalityCount]:
    labels: list[int | None] = [0, 1] if binary else [None]
    counts = []
    for modality in available:
        for label in labels:
            rows = available
            if label is not None:
                rows = available[(labelled["target"] == label).to_numpy()]
            counts.append(
                ModalityCount(
                    modality=str(modality),
                    label=label,
                    sessions=len(rows),
                    missing=int((~rows[modality]).sum()),
                )
            )
    return counts


def _count_not_indexed(manifest: Path) -> dict[str, int] | None:
    report = read_index_report(manifest)
    if report is None:
        return None
    counts = {
        "failures": len(report.failures),
        "missing files or rows": len(report.missing),
        "left out by rules of the spec": sum(entry.left_out for entry in report.left_out),
    }
    return {name: count for name, count in counts.items() if count}
