"""Train and explain the config ``planted_words`` on corpora in memory.

The models, the steps of the optimizer, the choice of the epoch and the attributions are those of
``depmm``; only the data come from memory instead of a store, and nothing is written. A test
compares the attributions with those of the commands.
"""

import copy
from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from depmm.config import Config, load_config
from depmm.corpora.splits import make_split
from depmm.data.batch import Batch
from depmm.data.epoch_plan import MicroBatch
from depmm.evaluation.batch_prediction import predict_sessions, session_seed
from depmm.inputs import Inputs
from depmm.interpret.attribution.attention import record_attention
from depmm.interpret.attribution.explain_sessions import BATCH_SIZE, COMPUTE
from depmm.interpret.attribution.methods import OCCLUSION, SELECTED, SESSION, SHAPLEY, TRAINING
from depmm.interpret.attribution.occlusion import occlude_steps
from depmm.interpret.attribution.removal import Reference, make_session_reference
from depmm.models.encoders.feature_cnn import FeatureCnn
from depmm.models.model import DepressionModel, build_model
from depmm.runs.step_reference import measure_step_reference
from depmm.schemas.manifest import SESSION_KEY
from depmm.training.experiment import build_accelerator
from depmm.training.phase import PhaseTrainer
from depmm.training.prediction import validate
from experiments.benchmarks.planted_corpora import N_WORDS, Corpus, list_sessions

METHODS = (SELECTED, OCCLUSION.name, *COMPUTE)
SESSION_SUFFIX = f"_{SESSION}"  # of the column of a method whose reference is the session's mean


class PlantedData:
    """The sessions of a corpus, in the place of data, data set and loader of a training.

    Parameters
    ----------
    corpus : Corpus
        The corpus.
    config : Config
        Split of the fold, and settings of the data.
    """

    def __init__(self, corpus: Corpus, config: Config) -> None:
        sessions = list_sessions(corpus)
        split = make_split(sessions, config.split)
        self.sessions = sessions.merge(split, on=["corpus", "subject"])
        self.steps = sessions[SESSION_KEY].merge(
            pd.DataFrame(
                {
                    "step": range(N_WORDS),
                    "text": [step.word for step in corpus.reading],
                    "valence": [step.valence for step in corpus.reading],
                }
            ),
            how="cross",
        )
        self.session_keys = list(self.sessions[SESSION_KEY].itertuples(index=False, name=None))
        self.lengths = np.repeat(np.array(corpus.rows)[:, None], N_WORDS, axis=1)
        self.signals = {}
        for name, arrays in corpus.features.items():
            shape = len(arrays), N_WORDS, max(corpus.rows), arrays[0].shape[1]
            padded = np.zeros(shape, np.float32)
            for row, (array, length) in enumerate(zip(arrays, corpus.rows, strict=True)):
                padded[row, :, :length] = array.reshape(N_WORDS, length, -1)
            self.signals[name] = torch.from_numpy(padded)
        self.settings = config.data
        self.dataset = self
        self.device = torch.device("cpu")

    def indices(self, split: str) -> list[int]:
        """Return the rows of a split."""
        return np.flatnonzero(self.sessions["split"] == split).tolist()

    def read(self, plan: list[MicroBatch], epoch: int | None) -> Iterator[tuple[Tensor, Batch]]:
        """Yield the batches of a plan, as a ``SessionLoader`` does."""
        for part in plan:
            yield self._read(part.indices)

    def evaluate(
        self, indices: Sequence[int], batch_size: int, rank: int = 0, world_size: int = 1
    ) -> Iterator[tuple[Tensor, Batch]]:
        """Yield sessions in batches, as a ``SessionLoader`` does."""
        for start in range(0, len(indices), batch_size):
            yield self._read(list(indices[start : start + batch_size]))

    def _read(self, rows: list[int]) -> tuple[Tensor, Batch]:
        lengths = self.lengths[rows]
        longest = int(lengths.max())
        inputs = {
            name: Inputs(x[rows][:, :, :longest], lengths) for name, x in self.signals.items()
        }
        return torch.tensor(rows), inputs


def train_fold(config: Config, data: PlantedData) -> DepressionModel:
    """Train a model and return it with the weights of its best epoch.

    Parameters
    ----------
    config : Config
        The experiment.
    data : PlantedData
        Sessions of the fold.

    Returns
    -------
    DepressionModel
        In evaluation mode.
    """
    torch.manual_seed(config.seed)
    model = build_model(config.model).train()
    train_rows = data.indices("train")
    for name, encoder in model.encoders.items():
        inside = np.arange(data.signals[name].shape[2]) < data.lengths[train_rows][..., None]
        rows = data.signals[name][train_rows][torch.from_numpy(inside)].double()
        moments = rows.mean(0).float(), rows.std(0, correction=0).float()
        cast(FeatureCnn, encoder).set_scale(*moments)
    accelerator, stand_in = build_accelerator(config), cast(Any, data)
    trainer = PhaseTrainer(config, stand_in, model, accelerator, stand_in)
    settings = config.training
    best, weights = np.inf, {}
    for epoch in range(settings.epochs):
        rate = cast(float, settings.learning_rate)
        trainer.train_epoch(epoch, 0, settings.epochs, rate, [])
        loss = validate(config, stand_in, model, accelerator, stand_in)["val_loss"]
        if loss < best:
            best, weights = loss, copy.deepcopy(model.state_dict())
    model.load_state_dict(weights)
    return model.eval()


@torch.no_grad()
def explain_fold(
    model: DepressionModel, data: PlantedData, methods: Sequence[str], by_session: bool = False
) -> pd.DataFrame:
    """Compute the attributions of the test sessions.

    Parameters
    ----------
    model : DepressionModel
        The trained model.
    data : PlantedData
        Sessions of the fold.
    methods : sequence of str
        Some of ``METHODS``; occlusion is always computed.
    by_session : bool, default False
        Whether to add occlusion and Shapley values with the mean of the session as the reference.

    Returns
    -------
    DataFrame
        One row per step: corpus, subject, session, gender, label, split, step, word, valence and
        one column per method.
    """
    means = measure_step_reference(model, cast(Any, data), cast(Any, data), BATCH_SIZE)
    words = data.steps["text"].iloc[:N_WORDS].tolist()
    tables = []
    for index, inputs in data.evaluate(data.indices("test"), BATCH_SIZE):
        features, masks = model.encode(inputs)
        reference = Reference(TRAINING, *means.look_up([words] * len(index), N_WORDS))
        seeds = [session_seed(data.session_keys[row]) for row in index.tolist()]
        table = occlude_steps(model, features, masks, reference)
        for method in methods:
            if method in COMPUTE:
                with torch.enable_grad():
                    values = COMPUTE[method](model, features, masks, reference, seeds)
                table = table.merge(values, on=["row", "step"])
        if SELECTED in methods:
            table = table.merge(_measure_selection(model, features, masks), on=["row", "step"])
        if by_session:
            reference = make_session_reference(features, masks)
            parts = occlude_steps(model, features, masks, reference).merge(
                COMPUTE[SHAPLEY.name](model, features, masks, reference, seeds), on=["row", "step"]
            )
            keys = parts[["row", "step"]]
            parts = keys.join(parts[[OCCLUSION.name, SHAPLEY.name]].add_suffix(SESSION_SUFFIX))
            table = table.merge(parts, on=["row", "step"])
        keys = data.sessions[[*SESSION_KEY, "gender", "label", "split"]].take(index.numpy())
        tables.append(table.merge(keys.reset_index(drop=True), left_on="row", right_index=True))
    steps = data.steps[[*SESSION_KEY, "step", "text", "valence"]].rename(columns={"text": "word"})
    return pd.concat(tables).drop(columns="row").merge(steps, on=[*SESSION_KEY, "step"])


def _measure_selection(
    model: DepressionModel, features: dict[str, Tensor], masks: dict[str, Tensor]
) -> pd.DataFrame:
    """Compute the share of the heads of the first layer that select a step."""
    attention = record_attention(model, features, masks).attention
    if attention is None:
        raise ValueError("The fusion of the model has no attention over steps.")
    of_first = attention["encoder"].eq("multimodal") & attention["layer"].eq(0)
    return attention[of_first].groupby(["row", "step"])[SELECTED].mean().reset_index()


def cross_validate(
    corpus: Corpus,
    seed: int,
    methods: Sequence[str],
    seeds: Sequence[int] = (0,),
    overrides: Sequence[str] = (),
    by_session: bool = False,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train and explain all folds.

    Parameters
    ----------
    corpus : Corpus
        The corpus.
    seed : int
        Seed of the folds.
    methods : sequence of str
        Some of ``METHODS``.
    seeds : sequence of int, default (0,)
        Seeds of the trainings.
    overrides : sequence of str, optional
        Settings of the config ``planted_words``.
    by_session : bool, default False
        As in ``explain_fold``.

    Returns
    -------
    attributions : DataFrame
        As ``explain_fold``, with ``fold`` and ``seed``.
    predictions : DataFrame
        Columns fold, seed, ``y_true`` and ``y_prob`` of the tested sessions.
    """
    first = load_config("planted_words", [f"split.seed={seed}", *overrides])
    attributions, predictions = [], []
    for training_seed in seeds:
        for fold in range(first.split.folds):
            settings = [*overrides, f"split.seed={seed}", f"split.fold={fold}"]
            config = load_config("planted_words", [*settings, f"seed={training_seed}"])
            data = PlantedData(corpus, config)
            model = train_fold(config, data)
            tested = data.indices("test")
            key = {"fold": fold, "seed": training_seed}
            predicted = predict_sessions(model, cast(Any, data), tested, len(tested))
            truth = data.sessions["target"].iloc[predicted["index"]].to_numpy()
            columns = {"y_true": truth, "y_prob": predicted["prediction"].to_numpy()}
            predictions.append(pd.DataFrame(columns).assign(**key))
            attributions.append(explain_fold(model, data, methods, by_session).assign(**key))
    return pd.concat(attributions, ignore_index=True), pd.concat(predictions, ignore_index=True)
