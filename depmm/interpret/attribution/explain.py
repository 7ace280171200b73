"""A trained model over its sessions -> tables of what it attends to and what moves it.

Sessions pass by in batches, each encoded once; what is held in memory does not grow with them.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from depmm.config import MODALITIES
from depmm.corpora.manifest import SESSION_KEY
from depmm.data.batch import evaluation_batches
from depmm.data.experiment_data import ExperimentData
from depmm.errors import did_you_mean
from depmm.evaluation.batch_prediction import session_seed
from depmm.interpret.attribution.attention import Recording, record
from depmm.interpret.attribution.faithfulness import curve_areas, removal_curves
from depmm.interpret.attribution.integrated_gradients import integrated_gradients
from depmm.interpret.attribution.occlusion import occlude_steps
from depmm.interpret.attribution.permutation import permute_steps
from depmm.interpret.attribution.regions import Landmarks, attribute_regions
from depmm.interpret.attribution.removal import present_steps
from depmm.interpret.attribution.shapley import shapley_modalities, shapley_steps
from depmm.models.fusion.dep_former.dep_former import DepFormer
from depmm.models.model import DepressionModel

BATCH_SIZE = 8  # sessions; it changes no value
TABLES = (
    "attention",
    "attributions",
    "branches",
    "modalities",
    "faithfulness",
    "region_attributions",
)

REGION_METHOD = "grad_cam"  # requested like a method, but it explains regions, not steps

ATTENTION = "selected"  # among explanations of steps; it has no direction

Encoded = dict[str, Tensor]  # modality -> features or mask
Method = Callable[[DepressionModel, Encoded, Encoded, Sequence[int]], pd.DataFrame]
# beside occlusion, where asked for; the last argument seeds what is sampled, session by session
METHODS: dict[str, Method] = {
    "permutation": permute_steps,
    "integrated_gradients": lambda model, x, masks, seeds: integrated_gradients(model, x, masks),
    "shapley": shapley_steps,
}


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

    Every table begins with corpus, subject, session, split, ``fold``, ``seed`` and ``group``, the
    session's class (null for scores); where there is a ``step``, its ``word`` and ``valence`` stand
    behind it.

    Parameters
    ----------
    model : a trained model
    data : what it was trained on, with its own split
    steps : of the manifest, for words and valence
    split : train, validation or test
    fold, seed : of the run, for the tables
    methods : names of ``METHODS``, for further columns of ``attributions``; with any, all
        explanations of steps are compared (``faithfulness``); ``grad_cam`` for regions

    Yields
    ------
    for a batch, by name (those of ``TABLES`` that the model has anything for):
    ``attention`` and ``branches`` as in ``Recording``;
    ``attributions``, one row a step: ``y_prob`` (or ``score_pred``), ``step``, ``occlusion`` and
    ``occlusion_<modality>`` as in ``occlude_steps``, and with sparse attention ``selected`` (share
    of the heads of the multimodal encoder's first layer, or of the only one's, whose own index
    selects it) and ``selected_<encoder>``;
    ``modalities``, one row a ``modality`` that a session has, and its ``shapley`` value;
    ``faithfulness``, one row a ``method`` (occlusion, selected, those asked for, random) and
    ``order``, with the areas of ``curve_areas``;
    ``region_attributions``, one row a step, ``modality`` and ``region``

    Raises
    ------
    ValueError : the split has no session, an unknown method, or no encoder for ``grad_cam``
    """
    known = [*METHODS, REGION_METHOD]
    if unknown := [name for name in methods if name not in known]:
        raise ValueError(f"method {unknown[0]!r} is unknown. {did_you_mean(unknown[0], known)}")
    of_steps = [name for name in methods if name in METHODS]
    numbers = data.indices(split)
    if not numbers:
        raise ValueError(f"no session is in split {split!r}: choose train, validation or test")
    names = RowNames(data.sessions, steps, fold, seed, binary=model.config.target == "binary")
    model.eval()
    device = next(model.parameters()).device
    for number, inputs in evaluation_batches(data.dataset, numbers, BATCH_SIZE, device):
        with torch.no_grad():
            features, masks = model.encode(**inputs)
        recording = record(model, features, masks)
        seeds = [session_seed(data.dataset.session_keys[row]) for row in number.tolist()]
        steps_table = _step_table(model, features, masks, recording)
        for method in of_steps:
            found = METHODS[method](model, features, masks, seeds)
            found = found.rename(columns={"gap": f"{method}_gap"})
            steps_table = steps_table.merge(found, on=["row", "step"], how="left")
        tables = {
            "attention": recording.attention,
            "attributions": steps_table,
            "branches": recording.branches,
            "modalities": shapley_modalities(model, features, masks),
            "faithfulness": _faithfulness(model, features, masks, steps_table, of_steps, seeds),
            "region_attributions": None,
        }
        if REGION_METHOD in methods:
            known_places = [_landmarks(data, row) for row in number.tolist()]
            tables["region_attributions"] = attribute_regions(model, inputs, known_places)
        yield {
            name: names.put(table, number.numpy())
            for name, table in tables.items()
            if table is not None
        }


class RowNames:
    """Puts names before the rows of a batch: whose session, of which group, which word.

    Parameters
    ----------
    sessions : of a ``ExperimentData``; row = dataset number
    steps : of the manifest, numbered 0, 1, 2, ... in each session
    fold, seed : of the run
    binary : whether the targets are groups, 0 or 1
    """

    def __init__(
        self, sessions: pd.DataFrame, steps: pd.DataFrame, fold: int, seed: int, binary: bool
    ):
        group = sessions["target"] if binary else pd.Series(pd.NA, sessions.index)
        self.sessions = sessions[[*SESSION_KEY, "split"]].assign(
            fold=np.int32(fold), seed=np.int32(seed), label=group.astype("Int8")
        )
        known = sessions[SESSION_KEY].assign(number=np.arange(len(sessions)))
        ordered = known.merge(steps[[*SESSION_KEY, "step", "text", "valence"]], on=SESSION_KEY)
        ordered = ordered.sort_values(["number", "step"], ignore_index=True)
        self.first_step = np.searchsorted(ordered["number"], known["number"])
        self.words = ordered[["text", "valence"]].rename(columns={"text": "word"})

    def put(self, table: pd.DataFrame, number: np.ndarray) -> pd.DataFrame:
        """Name the rows of a table.

        Parameters
        ----------
        table : ``row`` of the batch, perhaps ``step``, and anything else
        number : of each session of the batch in the dataset

        Returns
        -------
        the table with names in place of ``row``
        """
        number = number[table["row"]]
        parts = [self.sessions.take(number)]
        columns = table.drop(columns="row")
        if "step" in table:
            behind = list(columns).index("step") + 1
            words = self.words.take(self.first_step[number] + table["step"])
            parts += [columns.iloc[:, :behind], words, columns.iloc[:, behind:]]
        else:
            parts.append(columns)
        return pd.concat([part.reset_index(drop=True) for part in parts], axis=1)


def _step_table(
    model: DepressionModel,
    features: dict[str, Tensor],
    masks: dict[str, Tensor],
    recording: Recording,
) -> pd.DataFrame:
    """One row a step that is there; each measure of steps adds its columns."""
    row, step = present_steps(masks).cpu().nonzero(as_tuple=True)
    answer = "y_prob" if model.config.target == "binary" else "score_pred"
    prediction = model.head.predict(recording.logits).double().cpu()
    table = pd.DataFrame({"row": row, answer: prediction[row], "step": step.int()})
    table = table.merge(occlude_steps(model, features, masks), on=["row", "step"], how="left")
    for name in MODALITIES:
        if name not in masks:
            table[f"occlusion_{name}"] = np.nan
    if recording.attention is None:
        return table
    assert isinstance(model.fusion, DepFormer)
    selected = _selected(recording.attention, list(model.fusion.encoders))
    return table.merge(selected, on=["row", "step"], how="left")


def _faithfulness(
    model: DepressionModel,
    features: Encoded,
    masks: Encoded,
    steps: pd.DataFrame,
    methods: Sequence[str],
    seeds: Sequence[int],
) -> pd.DataFrame | None:
    """Areas of the deletion and insertion curves; None where there is nothing to compare with."""
    if not methods:
        return None
    attention = [ATTENTION] if ATTENTION in steps else []
    values = steps[["row", "step", "occlusion", *attention, *methods]]
    curves = removal_curves(model, features, masks, values, seeds, unsigned=attention)
    return curve_areas(curves) if len(curves) else None


def _landmarks(data: ExperimentData, number: int) -> Landmarks | None:
    """Landmarks of a session's crops; None where they are not known or not needed."""
    if "face" not in data.dataset.settings.modalities:
        return None
    return data.dataset.landmarks(number)


def _selected(attention: pd.DataFrame, encoders: list[str]) -> pd.DataFrame:
    """Share of heads of each encoder's first layer whose own index selects a step.

    Only that layer sees every step by itself; behind it steps are mixed and halved.
    """
    first = attention[(attention["stack"] == 0) & (attention["layer"] == 0)]
    share = first.pivot_table(index=["row", "step"], columns="encoder", values="selected")
    share = share.reindex(columns=encoders)
    main = share[encoders[0]]  # the multimodal, where there are several
    return share.add_prefix("selected_").assign(selected=main).reset_index()
