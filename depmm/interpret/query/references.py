"""What attributions are relative to, and the attribution of all steps together."""

from pathlib import Path

import pandas as pd

from depmm.config import ClassicalConfig, Config, Experiment, load_experiment
from depmm.interpret.attribution.methods import PERMUTATION, SELECTED, STEP_METHODS
from depmm.interpret.query.explained_run import MODEL_KEY, add_subject_column
from depmm.interpret.query.group_effects import UNIT, compare_columns
from depmm.interpret.query.sql import list_columns, read_table
from depmm.interpret.query.word_effects import choose_test, select_readings
from depmm.runs.folder import RunFolder
from depmm.schemas.explanations import MIN_TRAINING_SUBJECTS, SESSION_MEAN, TRAINING_WORD
from depmm.schemas.manifest import SESSION_KEY

ALL_STEPS = "all steps removed"
"""Value of ``word`` in the row of all steps."""

TO_OTHER_WORDS = "relative to the subject's other words"
TO_TRAINING = "relative to the training subjects' mean of the same word"

SHARED_BRANCHES = (
    "The branches of the modalities share the query selection of the multimodal encoder: the "
    "branch of a modality also depends on the other modality, and its logit may separate the "
    "labels although this modality carries no information. Use the Shapley values of the "
    "modalities (ask modalities)."
)


def describe_measure(run: Path, measure: str) -> str:
    """Describe a measure of the attributions with what it is relative to, for titles.

    Parameters
    ----------
    run : Path
        Folder of an explained run.
    measure : str
        Column of the attributions.

    Returns
    -------
    str
        The measure; attributions with their reference, rates of selection without.
    """
    if measure.startswith(SELECTED):
        return measure
    relative = TO_OTHER_WORDS if _is_relative(run, measure) else TO_TRAINING
    return f"{measure}, {relative}"


def list_reference_notes(run: Path, measure: str) -> list[str]:
    """List what the reader of a comparison of words must know about their reference.

    Parameters
    ----------
    run : Path
        Folder of an explained run.
    measure : str
        Column of the attributions.

    Returns
    -------
    list of str
        Sentences.
    """
    if measure.startswith(SELECTED):
        return []
    if _is_relative(run, measure):
        other = "Use depmm explain --reference training (except for permutation)."
        if isinstance(_read_config(run), ClassicalConfig):
            other = "Classical models have no other reference."
        return [
            "The attributions are relative to the subject's other words: a word without an effect "
            "differs between the labels if other words have effects of one direction, and what is "
            f"common to all words does not appear. {other}"
        ]
    notes = []
    rare = read_table(
        run,
        "attributions",
        "SELECT count(DISTINCT word) AS n FROM attributions WHERE reference <> ?",
        [TRAINING_WORD],
    )["n"].item()
    if rare:
        notes.append(
            f"{rare} {'words were' if rare > 1 else 'word was'} read by fewer than "
            f"{MIN_TRAINING_SUBJECTS} training subjects, or have a modality in fewer; in their "
            "place, or of this modality, is the mean of the same step index or of all steps of "
            "the training subjects."
        )
    if _subtracts_session_mean(run):
        notes.append(
            "The model subtracts the mean of each session's steps: it does not read what is common "
            "to all words of a subject, and a word also has an effect through this mean."
        )
    return notes


def compare_all_steps(
    run: Path, measure: str, stratify_by: str | None, permutations: int, seed: int
) -> pd.DataFrame | None:
    """Compare the attribution of all steps together between the labels.

    Parameters
    ----------
    run : Path
        Folder of an explained run.
    measure : str
        Column of the attributions; of an attribution to one modality, all steps of this modality
        are removed.
    stratify_by : str, optional
        Column of the strata; subjects are compared within a stratum only.
    permutations : int
        Permutations of the labels.
    seed : int
        Seed of permutations and bootstrap.

    Returns
    -------
    DataFrame or None
        As ``word_effects.compare_words``, one row whose ``word`` is ``ALL_STEPS``; it is one test
        of its own, so that q equals p. None if the measure has no such attribution.
    """
    table = read_all_steps(run, measure)
    if table is None:
        return None
    rows = select_readings(add_subject_column(run, table, stratify_by), ["value"], stratify_by)
    matrix = rows.pivot_table(index=UNIT, columns="word", values="value")
    test = choose_test(rows, "value")
    result = compare_columns(matrix, permutations, seed=seed, test=test)
    result.insert(1, "valence", pd.Series([None], dtype=object))
    return result


def read_all_steps(run: Path, measure: str) -> pd.DataFrame | None:
    """Read the attribution of all steps of each session that belongs to a measure of steps.

    Parameters
    ----------
    run : Path
        Folder of an explained run.
    measure : str
        Column of the attributions, for example ``occlusion`` or ``shapley``.

    Returns
    -------
    DataFrame or None
        One row per session and model with its keys, ``label``, ``word`` (``ALL_STEPS``) and
        ``value``; None if the run has no such table, or if the measure does not replace steps by
        the reference (selection and permutation).
    """
    if measure.startswith((SELECTED, PERMUTATION.name)):
        return None
    if not (run / "session_attributions.parquet").is_file():
        return None
    known = list_columns(run, "session_attributions")
    # names of modalities may contain underscores
    suffixes = [measure.removeprefix(method.name) for method in STEP_METHODS]
    of_modality = [f"all_steps{suffix}" for suffix in suffixes if suffix != measure]
    column = next((name for name in of_modality if name in known), "all_steps")
    keys = ", ".join([*SESSION_KEY, *MODEL_KEY, "label"])
    return read_table(
        run,
        "session_attributions",
        f"SELECT {keys}, '{ALL_STEPS}' AS word, \"{column}\" AS value FROM session_attributions",
    )


def shares_attention(run: Path) -> bool:
    """Find out whether the branches of the modalities use a shared query selection.

    Parameters
    ----------
    run : Path
        Folder of an explained run.

    Returns
    -------
    bool
        True if an encoder has a shared query selection in ``attention.parquet``.
    """
    if not (run / "attention.parquet").is_file():
        return False
    text = "SELECT count(shared_selected) AS n FROM attention"
    return bool(read_table(run, "attention", text)["n"].item())


def _is_relative(run: Path, measure: str) -> bool:
    """Whether steps are replaced by steps of the same session; so was every step in older runs."""
    if measure.startswith(PERMUTATION.name) or "reference" not in list_columns(run, "attributions"):
        return True
    table = read_table(run, "attributions", "SELECT DISTINCT reference FROM attributions")
    return SESSION_MEAN in set(table["reference"])


def _read_config(run: Path) -> Experiment | None:
    path = RunFolder(run).config
    return load_experiment(path) if path.is_file() else None


def _subtracts_session_mean(run: Path) -> bool:
    config = _read_config(run)
    return isinstance(config, Config) and config.model.subtract_session_mean
