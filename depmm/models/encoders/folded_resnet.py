"""(SE-)ResNet-50 in evaluation mode on a CPU, faster than layer by layer.

Batch normalisation is folded into the convolutions, their activations are computed while the
output of the convolution is in the cache, and few crops pass through the network at once. The
convolutions are those of oneDNN with weights in its own layout, as in compiled graphs of torch. For
1 x 1 convolutions of fewer than 16 maps on one thread, ``torch.nn.functional.conv2d`` calls a
matrix product instead, which takes twice as long on AMD processors.

References
----------
Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only
inference", CVPR 2018, Sec. 3.2 (folding of batch normalisation).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensor
from torch.nn.utils.fusion import fuse_conv_bn_weights

CROPS_AT_ONCE = 4  # 13 MB of maps after the first stage


class FoldedConv:
    """A convolution with folded batch normalisation and optional ReLU.

    Parameters
    ----------
    convolution : Conv2d
        The convolution, without bias.
    norm : BatchNorm2d
        The normalisation of its output.
    relu : bool
        Whether negative outputs are set to zero.
    """

    def __init__(self, convolution: nn.Conv2d, norm: nn.BatchNorm2d, relu: bool) -> None:
        weight, bias = fuse_conv_bn_weights(
            convolution.weight,
            convolution.bias,
            cast(Tensor, norm.running_mean),
            cast(Tensor, norm.running_var),
            norm.eps,
            norm.weight,
            norm.bias,
        )
        self.weight = weight.detach().contiguous(memory_format=torch.channels_last)
        self.bias = bias.detach()
        self.padding = list(cast(tuple[int, int], convolution.padding))
        self.stride = list(convolution.stride)
        self.activation = "relu" if relu else "none"
        self.in_layout = False

    def __call__(self, x: Tensor) -> Tensor:
        """Convolve maps.

        Parameters
        ----------
        x : Tensor, shape (N, in_channels, height, width)
            Maps, channels last in memory.

        Returns
        -------
        Tensor, shape (N, out_channels, height / stride, width / stride)
            Output, channels last in memory.
        """
        if not self.in_layout:
            # chosen for the first batch; oneDNN accepts it for every batch
            self.weight = torch.ops.mkldnn._reorder_convolution_weight(
                self.weight, self.padding, self.stride, [1, 1], 1, list(x.shape)
            )
            self.in_layout = True
        output: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self.weight, self.bias, self.padding, self.stride, [1, 1], 1, self.activation, [], ""
        )
        return output


@dataclass
class FoldedBlock:
    """A bottleneck of folded convolutions.

    Attributes
    ----------
    convolutions : list of FoldedConv
        The three convolutions of the body.
    gate : Module or None
        Network of squeeze-and-excitation.
    shortcut : FoldedConv or None
        Convolution of the shortcut; None if the input is added unchanged.
    """

    convolutions: list[FoldedConv]
    gate: nn.Module | None
    shortcut: FoldedConv | None

    def __call__(self, x: Tensor) -> Tensor:
        """Transform maps.

        Parameters
        ----------
        x : Tensor, shape (N, in_channels, height, width)
            Maps, channels last in memory.

        Returns
        -------
        Tensor, shape (N, 4 channels, height / stride, width / stride)
            Transformed maps.
        """
        y = x
        for convolution in self.convolutions:
            y = convolution(y)
        if self.gate is not None:
            y.mul_(self.gate(y.mean(dim=(2, 3)))[:, :, None, None])
        y.add_(x if self.shortcut is None else self.shortcut(x))
        return y.relu_()


class FoldedResNet:
    """Folded form of a network, which is renewed when the tensors of the network have changed.

    It is not a module: the tensors of the network remain the only ones that are moved, trained and
    saved.
    """

    def __init__(self) -> None:
        self._sources: list[tuple[Tensor, int]] = []
        self._stem: FoldedConv | None = None
        self._pool: nn.Module | None = None
        self._blocks: list[FoldedBlock] = []

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return an empty object, which is filled when it is used."""
        return type(self)()

    def __reduce__(self) -> tuple[type[Self], tuple[()]]:
        """Pickle an empty object, which is filled when it is used."""
        return type(self), ()

    def __call__(self, network: nn.Module, pixels: Tensor) -> Tensor:
        """Compute the last maps.

        Parameters
        ----------
        network : ResNet50
            The network, in evaluation mode, for which ``can_fold`` is true.
        pixels : Tensor, shape (N, 3, height, width)
            Normalised pixels.

        Returns
        -------
        Tensor, shape (N, 2048, height / 32, width / 32)
            Maps; they differ from those of the network by less than 1e-5 of the largest value.
        """
        with torch.no_grad():
            self._renew(network)
            assert self._stem is not None
            assert self._pool is not None
            maps = []
            for part in torch.split(pixels, CROPS_AT_ONCE):
                x = self._pool(self._stem(part.contiguous(memory_format=torch.channels_last)))
                for block in self._blocks:
                    x = block(x)
                maps.append(x)
            return maps[0] if len(maps) == 1 else torch.cat(maps)

    def _renew(self, network: Any) -> None:
        tensors = [*network.parameters(), *network.buffers()]
        if len(tensors) == len(self._sources) and all(
            # the aliases keep the memory, so that another tensor cannot have the same address
            tensor.data_ptr() == alias.data_ptr() and tensor._version == version
            for tensor, (alias, version) in zip(tensors, self._sources, strict=True)
        ):
            return
        self._stem = FoldedConv(network.stem[0], network.stem[1], relu=True)
        self._pool = network.stem[3]
        self._blocks = [_fold_block(block) for stage in network.stages for block in stage]
        self._sources = [(tensor.detach(), tensor._version) for tensor in tensors]


def _fold_block(block: Any) -> FoldedBlock:
    body, shortcut = block.body, block.shortcut
    return FoldedBlock(
        [
            FoldedConv(body[first], body[first + 1], relu=first < len(body) - 2)
            for first in range(0, len(body), 3)
        ],
        None if isinstance(block.excite, nn.Identity) else block.excite.gate,
        None
        if isinstance(shortcut, nn.Identity)
        else FoldedConv(shortcut[0], shortcut[1], relu=False),
    )


def can_fold(network: nn.Module, pixels: Tensor) -> bool:
    """Check whether the folded form of a network gives its output.

    Parameters
    ----------
    network : Module
        The network.
    pixels : Tensor
        Its input.

    Returns
    -------
    bool
        False in training mode, where gradients or hooks need the layers, on a GPU, in half
        precision, in a compiled or exported graph, and without the operators of oneDNN.
    """
    if network.training or torch.compiler.is_compiling() or torch._C._is_tracing():
        return False
    tensors = [pixels, *network.parameters()]
    needs_gradient = torch.is_grad_enabled() and any(x.requires_grad for x in tensors)
    return not (
        needs_gradient
        or torch.is_autocast_enabled("cpu")
        or not _has_operators()
        or any(map(_is_unsuitable, tensors))
        or any(map(_has_hooks, network.modules()))
    )


def _has_operators() -> bool:
    # they are not part of the documented interface of torch
    names = ("_reorder_convolution_weight", "_convolution_pointwise")
    return torch._C._has_mkldnn and all(hasattr(torch.ops.mkldnn, name) for name in names)


def _is_unsuitable(tensor: Tensor) -> bool:
    return (
        tensor.device.type != "cpu"
        or tensor.dtype != torch.float32
        or isinstance(tensor, FakeTensor)
        or (isinstance(tensor, nn.Parameter) and tensor.is_inference())  # has no version
    )


def _has_hooks(module: nn.Module) -> bool:
    hooks: Iterable[Any] = (
        module._forward_hooks,
        module._forward_pre_hooks,
        module._backward_hooks,
    )
    return any(hooks)
