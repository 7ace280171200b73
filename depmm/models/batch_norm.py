"""Batch normalisation whose statistics are those of the valid positions of all processes.

In training, ``MaskedBatchNorm1d`` and ``MaskedBatchNorm2d`` normalise by mean and variance of the
valid positions of the whole batch, of which each process has a part. Several processes then train
as one does, and have the same running statistics. Parameters and buffers are those of
``torch.nn.BatchNorm2d``, so that published weights can be loaded.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm


class _MaskedBatchNorm(_BatchNorm):
    # torch.nn.SyncBatchNorm runs on GPUs only and has no mask
    excluded = False

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Normalise each channel.

        Parameters
        ----------
        x : Tensor, shape (N, C, T) or (N, C, H, T)
            Feature maps.
        mask : Tensor, shape (N, T), bool, optional
            Valid positions of the last axis; default: all.

        Returns
        -------
        Tensor, shape of ``x``
            Normalised maps; zero at invalid positions.
        """
        self._check_input_dim(x)  # type: ignore[no-untyped-call]
        inside = None if mask is None else mask.view(len(mask), *[1] * (x.dim() - 2), -1)
        if self.training and (mask is not None or self._needs_own_statistics(x)):
            return self._normalise(x, inside)
        y: Tensor = super().forward(x)
        return y if inside is None else y.masked_fill(~inside, 0.0)

    def _needs_own_statistics(self, x: Tensor) -> bool:
        # torch raises an error if there is a single position
        return self.excluded or count_processes() > 1 or x.numel() <= x.shape[1]

    def _normalise(self, x: Tensor, inside: Tensor | None) -> Tensor:
        # sums need the precision of float32, also under autocast
        with torch.autocast(x.device.type, enabled=False):
            values = x.to(torch.promote_types(x.dtype, torch.float32))
            with torch.no_grad():
                # an invalid position may hold any number
                filled = values if inside is None else values.masked_fill(~inside, 0.0)
                local = _moments(filled, inside)
                count, mean, squares = _join_processes(*local, counted=not self.excluded)
                self._update_running_statistics(count, mean, squares)
                # without any position on any process, only the shape of the output matters
                known = count > 0
                mean = torch.where(known, mean, cast(Tensor, self.running_mean))
                variance = squares / count.clamp(min=1)
                variance = torch.where(known, variance, cast(Tensor, self.running_var))
                inverse_std = (variance + self.eps).rsqrt()
            y: Tensor = _Normalise.apply(  # type: ignore[no-untyped-call]
                values,
                filled,
                self.weight.to(values.dtype),
                self.bias.to(values.dtype),
                mean,
                inverse_std,
                count,
                inside,
                not self.excluded,
            )
        return y.to(x.dtype)

    def _update_running_statistics(self, count: Tensor, mean: Tensor, squares: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        known = count > 0
        share = self.momentum * known.to(self.running_mean.dtype)
        unbiased = squares / (count - 1).clamp(min=1)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), share)
        self.num_batches_tracked.add_(known)


class MaskedBatchNorm1d(_MaskedBatchNorm, nn.BatchNorm1d):
    """Batch normalisation of (N, C, T) over the valid positions of all processes.

    Parameters, attributes and buffers are those of ``torch.nn.BatchNorm1d``; the running variance
    is unbiased, as there. ``momentum`` is a number, and running statistics are always kept. A
    variance of a single position is 0.

    References
    ----------
    Ioffe and Szegedy, "Batch normalization", ICML 2015, Algorithm 1.
    """


class MaskedBatchNorm2d(_MaskedBatchNorm, nn.BatchNorm2d):
    """Batch normalisation of (N, C, H, T) over the valid positions of all processes.

    As ``MaskedBatchNorm1d``; every row of a valid column is valid.

    References
    ----------
    Ioffe and Szegedy, "Batch normalization", ICML 2015, Algorithm 1.
    """


@contextmanager
def exclude_positions(module: nn.Module) -> Iterator[None]:
    """Leave the positions of this process out of the statistics of batch normalisation.

    All processes must call a layer for its statistics, also one whose batch has nothing for the
    layer. Such a process runs it on a filler.

    Parameters
    ----------
    module : Module
        Module that contains the layers.

    Yields
    ------
    None
        The layers normalise by the statistics of the other processes.
    """
    layers = [layer for layer in module.modules() if isinstance(layer, _MaskedBatchNorm)]
    before = [layer.excluded for layer in layers]
    for layer in layers:
        layer.excluded = True
    try:
        yield
    finally:
        for layer, excluded in zip(layers, before, strict=True):
            layer.excluded = excluded


def shares_statistics(module: nn.Module) -> bool:
    """Check whether a forward pass of a module needs the other processes.

    Parameters
    ----------
    module : Module
        Any module.

    Returns
    -------
    bool
        True if there are several processes, and the module has batch normalisation that trains.
    """
    return count_processes() > 1 and any(
        isinstance(layer, _MaskedBatchNorm) and layer.training for layer in module.modules()
    )


def count_processes() -> int:
    """Count the processes of the training.

    Returns
    -------
    int
        1 if ``torch.distributed`` is not initialised.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return 1
    return distributed.get_world_size()


def _moments(x: Tensor, inside: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Count valid positions, and compute mean and sum of squared deviations of each channel.

    Invalid positions of ``x`` are zero.
    """
    axes = [axis for axis in range(x.dim()) if axis != 1]
    if inside is None:
        count = x.new_full((), x.numel() / x.shape[1])
        variance, mean = torch.var_mean(x, axes, correction=0)
        return count, mean, variance * count
    count = (inside.sum() * (x[0, 0].numel() // x.shape[-1])).to(x.dtype)
    mean = x.sum(axes) / count.clamp(min=1)
    # a second pass, because E[x^2] - E[x]^2 loses all digits if the mean is large
    squares = (_centre(x, mean) * inside).square_().sum(axes)
    return count, mean, squares


def _join_processes(
    count: Tensor, mean: Tensor, squares: Tensor, counted: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the moments of the positions of all processes from those of each process.

    References
    ----------
    Chan, Golub and LeVeque, "Algorithms for computing the sample variance", The American
    Statistician 37(3), 1983, Eq. 2.1.
    """
    if not counted:
        count, mean, squares = (torch.zeros_like(x) for x in (count, mean, squares))
    n_processes = count_processes()
    if n_processes == 1:
        return count, mean, squares
    local = torch.cat([count.view(1), mean, squares])
    parts = [torch.empty_like(local) for _ in range(n_processes)]
    distributed.all_gather(parts, local)
    counts, means, sums = torch.split(torch.stack(parts), [1, len(mean), len(squares)], dim=1)
    count = counts.sum()
    mean = (counts * means).sum(0) / count.clamp(min=1)
    return count, mean, (sums + counts * (means - mean).square()).sum(0)


def _centre(x: Tensor, mean: Tensor) -> Tensor:
    return x - _per_channel(mean, x)


def _per_channel(values: Tensor, x: Tensor) -> Tensor:
    return values.view(-1, *[1] * (x.dim() - 2))


class _Normalise(torch.autograd.Function):
    """Normalise by given statistics, whose gradient is distributed over all their positions."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        filled: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        inverse_std: Tensor,
        count: Tensor,
        inside: Tensor | None,
        counted: bool,
    ) -> Tensor:
        ctx.save_for_backward(filled, weight, mean, inverse_std, count, inside)
        ctx.counted = counted
        scale = weight * inverse_std
        shift = bias - mean * scale
        y = torch.addcmul(_per_channel(shift, x), filled, _per_channel(scale, x))
        return y if inside is None else y.masked_fill_(~inside, 0.0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse_std, count, inside = ctx.saved_tensors
        axes = [axis for axis in range(x.dim()) if axis != 1]
        if inside is not None:
            gradient = gradient * inside
        centred = _centre(x, mean)
        total = gradient.sum(axes)
        projected = (gradient * centred).sum(axes) * inverse_std
        sums = torch.stack([total, projected])
        if count_processes() > 1:
            distributed.all_reduce(sums)
        scale = _per_channel(weight * inverse_std, x)
        grad_x = gradient * scale
        if ctx.counted:
            # the gradients of mean and variance
            of_mean, of_variance = sums / count.clamp(min=1)
            removed = torch.addcmul(
                _per_channel(of_mean, x), centred, _per_channel(of_variance * inverse_std, x)
            )
            removed *= scale if inside is None else scale * inside
            grad_x -= removed
        return grad_x, None, projected, total, None, None, None, None, None
