"""Scales of features, measured on the training people alone before anything is learned."""

import torch
from torch import Tensor

from depmm.data.batch import evaluation_batches
from depmm.data.experiment_data import ExperimentData
from depmm.models.encoders.feature_cnn import FeatureCnn
from depmm.models.masking import length_mask
from depmm.models.model import DepressionModel


@torch.no_grad()
def fit_scales(model: DepressionModel, data: ExperimentData, batch_size: int) -> None:
    """Give every ``FeatureCnn`` of a model the mean and deviation of its features.

    Every process reads all training sessions, and so finds the same numbers.

    Parameters
    ----------
    model : fresh, its encoders not yet scaled
    data : of the experiment; only the sessions of ``train`` are read, nothing is drawn
    batch_size : sessions read at a time

    Raises
    ------
    ValueError : rows of another width than the encoder's
    """
    scaled = {name: part for name, part in model.encoders.items() if isinstance(part, FeatureCnn)}
    if not scaled:
        return
    moments = {name: _Moments(len(part.mean)) for name, part in scaled.items()}
    people = data.indices("train")
    for _, batch in evaluation_batches(data.dataset, people, batch_size, torch.device("cpu")):
        for name in scaled:
            length = batch[f"{name}_length"]
            if (length > 0).any():
                # a row of padding is no row of the step
                scaled[name].check_width(batch[name])
                there = length_mask(length, batch[name].shape[2])
                moments[name].add(batch[name][there])
    for name, part in scaled.items():
        part.set_scale(*moments[name].result())


class _Moments:
    """Mean and deviation of each column, over what is valid, block by block (Chan et al. 1983)."""

    def __init__(self, columns: int):
        self.count, self.mean, self.square = torch.zeros(3, columns, dtype=torch.float64)

    def add(self, rows: Tensor) -> None:
        valid = rows.isfinite()
        count = valid.sum(0)
        values = torch.where(valid, rows, 0.0).double()
        mean = values.sum(0) / count.clamp(min=1)
        square = (torch.where(valid, values - mean, 0.0) ** 2).sum(0)
        total = (self.count + count).clamp(min=1)
        step = mean - self.mean
        self.square += square + step**2 * self.count * count / total
        self.mean += step * count / total
        self.count += count

    def result(self) -> tuple[Tensor, Tensor]:
        deviation = (self.square / self.count.clamp(min=1)).sqrt()
        return self.mean.float(), deviation.float()
