"""Tables of attention, attributions and their faithfulness for the sessions of a model.

Sessions are read in batches and encoded once; memory does not grow with their number.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor

from depmm.data.batch import evaluation_batches
from depmm.data.experiment_data import ExperimentData
from depmm.errors import did_you_mean
from depmm.evaluation.batch_prediction import session_seed
from depmm.interpret.attribution.attention import AttentionRecord, record_attention
from depmm.interpret.attribution.faithfulness import compute_curve_areas, compute_removal_curves
from depmm.interpret.attribution.integrated_gradients import compute_integrated_gradients
from depmm.interpret.attribution.methods import (
    GRAD_CAM,
    INTEGRATED_GRADIENTS,
    OCCLUSION,
    PERMUTATION,
    REGION_OCCLUSION,
    REQUESTABLE,
    SELECTED,
    SHAPLEY,
    SIGNAL_METHODS,
    TRAINING,
)
from depmm.interpret.attribution.occlusion import occlude_steps, remove_all_steps
from depmm.interpret.attribution.permutation import permute_steps
from depmm.interpret.attribution.region_occlusion import occlude_regions
from depmm.interpret.attribution.regions import attribute_regions
from depmm.interpret.attribution.removal import (
    Reference,
    find_present_steps,
    make_session_reference,
)
from depmm.interpret.attribution.row_annotator import RowAnnotator
from depmm.interpret.attribution.shapley import compute_modality_shapley, compute_step_shapley
from depmm.interpret.errors import ExplanationError
from depmm.models.fusion.dep_former.dep_former import DepFormer
from depmm.models.fusion.dep_former.release import DepFormerRelease
from depmm.models.model import DepressionModel
from depmm.progress import track
from depmm.runs.step_reference import StepReference

BATCH_SIZE = 8  # sessions; it has no effect on the tables

Encoded = dict[str, Tensor]  # modality -> features or mask
Compute = Callable[[DepressionModel, Encoded, Encoded, Reference, Sequence[int]], pd.DataFrame]
# the last argument is one seed per session, for methods that sample
COMPUTE: dict[str, Compute] = {
    PERMUTATION.name: lambda model, features, masks, reference, seeds: permute_steps(
        model, features, masks, seeds
    ),
    INTEGRATED_GRADIENTS.name: lambda model, features, masks, reference, seeds: (
        compute_integrated_gradients(model, features, masks, reference)
    ),
    SHAPLEY.name: compute_step_shapley,
}


def explain_sessions(
    model: DepressionModel,
    data: ExperimentData,
    steps: pd.DataFrame,
    split: str,
    fold: int,
    seed: int,
    methods: Sequence[str] = (),
    step_reference: StepReference | None = None,
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
    step_reference : StepReference, optional
        Mean steps of the training subjects, which replace removed steps; default: the mean of the
        session.

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
    for name in methods:
        check_choice("method", name, REQUESTABLE)
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
    n_batches = -(-len(indices) // BATCH_SIZE)
    batches = evaluation_batches(data.dataset, indices, BATCH_SIZE, device)
    for index, inputs in track(batches, f"explain fold {fold}", "batches", n_batches):
        with torch.no_grad():
            features, masks = model.encode(inputs)
        if step_reference is None:
            reference = make_session_reference(features, masks)
        else:
            words, length = annotator.list_words(index.numpy()), find_present_steps(masks).shape[1]
            reference = Reference(TRAINING, *step_reference.look_up(words, length, masks))
        record = record_attention(model, features, masks)
        seeds = [session_seed(data.dataset.session_keys[row]) for row in index.tolist()]
        batch = _Batch(model, features, masks, reference, seeds)
        step_table = _attribute_steps(batch, record, step_methods)
        tables = {
            "attributions": step_table,
            "session_attributions": remove_all_steps(model, features, masks, reference),
            "modalities": compute_modality_shapley(model, features, masks),
            "branches": record.branches,
            "attention": record.attention,
            "faithfulness": _measure_faithfulness(batch, step_table, step_methods),
        }
        if set(SIGNAL_METHODS) & set(methods):
            points = [data.dataset.landmarks(row) for row in index.tolist()]
            if GRAD_CAM in methods:
                tables["region_attributions"] = attribute_regions(model, inputs, points)
            if REGION_OCCLUSION in methods:
                tables[REGION_OCCLUSION] = occlude_regions(model, features, masks, inputs, points)
        yield {
            name: annotator.annotate(table, index.numpy())
            for name, table in tables.items()
            if table is not None
        }


def check_choice(setting: str, value: str, known: Sequence[str]) -> None:
    """Check an option of an explanation.

    Parameters
    ----------
    setting : str
        Name of the option.
    value : str
        Its value.
    known : sequence of str
        Values that it can have.

    Raises
    ------
    ExplanationError
        If the value is unknown.
    """
    if value not in known:
        raise ExplanationError(
            f"{setting} {value!r} is unknown.",
            setting=setting,
            value=value,
            remedy=did_you_mean(value, known),
        )


class _Batch(NamedTuple):
    """Encoded sessions and what replaces their steps, in the order of arguments of ``Compute``."""

    model: DepressionModel
    features: Encoded
    masks: Encoded
    reference: Reference
    seeds: Sequence[int]


def _attribute_steps(
    batch: _Batch, record: AttentionRecord, methods: Sequence[str]
) -> pd.DataFrame:
    """Build one row per present step; each method adds its columns."""
    model, features, masks, reference, _ = batch
    row, step = find_present_steps(masks).cpu().nonzero(as_tuple=True)
    column = "y_prob" if model.config.target == "binary" else "score_pred"
    prediction = model.head.predict(record.logits).detach().double().cpu()
    table = pd.DataFrame({"row": row, column: prediction[row], "step": step.int()})
    table["reference"] = reference.kinds[row, step]
    occlusion = occlude_steps(model, features, masks, reference)
    table = table.merge(occlusion, on=["row", "step"], how="left")
    if record.attention is not None and isinstance(model.fusion, DepFormer | DepFormerRelease):
        selected = _compute_selection_rates(record.attention, model.fusion.encoder_order)
        table = table.merge(selected, on=["row", "step"], how="left")
    for method in methods:
        values = COMPUTE[method](*batch)
        table = table.merge(values, on=["row", "step"], how="left")
    return table


def _measure_faithfulness(
    batch: _Batch, steps: pd.DataFrame, methods: Sequence[str]
) -> pd.DataFrame | None:
    """Compute the areas of the removal curves; None without a method to compare with."""
    if not methods:
        return None
    unsigned = [SELECTED] if SELECTED in steps else []
    values = steps[["row", "step", OCCLUSION.name, *unsigned, *methods]]
    model, features, masks, reference, seeds = batch
    curves = compute_removal_curves(
        model, features, masks, reference, values, seeds, unsigned=unsigned
    )
    return compute_curve_areas(curves) if len(curves) else None


def _compute_selection_rates(attention: pd.DataFrame, encoders: list[str]) -> pd.DataFrame:
    """Compute the share of the heads of each encoder's first layer that select a step.

    Later layers are left out, because max-pooling merges steps before them.
    """
    first = attention[(attention["block"] == 0) & (attention["layer"] == 0)]
    rate = first.pivot_table(index=["row", "step"], columns="encoder", values="selected")
    rate = rate.reindex(columns=encoders)
    main = rate["multimodal"] if "multimodal" in encoders else rate.mean(axis=1)
    return rate.add_prefix(f"{SELECTED}_").assign(**{SELECTED: main}).reset_index()
