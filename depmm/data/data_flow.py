"""What ``data_summary.json`` contains: the sessions at each stage, and how much of them is read."""

import logging
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from depmm.config import Experiment
from depmm.corpora.index_report import read_index_report
from depmm.corpora.manifest import Manifest, read_manifest
from depmm.data.data_summary import DataFlow, DataSummary, FlowStage, ModalityCount
from depmm.data.experiment_data import ExperimentData, find_modalities
from depmm.data.targets import labelled_sessions, no_target_reason
from depmm.data.used_signal import list_limited_modalities, measure_used_signal
from depmm.files.checksums import write_text
from depmm.schemas.manifest import SESSION_KEY
from depmm.store.derived_streams import track_of
from depmm.store.index import read_failures, read_index
from depmm.store.sessions import SessionStore

logger = logging.getLogger(__name__)


def record_data_summary(
    config: Experiment,
    data: ExperimentData,
    path: Path,
    log: bool = True,
    max_crops: Mapping[str, int | None] = MappingProxyType({}),
) -> None:
    """Write ``data_summary.json`` of a training, and log how much of each modality is read.

    Parameters
    ----------
    config : Experiment
        The experiment.
    data : ExperimentData
        Sessions of the experiment; the amounts are those of evaluation.
    path : Path
        The file.
    log : bool, default True
        Whether to log the amounts.
    max_crops : mapping of str to int or None, optional
        Largest number of crops of a step that the encoder of a modality reads; by default all.

    Raises
    ------
    StoreError
        If a stored session is missing or damaged.
    """
    used = measure_used_signal(data.dataset, data.steps, max_crops)
    summary = DataSummary(
        used_signal={name: used[name] for name in list_limited_modalities(config)},
        flow=measure_data_flow(config, data),
    )
    for amount in summary.used_signal.values() if log else ():
        logger.info("%s", amount.describe())
    write_text(path, summary.model_dump_json(indent=1) + "\n")


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
