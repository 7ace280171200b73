"""Mean steps of the training subjects, which replace removed steps in attributions.

A step that is removed from a session needs a replacement. The mean of the same word over the
training subjects does not depend on the explained subject, unlike the mean of the subject's own
steps. It is measured for each model, at the end of its training, and stored in its folder: a run
that was moved or shared can be explained with it. It contains no subject ids and no values of fewer
than ``MIN_TRAINING_SUBJECTS`` subjects.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import torch
from accelerate.utils import gather_object
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from depmm.data.batch import SessionLoader
from depmm.data.experiment_data import ExperimentData
from depmm.device import float32_precision
from depmm.files.checksums import check, replacing
from depmm.files.damage import damaged
from depmm.models.encoders.encoder import Encoder
from depmm.models.model import DepressionModel
from depmm.progress import show
from depmm.schemas.explanations import (
    MIN_TRAINING_SUBJECTS,
    TRAINING_INDEX,
    TRAINING_STEPS,
    TRAINING_WORD,
)
from depmm.schemas.manifest import SESSION_KEY, SUBJECT_KEY


@dataclass(frozen=True)
class StepReference:
    """Means of the encoded steps of the training subjects of one model.

    Attributes
    ----------
    words : tuple of str
        Words that at least ``MIN_TRAINING_SUBJECTS`` training subjects read.
    n_indices : int
        Number of steps of every training session; 0 if it differs between sessions.
    means : dict of str to Tensor, shape (W + n_indices + 1, D)
        For each modality, the mean of each word, of each step index and of all steps. Every
        subject has the same weight. A mean of fewer than ``MIN_TRAINING_SUBJECTS`` subjects with
        the modality is that of all steps.
    """

    words: tuple[str, ...]
    n_indices: int
    means: dict[str, Tensor]

    def look_up(
        self,
        words: Sequence[Sequence[str | None]],
        length: int,
        masks: Mapping[str, Tensor] | None = None,
    ) -> tuple[dict[str, Tensor], NDArray[np.str_]]:
        """Look up the reference of each step of some sessions.

        Parameters
        ----------
        words : sequence of (sequence of (str or None)), length B
            Words of the steps of each session; those behind ``length`` have no reference.
        length : int
            Padded number of steps, `L`.
        masks : mapping of str to Tensor, shape (B, L), optional
            True where the modality of a step is present; by default everywhere.

        Returns
        -------
        features : dict of str to Tensor, shape (B, L, D)
            The mean of the same word; for other steps the mean of the same step index, if all
            training sessions have the same number of steps, or else of all training steps.
        kinds : ndarray of str, shape (B, L)
            Which mean replaces each step: ``TRAINING_WORD``, ``TRAINING_INDEX`` or
            ``TRAINING_STEPS``. Where the mean of some of the present modalities is that of all
            steps, they are named: ``training word; face: training steps``.
        """
        row_of_word = {word: row for row, word in enumerate(self.words)}
        n_words, n_rows = len(self.words), len(self.words) + self.n_indices + 1
        position = np.arange(length)
        fallback = np.where(position < self.n_indices, n_words + position, n_rows - 1)
        rows = np.tile(fallback, (len(words), 1))
        read = [texts[:length] for texts in words]
        for session, texts in zip(rows, read, strict=True):
            known = [row_of_word.get(text, -1) if text is not None else -1 for text in texts]
            session[: len(known)] = np.where(np.array(known) >= 0, known, session[: len(known)])
        kinds = (TRAINING_WORD, TRAINING_INDEX, TRAINING_STEPS)
        kind = np.array(kinds)[np.digitize(rows, [n_words, n_words + self.n_indices])]
        index = torch.from_numpy(rows)
        features = {name: table[index.to(table.device)] for name, table in self.means.items()}
        return features, self._name_other_means(kind, rows, masks)

    def _name_other_means(
        self, kind: NDArray[np.str_], rows: NDArray[np.int64], masks: Mapping[str, Tensor] | None
    ) -> NDArray[np.str_]:
        """Add to the kind of each step, (B, L), which modalities have the mean of all steps."""
        other = np.full(kind.shape, "", object)
        has_own = np.zeros(kind.shape, bool)
        for name, table in self.means.items():
            is_general = (table == table[-1]).all(dim=1).cpu().numpy()[rows]
            present = np.ones(kind.shape, bool) if masks is None else masks[name].cpu().numpy()
            separator = np.where(other == "", "", ", ")
            other = np.where(is_general & present, other + separator + name, other)
            has_own |= ~is_general & present
        named = kind.astype(object) + "; " + other + f": {TRAINING_STEPS}"
        named = np.where(has_own, named, TRAINING_STEPS)
        result: NDArray[np.str_] = np.where(other == "", kind, named).astype(str)
        return result

    def save(self, path: Path) -> None:
        """Write the means to a safetensors file, with a checksum.

        Parameters
        ----------
        path : Path
            The file.
        """
        content = {"words": self.words, "n_indices": self.n_indices}
        tensors = {name: table.float().cpu().contiguous() for name, table in self.means.items()}
        with replacing(path) as temporary:
            save_file(tensors, temporary, {"reference": json.dumps(content)})


def load_step_reference(path: Path, model: DepressionModel) -> StepReference:
    """Read the means of the training subjects of a model.

    Parameters
    ----------
    path : Path
        File that ``StepReference.save`` wrote.
    model : DepressionModel
        The model; the means are moved to its device.

    Returns
    -------
    StepReference
        The means.

    Raises
    ------
    DamagedFileError
        If the file does not match its checksum, or does not fit the model.
    """
    check(path)
    device = next(model.parameters()).device
    try:
        with safe_open(path, "pt") as file:
            content = json.loads((file.metadata() or {})["reference"])
            means = {name: file.get_tensor(name).to(device) for name in file.keys()}  # noqa: SIM118
        words, n_indices = tuple(map(str, content["words"])), int(content["n_indices"])
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise damaged(path, f"not the mean steps of training subjects ({error!r})") from None
    n_rows = len(words) + n_indices + 1
    expected = {name: (n_rows, dim) for name, dim in _get_dims(model).items()}
    shapes = {name: tuple(table.shape) for name, table in means.items()}
    if shapes != expected:
        raise damaged(path, f"the tensors have the shapes {shapes}, the model needs {expected}")
    if not all(bool(table.isfinite().all()) for table in means.values()):
        raise damaged(path, "a mean is not finite")
    return StepReference(words, n_indices, means)


@torch.no_grad()
def measure_step_reference(
    model: DepressionModel,
    data: ExperimentData,
    loader: SessionLoader,
    batch_size: int,
    rank: int = 0,
    world_size: int = 1,
) -> StepReference:
    """Average the encoded steps of the training subjects, on all processes.

    Parameters
    ----------
    model : DepressionModel
        The trained model; it is in evaluation mode during the call.
    data : ExperimentData
        The sessions with their split, and the steps of the manifest.
    loader : SessionLoader
        Reads the sessions, on the device of the model.
    batch_size : int
        Sessions per batch; it has no effect on the means but for rounding.
    rank, world_size : int
        Index of this process, and number of processes.

    Returns
    -------
    StepReference
        The means, in every process.
    """
    steps, n_indices = _list_training_steps(data)
    words = tuple(sorted(steps.loc[steps["row"] >= 0, "text"].unique()))
    n_rows = len(words) + n_indices + 1
    grouped = dict(tuple(steps.groupby("index")))
    device = next(model.parameters()).device
    totals: dict[str, tuple[Tensor, Tensor]] = {}
    was_training = model.training
    model.eval()
    sessions = data.indices("train")
    n_sessions = len(sessions[rank::world_size])
    with float32_precision("highest", device), show("mean steps", n_sessions, "sessions") as task:
        for indices, inputs in loader.evaluate(sessions, batch_size, rank, world_size):
            features, masks = model.encode(inputs)
            rows = pd.concat(
                [grouped[index].assign(session=k) for k, index in enumerate(indices.tolist())]
            )
            for name, x in features.items():
                total, weight = totals.setdefault(
                    name,
                    (torch.zeros(n_rows, x.shape[2], dtype=torch.float64), torch.zeros(n_rows)),
                )
                _add_steps(total, weight, x.cpu(), masks[name].cpu(), rows, len(words), n_indices)
            task.advance(len(indices))
    model.train(was_training)
    parts = gather_object([totals]) if world_size > 1 else [totals]
    means = {}
    for name, dim in _get_dims(model).items():
        total, weight = torch.zeros(n_rows, dim, dtype=torch.float64), torch.zeros(n_rows)
        for part in parts:
            if name in part:
                total, weight = total + part[name][0], weight + part[name][1]
        mean = total / weight.clamp(min=1e-9).unsqueeze(1)
        # with faces of two subjects only, the mean of a word would be the mean of these two
        mean[weight < MIN_TRAINING_SUBJECTS - 1e-3] = mean[-1].clone()
        means[name] = mean.float().to(device)
    return StepReference(words, n_indices, means)


def _get_dims(model: DepressionModel) -> dict[str, int]:
    return {name: cast(Encoder, encoder).embed_dim for name, encoder in model.encoders.items()}


def _list_training_steps(data: ExperimentData) -> tuple[pd.DataFrame, int]:
    """List the steps that the model reads of the training sessions, and their common number.

    The columns are ``index`` (of the session in the data set), ``step``, ``text``, ``row`` (of the
    word; -1 for rare words) and the weights ``per_word``, ``per_index`` and ``per_step``, which sum
    to 1 over the steps of a subject.
    """
    sessions = data.sessions[SESSION_KEY].assign(index=np.arange(len(data.sessions)))
    sessions = sessions[data.sessions["split"] == "train"]
    steps = sessions.merge(data.steps[[*SESSION_KEY, "step", "text"]], on=SESSION_KEY)
    if (first := data.dataset.settings.steps.first) is not None:
        steps = steps[steps["step"] < first].reset_index(drop=True)
    subjects = steps.drop_duplicates([*SUBJECT_KEY, "text"]).groupby("text").size()
    common = subjects.index[subjects >= MIN_TRAINING_SUBJECTS].sort_values()
    steps["row"] = common.get_indexer(pd.Index(steps["text"]))
    lengths = steps.groupby("index").size()
    n_indices = int(lengths.max()) if lengths.min() == lengths.max() else 0
    for name, keys in (("per_word", ["row"]), ("per_index", ["step"]), ("per_step", [])):
        steps[name] = 1.0 / steps.groupby([*SUBJECT_KEY, *keys])["index"].transform("size")
    return steps, n_indices


def _add_steps(
    total: Tensor,
    weight: Tensor,
    x: Tensor,
    mask: Tensor,
    steps: pd.DataFrame,
    n_words: int,
    n_indices: int,
) -> None:
    """Add the encoded steps of a batch to the sums of their word, their index and all steps."""
    session, step, word, *shares = (
        torch.from_numpy(steps[name].to_numpy(copy=True))
        for name in ("session", "step", "row", "per_word", "per_index", "per_step")
    )
    present = mask[session, step]
    values = torch.where(present.unsqueeze(1), x[session, step].double(), 0.0)
    rows = word, n_words + step, torch.full_like(word, len(total) - 1)
    used = word >= 0, torch.full_like(present, n_indices > 0), torch.ones_like(present)
    for row, share, is_used in zip(rows, shares, used, strict=True):
        share = share * (present & is_used)
        row = row.clamp(0, len(total) - 1)  # of unused rows; their share is 0
        total.index_add_(0, row, values * share.unsqueeze(1))
        weight.index_add_(0, row, share.float())
