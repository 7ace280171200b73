"""Copy what may be shared from a run to a folder, and search it for ids.

The folder is a run for every reader: it contains config, weights and ``inference.json``, with which
a recording is predicted as by the run itself. It contains no table of subjects. Every file is
searched for the ids of the corpus and for paths before the folder exists under its name.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import depmm
from depmm.config import ClassicalConfig, Experiment
from depmm.errors import count_of
from depmm.evaluation.reports.model_card import SharedModels, write_model_card
from depmm.files.checksums import read_bytes, read_json, write_bytes, write_text
from depmm.files.writing import temporary_folder
from depmm.models.model import DepressionModel
from depmm.models.saved import CONFIG_FILE, WEIGHTS_FILE
from depmm.runs.folder import RunFolder, missing_run
from depmm.runs.inference_facts import load_inference_facts
from depmm.schemas.run_files import RUN_FILES, describe_run_file
from depmm.sharing.errors import SharingError
from depmm.sharing.filters import (
    share_config,
    share_encoders,
    share_environment,
    share_facts,
    share_metrics,
)
from depmm.sharing.ids import MIN_SUBJECTS, SubjectIds, collect_ids
from depmm.sharing.licences import describe_licences, list_pretrained
from depmm.sharing.models import Model, choose_models
from depmm.sharing.own_words import own_words
from depmm.sharing.sealed_folder import RECORD, seal_folder
from depmm.sharing.search import Finding, search_folder

LICENCES = "LICENCES.md"
COPIED = (WEIGHTS_FILE, "step_reference.safetensors", "model.skops", "measures.csv")
NOT_CHOSEN, FOREIGN = "it was not chosen", "it is not a file of depmm"
N_LISTED = 10  # findings in a message


@dataclass(frozen=True)
class Export:
    """What an export contains, and what stays in the run.

    Attributes
    ----------
    folder : Path
        The exported folder.
    files : dict of str to str
        Name of each file -> its content.
    stays : dict of str to str
        Name of each file of the run that stays -> reason.
    left_out : dict of str to str
        Key of ``metrics.json`` that is left out -> reason.
    notes : list of str
        What a reader can learn about subjects from the folder all the same.
    """

    folder: Path
    files: dict[str, str]
    stays: dict[str, str]
    left_out: dict[str, str]
    notes: list[str]

    def describe(self) -> list[str]:
        """Describe the export for the terminal.

        Returns
        -------
        list of str
            One line per file that is exported or stays.
        """
        lines = [f"{self.folder}: {len(self.files)} files"]
        lines += [f"  {name}: {content}" for name, content in self.files.items()]
        lines.append("stays in the run:")
        lines += [f"  {name}: {reason}" for name, reason in self.stays.items()]
        if self.left_out:
            lines.append("left out of metrics.json:")
            lines += [f"  {key}: {reason}" for key, reason in self.left_out.items()]
        lines.append("check before you share the folder:")
        return lines + [f"  {note}" for note in self.notes]


def export_run(
    run: Path | str,
    out: Path | str,
    fold: str | None = None,
    seed: int | None = None,
    onnx: bool = False,
) -> Export:
    """Export a run to a folder without ids.

    Parameters
    ----------
    run : Path or str
        Folder of a run or of a cross-validation, with a report.
    out : Path or str
        Folder of the export, which does not exist or is empty.
    fold : str, optional
        Of a cross-validation, the index of one fold, or ``"all"``.
    seed : int, optional
        Of a cross-validation with several seeds, the seed of the models.
    onnx : bool, default False
        Whether encoders and fusion are also written as ONNX graphs.

    Returns
    -------
    Export
        What was exported, and what stays.

    Raises
    ------
    SharingError
        If the run is not finished or not evaluated, ``out`` is not empty, a model has to be chosen,
        or an id or a path is found in a file.
    RunError
        If the folder contains no trained model.
    OnnxError
        If a part of the model cannot be exported to ONNX.
    """
    run, out = Path(run), Path(out)
    if not run.is_dir():
        raise missing_run(run)
    models = choose_models(run, fold, seed)
    evaluated = _find_evaluation(run)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SharingError(
            f"{out} exists and is not empty.",
            file=out,
            remedy="Give a new folder, or delete this one.",
        )
    ids = _collect_all(run, models)
    out.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(out.parent) as folder:
        content = folder / "content"
        content.mkdir()
        left_out = _write_all(content, run, models, evaluated, ids, onnx)
        stays = dict(_list_stays(run, models))
        notes = _list_notes(models, evaluated, content)
        export = Export(out, _list_files(content), stays, left_out, notes)
        _write_record(content, export, run.name)
        notes += _search(run, content, ids)
        notes += _unsearched(models)
        seal_folder(content)
        os.replace(content, out)  # replaces an empty folder, not one that was filled meanwhile
    return export


def _search(run: Path, content: Path, ids: SubjectIds) -> list[str]:
    """Refuse a folder with ids or paths; return what was searched by context only."""
    findings = search_folder(content, ids)
    found = {finding.value.casefold() for finding in findings if finding.kind == "id"}
    ordinary = found & own_words() if found else set()
    if ordinary:  # its texts contain these words with every corpus
        named = frozenset(name for name in ids.ids if name.casefold() in ordinary)
        findings = search_folder(content, SubjectIds(ids.ids, named))
    if findings:
        raise _refused(run, findings)
    if not ordinary:
        return []
    return [f"The ids {', '.join(sorted(ordinary))} are also words of depmm. They were searched "
            "where the context says that they are ids: after words such as subject, in paths and "
            "in values of keys such as session."]  # fmt: skip


def _unsearched(models: list[Model]) -> list[str]:
    """Name the manifests that do not exist here, whose recordings were not searched."""
    manifests = {config.data.manifest for _, config in models}
    missing = sorted(str(m) for m in manifests if not (m / "steps.parquet").is_file())
    return [f"The manifest {name} does not exist here, so that names of recordings were not "
            "searched." for name in missing]  # fmt: skip


def _find_evaluation(run: Path) -> dict[str, Any]:
    path = run / "metrics.json"
    if not path.is_file():
        raise SharingError(
            f"{run} has no evaluation, so that its card would have no results.",
            file=path,
            remedy=f"Evaluate it first: depmm evaluate {run}",
        )
    return read_json(path)


def _collect_all(run: Path, models: list[Model]) -> SubjectIds:
    ids: frozenset[str] = frozenset()
    for folder, config in [(RunFolder(run), models[0][1]), *models]:
        ids |= collect_ids(folder, config.data.manifest).ids
    return SubjectIds(ids)


def _write_all(
    folder: Path,
    run: Path,
    models: list[Model],
    evaluated: dict[str, Any],
    ids: SubjectIds,
    onnx: bool,
) -> dict[str, str]:
    """Write every file but record and checksums; return the keys left out of the metrics."""
    several = len(models) > 1
    names = []
    for model, config in models:
        names.append(model.path.name if several else ".")
        _write_model(folder / names[-1], model, config)
    config = models[0][1]
    metrics, left_out = share_metrics(evaluated, ids)
    write_text(folder / "metrics.json", json.dumps(metrics, indent=1, allow_nan=False))
    environment = read_json(models[0][0].environment)
    write_text(folder / "environment.json", json.dumps(share_environment(environment), indent=2))
    write_text(folder / LICENCES, describe_licences(config))
    # repetitions are further folds, not further trainings of a fold
    n_trained = len(evaluated["folds"]) * evaluated["bootstrap"]["n_trainings"]
    shared = SharedModels(
        n_trained=n_trained,
        base_models=[name for _, name, _, _ in list_pretrained(config) if "/" in name],
        onnx=onnx,
    )
    if onnx:
        from depmm.sharing.onnx_files import write_graphs

        for (model, model_config), name in zip(models, names, strict=True):
            write_graphs(model.path, model_config, folder / name / "onnx")
    write_model_card(folder, metrics, config, names, shared)
    return left_out


def _write_model(folder: Path, model: RunFolder, config: Experiment) -> None:
    """Write config, weights and inference facts of one model."""
    folder.mkdir(exist_ok=True)
    for name in COPIED:
        if (model.path / name).is_file():
            write_bytes(folder / name, read_bytes(model.path / name))
    text = yaml.safe_dump(share_config(config), sort_keys=False, allow_unicode=True)
    write_text(folder / "config.yaml", text)
    facts = load_inference_facts(model, config)
    write_text(folder / "inference.json", share_facts(facts).model_dump_json(indent=1) + "\n")
    if (model.path / CONFIG_FILE).is_file():
        saved = read_json(model.path / CONFIG_FILE)
        saved["encoders"] = share_encoders(saved["encoders"])
        saved.pop("_name_or_path", None)
        write_text(folder / CONFIG_FILE, json.dumps(saved, indent=2))
        DepressionModel.check_saved(folder)


def _list_files(folder: Path) -> dict[str, str]:
    new = {
        LICENCES: "licences of code, weights and pre-trained parts",
        "onnx.json": "inputs, outputs and preprocessing of the ONNX graphs",
        RECORD: "this list",
    }
    files = {}
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    for name in sorted({*names, RECORD, "SHA256SUMS"}):
        last = name.rpartition("/")[2]
        described = describe_run_file(last)
        graph = "graph of onnxruntime" if last.endswith(".onnx") else ""
        files[name] = new.get(last) or graph or (described.content if described else "")
    return files


def _list_stays(run: Path, models: list[Model]) -> Iterator[tuple[str, str]]:
    """List what of a run is not exported, or only in part, and why."""
    folders = {run, *(model.path for model, _ in models)}
    present = {path.name for folder in folders for path in folder.iterdir()}
    present -= {model.path.name for model, _ in models} | {"SHA256SUMS"}
    known = [file for file in RUN_FILES if file.reason]
    for file in known:
        matching = sorted(name for name in present if describe_run_file(name) is file)
        for name in matching:
            part = "in part, " if file.exported == "filtered" else ""
            yield name, f"{part}{file.reason}"
    for name in sorted(present):
        if describe_run_file(name) is None and not name.startswith("."):
            yield name, NOT_CHOSEN if name.startswith("seed-") else FOREIGN


def _list_notes(models: list[Model], evaluated: dict[str, Any], content: Path) -> list[str]:
    config = models[0][1]
    facts = [load_inference_facts(folder, each) for folder, each in models]
    n_validation = min(fact.calibration.validation_subjects for fact in facts)
    few = f", of {count_of(n_validation, 'subject')} only" if n_validation < MIN_SUBJECTS else ""
    notes = []
    if any(content.rglob("model.skops")) and (kept := _kept_rows(config)):
        notes.append(
            f"model.skops contains {kept}. These are data of single subjects: share it only if the "
            "measures may be shared. Models such as ridge, logistic_regression and random_forest "
            "contain none."
        )
    notes += [
        "The agreements of the corpora decide whether the weights may be shared.",
        "Weights can reveal properties of training subjects, although they contain no ids.",
        "inference.json: the calibration contains rounded probabilities of validation sessions, "
        f"without ids{few}.",
        f"metrics.json: counts of all sessions are kept; groups of fewer than {MIN_SUBJECTS} "
        "subjects are left out.",
    ]
    n_tested = evaluated["counts"].get("test", {}).get("subjects", 0)
    if n_tested < MIN_SUBJECTS:
        notes.append(
            f"metrics.json and README.md describe {n_tested} test subjects, fewer than "
            f"{MIN_SUBJECTS}: a reader who knows them can infer their labels."
        )
    for modality, source, licence, _ in list_pretrained(config):
        if not licence:
            notes.append(f"The licence of the pre-trained network of {modality} ({source}) is "
                         "not stated in the config.")  # fmt: skip
    return notes


def _kept_rows(config: Experiment) -> str:
    """Say which training data a fitted classical model consists of, if it does."""
    unit = config.classical.unit if isinstance(config, ClassicalConfig) else "session"
    return {
        "svm": f"the measures of single training {unit}s (the support vectors)",
        "gaussian_process": f"the measures and labels of all training {unit}s",
        "k_nearest": f"the measures and labels of all training {unit}s",
    }.get(config.classical.model.kind if isinstance(config, ClassicalConfig) else "", "")


def _write_record(folder: Path, export: Export, name: str) -> None:
    # names of other files, and of small groups, are for the terminal only
    stays = {name: reason for name, reason in export.stays.items() if reason != FOREIGN}
    if n_foreign := len(export.stays) - len(stays):
        stays["other files"] = f"{n_foreign} that are not files of depmm"
    left_out = dict(export.left_out)
    for key in [key for key in left_out if key.startswith("subgroups.")]:
        reason = left_out.pop(key)
        left_out[".".join(key.split(".")[:2])] = f"groups: {reason}"
    record = {
        "format_version": 1,
        "depmm": depmm.__version__,
        "run": name,
        "files": export.files,
        "stays_in_the_run": stays,
        "left_out_of_metrics": left_out,
        "notes": export.notes,
    }
    write_text(folder / RECORD, json.dumps(record, indent=1))


def _refused(run: Path, findings: list[Finding]) -> SharingError:
    listed = "; ".join(map(str, findings[:N_LISTED]))
    more = f"; {len(findings) - N_LISTED} more" if len(findings) > N_LISTED else ""
    return SharingError(
        f"{run} was not exported, because files would contain ids or paths: {listed}{more}.",
        file=run / findings[0].file,
        value=findings,
        remedy="Change the setting or text that contains it (for example the name of the run), "
        "and evaluate the run again.",
    )
