"""Explain a trained run: tables of attention, attributions and their faithfulness.

Sessions are read in batches and encoded once; memory does not grow with their number.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from depmm.config import MODALITIES, SplitConfig, load_config
from depmm.corpora.manifest import read_manifest
from depmm.data.batch import evaluation_batches
from depmm.data.experiment_data import ExperimentData, load_experiment_data
from depmm.data.precompute import ensure_embeddings
from depmm.device import choose_device, float32_precision
from depmm.errors import did_you_mean
from depmm.evaluation.batch_prediction import session_seed
from depmm.files.locks import locked_folder
from depmm.interpret.attribution.attention import AttentionRecord, record_attention
from depmm.interpret.attribution.faithfulness import compute_curve_areas, compute_removal_curves
from depmm.interpret.attribution.integrated_gradients import compute_integrated_gradients
from depmm.interpret.attribution.methods import (
    GRAD_CAM,
    INTEGRATED_GRADIENTS,
    OCCLUSION,
    PERMUTATION,
    REQUESTABLE,
    SELECTED,
    SHAPLEY,
)
from depmm.interpret.attribution.occlusion import occlude_steps
from depmm.interpret.attribution.parquet_stream import ParquetStream
from depmm.interpret.attribution.permutation import permute_steps
from depmm.interpret.attribution.regions import Landmarks, attribute_regions
from depmm.interpret.attribution.removal import find_present_steps
from depmm.interpret.attribution.shapley import compute_modality_shapley, compute_step_shapley
from depmm.interpret.errors import ExplanationError
from depmm.models.fusion.dep_former.dep_former import DepFormer
from depmm.models.fusion.dep_former.release import DepFormerRelease
from depmm.models.model import DepressionModel
from depmm.runs.folder import RunFolder, find_model_folders
from depmm.schemas.explanations import EXPLANATIONS
from depmm.schemas.manifest import SESSION_KEY

BATCH_SIZE = 8  # sessions; it has no effect on the tables

Encoded = dict[str, Tensor]  # modality -> features or mask
Compute = Callable[[DepressionModel, Encoded, Encoded, Sequence[int]], pd.DataFrame]
# the last argument is one seed per session, for methods that sample
COMPUTE: dict[str, Compute] = {
    PERMUTATION.name: permute_steps,
    INTEGRATED_GRADIENTS.name: lambda model, features, masks, seeds: compute_integrated_gradients(
        model, features, masks
    ),
    SHAPLEY.name: compute_step_shapley,
}


@dataclass(frozen=True)
class ExplainReport:
    """Summary of the files that ``explain`` wrote.

    Attributes
    ----------
    folder : Path
        Folder of the run, which contains the tables.
    rows : dict of str to int
        Number of rows of each table that was written, by the name of the table.
    absent : dict of str to str
        Reason why each of the other tables was not written.
    page : Path or None
        The explorer, if it was requested.
    """

    folder: Path
    rows: dict[str, int]
    absent: dict[str, str]
    page: Path | None = None


def explain(
    run: Path | str, split: str = "test", methods: Sequence[str] = (), html: bool = False
) -> ExplainReport:
    """Explain the predictions of a run for the sessions of one split.

    All models of a cross-validation are explained, each for the split of its fold, on the device
    that ``depmm.device.choose_device`` chooses. Tables of an earlier explanation are
    replaced.

    Parameters
    ----------
    run : Path or str
        Folder of a trained run.
    split : {"test", "train", "validation"}, default "test"
        Split of the sessions.
    methods : sequence of str, optional
        Methods in addition to occlusion: ``permutation``, ``integrated_gradients`` and
        ``shapley`` attribute to steps, ``grad_cam`` to regions of the face and the voice.
    html : bool, default False
        Whether to write ``explorer.html`` as well. It contains subject ids.

    Returns
    -------
    ExplainReport
        The tables that were written into the folder of the run; ``depmm.schemas.explanations``
        describes their columns.

    Raises
    ------
    ExplanationError
        If a method is unknown, the split has no session, or no encoder allows Grad-CAM.
    RunError
        If the folder holds no finished run.
    LockedError
        If another process explains the run.

    Examples
    --------
    >>> import depmm
    >>> report = depmm.explain("runs/demo")
    >>> "attributions" in report.rows
    True
    """
    run, device = Path(run), choose_device()
    folders = find_model_folders(run)
    with locked_folder(run, "explain"):
        return _explain(run, folders, split, methods, html, device)


def _explain(
    run: Path,
    folders: Sequence[RunFolder],
    split: str,
    methods: Sequence[str],
    html: bool,
    device: torch.device,
) -> ExplainReport:
    with ParquetStream(run, list(EXPLANATIONS.values())) as stream:
        for folder in folders:
            config = load_config(folder.config)
            # the split of the training, even if the manifest has changed since
            trained_split = SplitConfig(kind="file", file=folder.split)
            data = load_experiment_data(config.model_copy(update={"split": trained_split}))
            steps = read_manifest(config.data.manifest).steps
            model = DepressionModel.from_pretrained(folder.path).to(device)
            with float32_precision("highest", device):
                if GRAD_CAM not in methods:  # Grad-CAM needs signals, not embeddings
                    data = ensure_embeddings(model.encoders, data, device)
                for tables in explain_sessions(
                    model, data, steps, split, config.split.fold, config.seed, methods
                ):
                    stream.write(tables)
    fusion = config.model.fusion.kind
    absent = {
        name: _absence_reason(name, fusion) for name in EXPLANATIONS if name not in stream.rows
    }
    page = None
    if html:
        from depmm.interpret.query.explorer import write_explorer

        page = write_explorer(run)
    return ExplainReport(run, stream.rows, absent, page)


def _absence_reason(table: str, fusion: str) -> str:
    match table:
        case "faithfulness":
            return "it compares methods of steps; request one with --method, for example shapley"
        case "region_attributions":
            return f"request it with --method {GRAD_CAM}"
        case _:
            return f"the fusion {fusion} has no attention and no branches"


def explain_sessions(
    model: DepressionModel,
    data: ExperimentData,
    steps: pd.DataFrame,
    split: str,
    fold: int,
    seed: int,
    methods: Sequence[str] = (),
) -> Iterator[dict[str, pd.DataFrame]]:
    """Explain the sessions of one split, batch by batch.

    Parameters
    ----------
    model : DepressionModel
        A trained model.
    data : ExperimentData
        Data and split of its training.
    steps : DataFrame
        Steps of the manifest, for words and valence.
    split : {"train", "validation", "test"}
        Split of the sessions.
    fold : int
        Fold of the model, for the tables.
    seed : int
        Seed of the model, for the tables.
    methods : sequence of str, optional
        As in ``explain``. With any method of steps, ``faithfulness`` compares all attributions of
        steps.

    Yields
    ------
    dict of str to DataFrame
        Tables of a batch by name, with the columns of ``depmm.schemas.explanations``. Tables that
        do not apply to the model or the methods are left out.

    Raises
    ------
    ExplanationError
        If a method is unknown, the split has no session, or no encoder allows Grad-CAM.
    """
    if unknown := [name for name in methods if name not in REQUESTABLE]:
        raise ExplanationError(
            f"method {unknown[0]!r} is unknown.",
            setting="method",
            value=unknown[0],
            remedy=did_you_mean(unknown[0], REQUESTABLE),
        )
    step_methods = [name for name in methods if name in COMPUTE]
    indices = data.indices(split)
    if not indices:
        raise ExplanationError(
            f"split {split!r} has no session. Choose train, validation or test.",
            setting="split",
            value=split,
        )
    binary = model.config.target == "binary"
    annotator = RowAnnotator(data.sessions, steps, fold, seed, binary=binary)
    model.eval()
    device = next(model.parameters()).device
    for index, inputs in evaluation_batches(data.dataset, indices, BATCH_SIZE, device):
        with torch.no_grad():
            features, masks = model.encode(**inputs)
        record = record_attention(model, features, masks)
        seeds = [session_seed(data.dataset.session_keys[row]) for row in index.tolist()]
        step_table = _attribute_steps(model, features, masks, record, step_methods, seeds)
        tables = {
            "attention": record.attention,
            "attributions": step_table,
            "branches": record.branches,
            "modalities": compute_modality_shapley(model, features, masks),
            "faithfulness": _measure_faithfulness(
                model, features, masks, step_table, step_methods, seeds
            ),
            "region_attributions": None,
        }
        if GRAD_CAM in methods:
            landmarks = [_read_landmarks(data, row) for row in index.tolist()]
            tables["region_attributions"] = attribute_regions(model, inputs, landmarks)
        yield {
            name: annotator.annotate(table, index.numpy())
            for name, table in tables.items()
            if table is not None
        }


class RowAnnotator:
    """Add session keys, labels and words to the rows of a batch.

    Parameters
    ----------
    sessions : DataFrame
        Sessions of an ``ExperimentData``, one row per index of its data set.
    steps : DataFrame
        Steps of the manifest, with the indices 0, 1, 2, ... in each session.
    fold : int
        Fold of the model.
    seed : int
        Seed of the model.
    binary : bool
        Whether the targets are labels, 0 or 1.
    """

    def __init__(
        self, sessions: pd.DataFrame, steps: pd.DataFrame, fold: int, seed: int, binary: bool
    ) -> None:
        label = sessions["target"] if binary else pd.Series(pd.NA, sessions.index)
        self.sessions = sessions[[*SESSION_KEY, "split"]].assign(
            fold=np.int32(fold), seed=np.int32(seed), label=label.astype("Int8")
        )
        keys = sessions[SESSION_KEY].assign(index=np.arange(len(sessions)))
        ordered = keys.merge(steps[[*SESSION_KEY, "step", "text", "valence"]], on=SESSION_KEY)
        ordered = ordered.sort_values(["index", "step"], ignore_index=True)
        self.first_step = np.searchsorted(ordered["index"], keys["index"])
        self.words = ordered[["text", "valence"]].rename(columns={"text": "word"})

    def annotate(self, table: pd.DataFrame, indices: NDArray[np.int64]) -> pd.DataFrame:
        """Replace the row of the batch by the keys of its session.

        Parameters
        ----------
        table : DataFrame
            Columns ``row`` (of the batch), optionally ``step``, and others.
        indices : ndarray of int, shape (B,)
            Index in the data set of each session of the batch.

        Returns
        -------
        DataFrame
            The table with the keys, ``split``, ``fold``, ``seed`` and ``label`` in place of
            ``row``, and ``word`` and ``valence`` after ``step``.
        """
        index = indices[table["row"]]
        parts = [self.sessions.take(index)]
        columns = table.drop(columns="row")
        if "step" in table:
            after = list(columns).index("step") + 1
            words = self.words.take(self.first_step[index] + table["step"])
            parts += [columns.iloc[:, :after], words, columns.iloc[:, after:]]
        else:
            parts.append(columns)
        return pd.concat([part.reset_index(drop=True) for part in parts], axis=1)


def _attribute_steps(
    model: DepressionModel,
    features: Encoded,
    masks: Encoded,
    record: AttentionRecord,
    methods: Sequence[str],
    seeds: Sequence[int],
) -> pd.DataFrame:
    """Build one row per present step; each method adds its columns."""
    row, step = find_present_steps(masks).cpu().nonzero(as_tuple=True)
    column = "y_prob" if model.config.target == "binary" else "score_pred"
    prediction = model.head.predict(record.logits).double().cpu()
    table = pd.DataFrame({"row": row, column: prediction[row], "step": step.int()})
    table = table.merge(occlude_steps(model, features, masks), on=["row", "step"], how="left")
    for name in MODALITIES:
        if name not in masks:
            table[f"{OCCLUSION.name}_{name}"] = np.nan
    if record.attention is not None:
        assert isinstance(model.fusion, DepFormer | DepFormerRelease)
        selected = _compute_selection_rates(record.attention, model.fusion.encoder_order)
        table = table.merge(selected, on=["row", "step"], how="left")
    for method in methods:
        values = COMPUTE[method](model, features, masks, seeds)
        table = table.merge(values, on=["row", "step"], how="left")
    return table


def _measure_faithfulness(
    model: DepressionModel,
    features: Encoded,
    masks: Encoded,
    steps: pd.DataFrame,
    methods: Sequence[str],
    seeds: Sequence[int],
) -> pd.DataFrame | None:
    """Compute the areas of the removal curves; None without a method to compare with."""
    if not methods:
        return None
    unsigned = [SELECTED] if SELECTED in steps else []
    values = steps[["row", "step", OCCLUSION.name, *unsigned, *methods]]
    curves = compute_removal_curves(model, features, masks, values, seeds, unsigned=unsigned)
    return compute_curve_areas(curves) if len(curves) else None


def _read_landmarks(data: ExperimentData, index: int) -> Landmarks | None:
    """Read the landmarks of a session's crops; None if they are unknown or not needed."""
    if "face" not in data.dataset.settings.modalities:
        return None
    return data.dataset.landmarks(index)


def _compute_selection_rates(attention: pd.DataFrame, encoders: list[str]) -> pd.DataFrame:
    """Compute the share of the heads of each encoder's first layer that select a step.

    Later layers are left out, because max-pooling merges steps before them.
    """
    first = attention[(attention["block"] == 0) & (attention["layer"] == 0)]
    rate = first.pivot_table(index=["row", "step"], columns="encoder", values="selected")
    rate = rate.reindex(columns=encoders)
    main = rate[encoders[0]]  # the multimodal encoder, if there are several
    return rate.add_prefix(f"{SELECTED}_").assign(**{SELECTED: main}).reset_index()
