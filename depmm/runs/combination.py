"""The folder of a combination: predictions of finished runs, added without training."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from depmm.evaluation.combination import Combination, CombinationError, combine_predictions
from depmm.files.checksums import read_bytes, write_bytes, write_table, write_text
from depmm.files.locks import locked_folder
from depmm.runs.contents import EVALUATION_SETTINGS, RunContents, naming_file, read_run
from depmm.runs.environment import describe_environment
from depmm.runs.folder import COMBINATION, RunFolder


def combine(runs: Sequence[Path | str], out: Path | str) -> Combination:
    """Combine the predictions of finished runs, and write them as the folder of a run.

    The folder has ``predictions.parquet`` (see ``combine_predictions``), ``combination.json``
    (names of the runs, counts, settings of the evaluation) and ``environment.json``, so that
    ``depmm evaluate`` and ``depmm compare`` accept it. If the runs have one manifest, reports count
    the combination among the runs on this manifest. It has no network: explanations and
    predictions of new recordings are made with the runs that were combined.

    Parameters
    ----------
    runs : sequence of Path or str
        Folders of runs or cross-validations, or tables of predictions, of the same target and
        split.
    out : Path or str
        Folder of the combination; a former combination is replaced.

    Returns
    -------
    Combination
        Predictions and counts.

    Raises
    ------
    CombinationError
        If the runs do not fit together, a run is also part of a combination that is given, or
        ``out`` contains a run.
    RunError
        If a run does not exist or is not finished.
    PredictionTableError
        If a table cannot be used.
    LockedError
        If another process writes to the folder.

    Examples
    --------
    >>> import depmm
    >>> combination = depmm.combine(["runs/demo", "other.csv"], "runs/combined")
    >>> "y_prob" in combination.predictions
    True
    """
    paths, out = [Path(path) for path in runs], Path(out)
    contents = [read_run(path) for path in paths]
    names = [run.name for run in contents]
    if len(set(names)) < len(names):
        names = [str(path) for path in paths]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise CombinationError(
            f"{repeated[0]} is given twice.", file=repeated[0], remedy="Give each run once."
        )
    _check_nested(paths, names)
    evaluation = _common_settings(dict(zip(names, contents, strict=True)))
    with naming_file(paths[0]):
        combined = combine_predictions(
            {name: run.predictions for name, run in zip(names, contents, strict=True)}
        )
    folder = RunFolder(out)
    if out.exists() and not folder.combination.is_file() and any(out.iterdir()):
        raise CombinationError(
            f"{out} exists and is not the folder of a combination.",
            file=out,
            remedy="Choose another folder.",
        )
    with locked_folder(out, "combine"):
        description = {
            "runs": names,
            "rows_missing": combined.missing,
            "clipped_probabilities": combined.clipped,
            "notes": combined.notes,
            "evaluation": evaluation,
        }
        environment = describe_environment() | _common_manifest(contents)
        write_text(folder.environment, json.dumps(environment, indent=2))
        _copy_equal(contents, folder)
        write_text(folder.combination, json.dumps(description, indent=2))
        write_table(folder.predictions, combined.predictions)
    return combined


def _common_manifest(contents: Sequence[RunContents]) -> dict[str, str]:
    """Return the entry that identifies the manifest, if the runs that have one have the same."""
    key = "manifest_sha256"
    found = {(run.environment or {}).get(key) for run in contents} - {None}
    return {key: str(found.pop())} if len(found) == 1 else {}


def _check_nested(runs: Sequence[Path], names: Sequence[str]) -> None:
    """Refuse a run that a given combination contains: it would be added twice."""
    origin = {
        name: name for name, path in zip(names, runs, strict=True) if not is_combination(path)
    }
    for name, path in zip(names, runs, strict=True):
        if not is_combination(path):
            continue
        for part in json.loads(read_bytes(path / COMBINATION))["runs"]:
            if part in origin:
                raise CombinationError(
                    f"{name} is a combination that contains {part}, which is also given"
                    f"{'' if origin[part] == part else f' in {origin[part]}'}.",
                    file=path / COMBINATION,
                    value=part,
                    remedy="Combine the single runs, each of them once.",
                )
            origin[part] = name


def _common_settings(runs: dict[str, RunContents]) -> dict[str, Any]:
    """Return the settings of the evaluation; tables of other programs have none."""
    described = {n: run for n, run in runs.items() if run.config or is_combination(run.path)}
    settings: dict[str, Any] = {}
    for setting in EVALUATION_SETTINGS:
        values = {name: getattr(run, setting) for name, run in described.items()}
        if setting == "n_bootstrap":
            settings |= {setting: max(values.values())} if values else {}
        elif len(set(values.values())) > 1:
            raise CombinationError(
                f"The runs have different values of evaluation.{setting}: {values}.",
                setting=f"evaluation.{setting}",
                value=values,
                remedy="Set the same value in all of them.",
            )
        elif values:
            settings[setting] = next(iter(values.values()))
    return settings


def is_combination(path: Path) -> bool:
    """Check whether a folder contains a combination of runs.

    Parameters
    ----------
    path : Path
        The folder.

    Returns
    -------
    bool
        Whether there is a ``combination.json``.
    """
    return (path / COMBINATION).is_file()


def _copy_equal(contents: Sequence[RunContents], folder: RunFolder) -> None:
    """Copy the audit and the properties of the sessions if they are equal in all runs."""
    for name in (folder.audit.name, folder.properties.name):
        files = [run.path / name for run in contents]
        if all(file.is_file() for file in files):
            first, *others = [read_bytes(file) for file in files]
            if all(other == first for other in others):
                write_bytes(folder.path / name, first)
