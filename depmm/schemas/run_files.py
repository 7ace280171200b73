"""The files of a run: content, whether they name subjects, and whether an export contains them.

The model card, the export and the documentation take their lists from here.
"""

from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Literal


@dataclass(frozen=True)
class RunFile:
    """A file of a run, or several whose names match a pattern.

    Attributes
    ----------
    name : str
        Name relative to the folder of the run; ``*`` stands for any characters.
    content : str
        What it contains, without a full stop.
    names_subjects : {"always", "possibly", "never"}
        Whether it contains ids of subjects or sessions.
    exported : {"copied", "filtered", "no"}
        Whether an export contains it as it is, without what must stay, or not at all.
    reason : str
        Why it stays in the run, or what is left out of it; empty if it is copied.
    """

    name: str
    content: str
    names_subjects: Literal["always", "possibly", "never"]
    exported: Literal["copied", "filtered", "no"]
    reason: str = ""


_IDS = "it contains ids of subjects"
_EXPLAINED = "it contains ids of subjects, and values of single sessions"

RUN_FILES: tuple[RunFile, ...] = (
    RunFile(
        "config.yaml", "all settings, including defaults", "possibly", "filtered",
        "paths are replaced by names",
    ),
    RunFile("model.safetensors", "weights of a network", "never", "copied"),
    RunFile(
        "config.json", "architecture of a network, for `from_pretrained`", "possibly", "filtered",
        "paths of pre-trained models are replaced by names",
    ),
    RunFile("model.skops", "a fitted classical model", "never", "copied"),
    RunFile(
        "measures.csv", "inputs of a classical model, with units, mean and standard deviation",
        "never", "copied",
    ),
    RunFile(
        "inference.json",
        "what a prediction needs of the training: windows and lengths of the steps, speech, "
        "corpora, number of subjects, calibration and threshold",
        "never", "copied",
    ),
    RunFile(
        "step_reference.safetensors",
        "mean encoded steps of the training subjects, by word, which replace removed steps in "
        "attributions",
        "never", "copied",
    ),
    RunFile(
        "README.md", "the model card", "possibly", "filtered",
        "it is written again, without warnings that contain ids",
    ),
    RunFile(
        "metrics.json", "the evaluation", "possibly", "filtered",
        "ids, values of single sessions and of small groups are left out",
    ),
    RunFile(
        "environment.json", "versions, commit and command", "possibly", "filtered",
        "the command is reduced to its name, because its arguments contain paths",
    ),
    RunFile("split.csv", "the split of each subject", "always", "no", _IDS),
    RunFile(
        "predictions.parquet", "one row per session", "always", "no",
        "it contains ids, labels and predictions of subjects",
    ),
    RunFile(
        "session_properties.parquet", "properties of every session", "always", "no",
        "it contains ids and properties of subjects",
    ),
    RunFile(
        "report.html", "the report", "possibly", "no",
        "its figures show single sessions, and its tables can contain ids",
    ),
    RunFile("tables.*", "the tables of the report", "never", "no", "the card has the main table"),
    RunFile(
        "audit.json", "the audit of the manifest, with accepted findings", "possibly", "no",
        "its findings can contain ids",
    ),
    RunFile(
        "history.parquet", "losses and metrics per epoch", "never", "no",
        "it is not needed for predictions; its metrics are those of few validation subjects",
    ),
    RunFile(
        "tensorboard*", "losses and metrics per epoch", "never", "no",
        "it is not needed for predictions",
    ),
    RunFile(
        "data_summary.json",
        "how much of the recordings the model reads, and the number of sessions at each stage",
        "never", "no", "it is not needed for predictions; it counts small groups",
    ),
    RunFile(
        "corpora.json", "facts about the corpora, such as related corpora", "never", "no",
        "it is not needed for predictions",
    ),
    RunFile(
        "initialization_report.json", "which tensors were loaded from other weights", "possibly",
        "no", "it contains paths",
    ),
    RunFile(
        "tuning.csv", "candidates of the hyper-parameter tuning", "never", "no",
        "it is not needed for predictions",
    ),
    RunFile(
        "probe.json", "what `depmm probe` has measured", "possibly", "no",
        "it is not needed for predictions; it describes small groups",
    ),
    RunFile(
        "combination.json", "of `depmm combine`, whose folder has no model: the combined runs",
        "possibly", "no", "it contains paths",
    ),
    RunFile(
        "checklist_*", "a reporting checklist", "possibly", "no",
        "it quotes the report and the audit",
    ),
    RunFile("attributions.parquet", "attributions of steps", "always", "no", _EXPLAINED),
    RunFile(
        "session_attributions.parquet", "attributions of sessions", "always", "no", _EXPLAINED
    ),
    RunFile("attention.parquet", "attention of steps", "always", "no", _EXPLAINED),
    RunFile("branches.parquet", "weights of branches", "always", "no", _EXPLAINED),
    RunFile("modalities.parquet", "attributions of modalities", "always", "no", _EXPLAINED),
    RunFile("faithfulness.parquet", "tests of attributions", "always", "no", _EXPLAINED),
    RunFile("region_*.parquet", "attributions of face regions", "always", "no", _EXPLAINED),
    RunFile("measure_*.parquet", "weights of measures", "possibly", "no", _EXPLAINED),
    RunFile("explorer.html", "page of the explanations", "always", "no", _EXPLAINED),
    RunFile("checkpoints*", "state of the training", "never", "no", "it resumes a training"),
    RunFile(
        "SHA256SUMS", "checksums of the files that depmm reads", "never", "filtered",
        "it is written again",
    ),
)  # fmt: skip


def describe_run_file(name: str) -> RunFile | None:
    """Find the description of a file of a run.

    Parameters
    ----------
    name : str
        Name of a file or folder directly in the folder of a run, or of a fold.

    Returns
    -------
    RunFile or None
        None if depmm writes no such file into a run.
    """
    return next((file for file in RUN_FILES if fnmatch(name, file.name)), None)


def list_names(names_subjects: Literal["always", "possibly"]) -> list[str]:
    """List the files that name subjects.

    Parameters
    ----------
    names_subjects : {"always", "possibly"}
        Whether they always do.

    Returns
    -------
    list of str
        Names of files.
    """
    return [file.name for file in RUN_FILES if file.names_subjects == names_subjects]
