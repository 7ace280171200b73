"""Explain classical models: weights and permutation importance of measures, occlusion of steps.

Permutation importance is measured on the explained sessions with the fitted model. The measures of
a group are permuted together, because correlated measures replace each other: permuting one of them
alone would understate what the group carries.

References
----------
Breiman, "Random forests", Machine Learning 45, 2001, section 10.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from depmm.config import ClassicalConfig, SplitConfig, load_experiment
from depmm.corpora.manifest import read_manifest
from depmm.data.experiment_data import ExperimentData, load_experiment_data
from depmm.data.measured_steps import ClassicalInputs, InputColumn, MeasuredSteps
from depmm.evaluation.stats.binary_metrics import auroc
from depmm.evaluation.stats.severity_metrics import rmse
from depmm.evaluation.stats.weighted_sums import unit_weights
from depmm.interpret.attribution.measure_occlusion import occlude_measured_steps
from depmm.interpret.attribution.parquet_stream import ParquetStream
from depmm.interpret.attribution.row_annotator import RowAnnotator
from depmm.interpret.attribution.tested_labels import warn_of_lost_sessions, with_tested_labels
from depmm.interpret.errors import ExplanationError
from depmm.models.classical.model import ClassicalModel, build_front_end
from depmm.models.classical.saved import load_model
from depmm.runs.folder import RunFolder
from depmm.runs.moved import check_manifest
from depmm.schemas.explanations import (
    EXPLANATIONS,
    MEASURE_IMPORTANCE,
    MEASURE_WEIGHTS,
    SESSION_MEAN,
)

N_PERMUTATIONS = 20  # per group; the standard deviation over them is in the table


def explain_classical(
    run: Path, folders: Sequence[RunFolder], split: str, overrides: Sequence[str] = ()
) -> dict[str, int]:
    """Write the tables of the explanation of classical models.

    Parameters
    ----------
    run : Path
        Folder of a run or of a cross-validation.
    folders : sequence of RunFolder
        Folders of its models.
    split : {"train", "validation", "test"}
        Split of the explained sessions.
    overrides : sequence of str, optional
        Where the data of a moved run are, as ``key=value``.

    Returns
    -------
    dict of str to int
        Number of rows of each table.

    Raises
    ------
    ExplanationError
        If the split has no session.
    """
    changed = check_manifest(folders[0], overrides)
    with ParquetStream(run, list(EXPLANATIONS.values())) as stream:
        for folder in folders:
            config = load_experiment(folder.config, overrides)
            assert isinstance(config, ClassicalConfig)
            # the split of the training, even if the manifest has changed since
            trained_split = SplitConfig(kind="file", file=folder.split)
            data = load_experiment_data(config.model_copy(update={"split": trained_split}))
            warn_of_lost_sessions(data, folder, [split])
            if changed and config.target.kind == "binary":
                data = with_tested_labels(data, folder)
            steps = read_manifest(config.data.manifest).steps
            model = load_model(folder.classical_model)
            for tables in explain_fold(config, model, data, steps, split):
                stream.write(tables)
    return stream.rows


def refuse_options(run: Path, methods: Sequence[str], html: bool) -> None:
    """Refuse the options of ``depmm explain`` that are for networks.

    Parameters
    ----------
    run : Path
        Folder of a run of a classical model.
    methods : sequence of str
        Requested methods.
    html : bool
        Whether the explorer is requested.

    Raises
    ------
    ExplanationError
        If there is a method or ``html``.
    """
    if not methods and not html:
        return
    what, option = "the explorer", "--html"
    if methods:
        what, option = f"the method {methods[0]}", "--method"
    raise ExplanationError(
        f"{run}: {what} is for networks, and this is a classical model.",
        setting="methods" if methods else "html",
        value=methods[0] if methods else html,
        remedy=f"Leave {option} out: weights and permutation importance of measures and the "
        "occlusion of steps are always computed.",
    )


def explain_fold(
    config: ClassicalConfig,
    model: ClassicalModel,
    data: ExperimentData,
    steps: pd.DataFrame,
    split: str,
) -> Iterator[dict[str, pd.DataFrame]]:
    """Explain one model.

    Parameters
    ----------
    config : ClassicalConfig
        Config of the model, one fold.
    model : ClassicalModel
        The model.
    data : ExperimentData
        Sessions with the split of the training.
    steps : DataFrame
        Steps of the manifest, for words and valence.
    split : {"train", "validation", "test"}
        Split of the explained sessions.

    Yields
    ------
    dict of str to DataFrame
        Tables by name, with the columns of ``depmm.schemas.explanations``.

    Raises
    ------
    ExplanationError
        If the split has no session.
    """
    indices = data.indices(split)
    if not indices:
        raise ExplanationError(
            f"split {split!r} has no session. Choose train, validation or test.",
            setting="split",
            value=split,
        )
    measured = MeasuredSteps(data.dataset, config.classical, build_front_end(config.classical))
    inputs = measured.inputs()
    fold, seed = config.split.fold, config.seed
    model_key = {"fold": fold, "seed": seed}
    columns = inputs.columns
    weights = [{**row, **model_key} for row in list_weights(model, columns)]
    if weights:
        yield {"measure_weights": MEASURE_WEIGHTS.build(weights)}
    target = data.sessions["target"].to_numpy(float)
    importance = measure_importance(model, inputs, indices, target)
    yield {
        "measure_importance": MEASURE_IMPORTANCE.build(
            [{**row, **model_key, "split": split} for row in importance]
        )
    }
    annotator = RowAnnotator(data.sessions, steps, fold, seed, binary=model.binary)
    rows = measured.rows[measured.measured()]
    outputs = model.predict(inputs.measures, inputs.session)
    predictions = pd.Series(model.to_prediction(outputs), np.unique(inputs.session))
    for index in indices:
        steps_read = rows[rows[:, 0] == index, 1]
        table = pd.DataFrame({"row": 0, "step": steps_read.astype(np.int32)})
        column = "y_prob" if model.binary else "score_pred"
        table.insert(1, column, float(predictions[index]))
        table["reference"] = SESSION_MEAN
        table["occlusion"] = occlude_measured_steps(model, measured, index)
        for modality in columns:
            table[f"occlusion_{modality}"] = occlude_measured_steps(
                model, measured, index, [modality]
            )
        yield {"attributions": annotator.annotate(table, np.array([index]))}


def list_weights(
    model: ClassicalModel, columns: dict[str, list[InputColumn]]
) -> list[dict[str, object]]:
    """List the weights of a linear model.

    Parameters
    ----------
    model : ClassicalModel
        The fitted model.
    columns : dict of str to list of InputColumn
        Its inputs by modality.

    Returns
    -------
    list of dict
        The columns of ``MEASURE_WEIGHTS`` without fold and seed; empty if the model is not linear.
    """
    by_name = {
        (modality, column.name): column for modality, names in columns.items() for column in names
    }
    rows: list[dict[str, object]] = []
    for name, weights in model.weights().items():
        for (modality, input_name), weight in zip(
            model.pipeline_columns(name), weights, strict=True
        ):
            column = by_name[modality, input_name]
            rows.append(
                {
                    "modality": modality,
                    "set": column.set_name,
                    "group": column.measure.group,
                    "input": input_name,
                    "statistic": column.statistic,
                    "weight": float(weight) / len(model.pipelines),
                }
            )
    return rows


def measure_importance(
    model: ClassicalModel, inputs: ClassicalInputs, indices: Sequence[int], target: np.ndarray
) -> list[dict[str, object]]:
    """Measure how much a metric gets worse if the measures of a group are permuted.

    Parameters
    ----------
    model : ClassicalModel
        The fitted model.
    inputs : ClassicalInputs
        Rows of all sessions.
    indices : sequence of int
        Explained sessions.
    target : ndarray of float64, shape (N,)
        Class or score of every session of the dataset.

    Returns
    -------
    list of dict
        The columns of ``MEASURE_IMPORTANCE`` without fold, seed and split: one row per group of
        measures, and one per modality.
    """
    used = np.isin(inputs.session, indices)
    values = {name: table[used] for name, table in inputs.measures.items()}
    session = inputs.session[used]
    measured = target[np.unique(session)]

    def score(changed: dict[str, np.ndarray]) -> float:
        prediction = model.to_prediction(model.predict(changed, session))
        metric = auroc if model.binary else rmse
        return float(metric(measured, prediction, unit_weights(len(measured)))[0])

    whole = score(values)
    sign = 1 if model.binary else -1
    rng = np.random.default_rng(0)
    rows: list[dict[str, object]] = []
    for modality, columns in inputs.columns.items():
        groups = list(dict.fromkeys((c.set_name, c.measure.group) for c in columns))
        for set_name, group in [*groups, (None, None)]:
            permuted = [
                group is None or (c.set_name, c.measure.group) == (set_name, group) for c in columns
            ]
            drops = []
            for _ in range(N_PERMUTATIONS):
                table = values[modality].copy()
                order = rng.permutation(len(table))
                table[:, permuted] = table[order][:, permuted]
                drops.append(sign * (whole - score({**values, modality: table})))
            rows.append(
                {
                    "modality": modality,
                    "set": set_name,
                    "group": group,
                    "inputs": int(np.sum(permuted)),
                    "metric": "auroc" if model.binary else "rmse",
                    "value": whole,
                    "importance": float(np.mean(drops)),
                    "importance_std": float(np.std(drops)),
                }
            )
    return rows
