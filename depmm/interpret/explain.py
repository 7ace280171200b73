"""A trained model over its sessions -> one row per step: what was selected, what it contributed."""

import pandas as pd
import torch

from depmm.corpora.manifest import SESSION_KEY
from depmm.data.batch import evaluation_batches
from depmm.data.task import TaskData
from depmm.interpret.attention import record_selection
from depmm.interpret.saliency import occlude_steps
from depmm.models.model import DepressionModel

BATCH_SIZE = 8  # sessions; it changes no value


def explain_sessions(
    model: DepressionModel, data: TaskData, steps: pd.DataFrame, split: str
) -> pd.DataFrame:
    """Explain the sessions of one split.

    Parameters
    ----------
    model : a trained model
    data : what it was trained on, with its own split
    steps : of the manifest, for words and valence
    split : train, validation or test

    Returns
    -------
    one row a step: corpus, subject, session, split, ``y_true``, ``step``, ``word``, ``valence``,
    ``contribution`` (logit with the step minus without it) and ``selected`` (share of the heads of
    the multimodal encoder, or of the only one, whose first layer selects it), and
    ``selected_<encoder>``

    Raises
    ------
    ValueError : the split has no session
    """
    numbers = data.numbers(split)
    if not numbers:
        raise ValueError(f"no session is in split {split!r}: choose train, validation or test")
    occluded: list[pd.DataFrame] = []
    selected: list[pd.DataFrame] = []
    model.eval()
    device = next(model.parameters()).device
    for number, inputs in evaluation_batches(data.dataset, numbers, BATCH_SIZE, device):
        with torch.no_grad():
            features, masks = model.encode(**inputs)
        for tables, measure in ((occluded, occlude_steps), (selected, record_selection)):
            table = measure(model, features, masks)
            tables.append(table.assign(number=number.numpy()[table["row"].astype(int)]))
    table = pd.concat(occluded)[["number", "step", "contribution"]]
    table = table.sort_values(["number", "step"], ignore_index=True)
    if len(selection := pd.concat(selected)):
        wide = selection.pivot_table(index=["number", "step"], columns="encoder", values="selected")
        main = "multimodal" if "multimodal" in wide else wide.columns[0]
        wide = wide.add_prefix("selected_").assign(selected=wide[main])
        table = table.merge(wide.reset_index(), on=["number", "step"], how="outer")
    sessions = data.sessions.assign(
        number=range(len(data.sessions)), y_true=data.sessions["target"]
    )
    table = table.merge(sessions[["number", *SESSION_KEY, "split", "y_true"]], on="number")
    words = steps[[*SESSION_KEY, "step", "text", "valence"]].rename(columns={"text": "word"})
    return table.merge(words, on=[*SESSION_KEY, "step"], how="left").drop(columns="number")
