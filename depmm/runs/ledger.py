"""All runs on the same manifest, so that the number of looks at the test data is visible."""

from pathlib import Path
from typing import Any

import pandas as pd

from depmm.config import Config, Experiment, load_experiment
from depmm.errors import DepmmError
from depmm.evaluation.stats.metrics import HEADLINE
from depmm.files.checksums import read_json, read_table
from depmm.runs.folder import RunFolder
from depmm.schemas.manifest import SUBJECT_KEY


def list_runs_on_manifest(path: Path, predictions: pd.DataFrame) -> dict[str, Any] | None:
    """List the runs beside a run that were trained on the same manifest.

    Parameters
    ----------
    path : Path
        Folder of the run.
    predictions : DataFrame
        Its predictions, with the columns corpus, subject and split.

    Returns
    -------
    dict of str to object or None
        ``searched``, the folder that was searched; ``runs``, one entry per run in the order of
        their start; and ``unreadable``, the number of folders whose files cannot be read. None if
        the run does not record its manifest.

    Notes
    -----
    Runs in other folders are not found.
    """
    manifest = _read_environment(path).get("manifest_sha256")
    if manifest is None:
        return None
    tested = _tested_subjects(predictions)
    parent = path.resolve().parent
    runs, unreadable = [], 0
    for folder in sorted(candidate for candidate in parent.iterdir() if candidate.is_dir()):
        try:
            environment = _read_environment(folder)
            if environment.get("manifest_sha256") == manifest:
                is_this = folder == path.resolve()
                runs.append({"this": is_this, **_describe_run(folder, environment, tested)})
        except (DepmmError, OSError, ValueError):
            unreadable += 1
    runs.sort(key=lambda run: (run["started"] or "", run["name"]))
    return {"searched": str(path.parent), "runs": runs, "unreadable": unreadable}


def _read_environment(folder: Path) -> dict[str, Any]:
    file = RunFolder(folder).environment
    return read_json(file) if file.is_file() else {}


def _describe_run(
    folder: Path, environment: dict[str, Any], tested: pd.MultiIndex
) -> dict[str, Any]:
    run = RunFolder(folder)
    if run.combination.is_file():
        names = read_json(run.combination)["runs"]
        model, split, seeds = f"sum of logits of {' and '.join(names)}", "as these runs", []
    else:
        config = load_experiment(run.config)
        model, split, seeds = describe_model(config), _describe_split(config), [config.seed]
    report = folder / "metrics.json"
    content = read_json(report) if report.is_file() else None
    shared = None
    if run.finished:
        table = read_table(run.predictions)
        shared = len(_tested_subjects(table).intersection(tested))
        seeds = sorted(int(seed) for seed in table["seed"].unique())
    metrics = {}
    if content is not None:
        for target in content["targets"]:
            for name in HEADLINE[target]:
                metrics[name] = content["metrics"][name]["value"]
    return {
        "name": folder.name,
        "started": environment.get("started"),
        "model": model,
        "split": split,
        "seeds": seeds,
        "finished": run.finished,
        "evaluated": content is not None,
        "shared_test_subjects": shared,
        "metrics": metrics,
    }


def _describe_split(config: Experiment) -> str:
    split = config.split
    if split.kind == "k_fold":
        return f"k_fold ({split.folds} folds, seed {split.seed})"
    return split.kind


def describe_model(config: Experiment) -> str:
    """Name the modalities and the model of an experiment.

    Parameters
    ----------
    config : Config or ClassicalConfig
        The experiment.

    Returns
    -------
    str
        For example ``"dep_former, audio and face"``.
    """
    kind = config.model.fusion.kind if isinstance(config, Config) else "classical"
    return f"{kind}, {' and '.join(config.data.modalities)}"


def _tested_subjects(table: pd.DataFrame) -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(
        table.loc[table["split"] == "test", SUBJECT_KEY].astype(str)
    ).unique()
