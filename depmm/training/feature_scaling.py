"""Standardisation of features by mean and standard deviation over the training sessions."""

import torch
from torch import Tensor

from depmm.data.batch import evaluation_batches
from depmm.data.experiment_data import ExperimentData
from depmm.models.encoders.feature_cnn import FeatureCnn
from depmm.models.host import host_mask
from depmm.models.model import DepressionModel


@torch.no_grad()
def fit_feature_scales(model: DepressionModel, data: ExperimentData, batch_size: int) -> None:
    """Set mean and standard deviation of the features in every ``FeatureCnn`` of a model.

    Every process reads all training sessions, so that all processes compute the same values.

    Parameters
    ----------
    model : DepressionModel
        A new model.
    data : ExperimentData
        Only training sessions are read, without augmentation.
    batch_size : int
        Number of sessions that are read at a time.

    Raises
    ------
    ValueError
        If the number of features of a stream differs from that of its encoder.
    """
    scaled = {name: part for name, part in model.encoders.items() if isinstance(part, FeatureCnn)}
    if not scaled:
        return
    moments = {name: _Moments(len(part.mean)) for name, part in scaled.items()}
    sessions = data.indices("train")
    for _, batch in evaluation_batches(data.dataset, sessions, batch_size, torch.device("cpu")):
        for name in scaled:
            rows, lengths = batch[name].values, batch[name].lengths
            if (lengths > 0).any():
                scaled[name].check_n_features(rows)
                valid = host_mask(lengths, rows.shape[2])  # leaves out the padding
                moments[name].add(rows[torch.from_numpy(valid)])
    for name, part in scaled.items():
        part.set_scale(*moments[name].result())


class _Moments:
    """Mean and standard deviation of the finite values of each column, updated block by block.

    References
    ----------
    Chan, Golub and LeVeque, "Algorithms for computing the sample variance", The American
    Statistician 37(3), 1983.
    """

    def __init__(self, columns: int):
        self.count, self.mean, self.square = torch.zeros(3, columns, dtype=torch.float64)

    def add(self, rows: Tensor) -> None:
        """Add the rows of a block, shape (N, columns)."""
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
        """Return mean and standard deviation of each column."""
        deviation = (self.square / self.count.clamp(min=1)).sqrt()
        return self.mean.float(), deviation.float()
