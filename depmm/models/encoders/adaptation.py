"""Low-rank updates (LoRA) of the linear layers of a pre-trained network, by the library peft.

References
----------
Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022, arXiv:2106.09685.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from torch import nn

from depmm.models.errors import ModelError

Adaptation = Literal["frozen", "lora", "full"]


def is_update(name: str) -> bool:
    """Tell whether a tensor belongs to a low-rank update.

    Parameters
    ----------
    name : str
        Name of the tensor in the network.

    Returns
    -------
    bool
        True for the matrices A and B of the paper.
    """
    return ".lora_A." in name or ".lora_B." in name


def attention_projections(network: nn.Module) -> list[str]:
    """List the linear layers of the attention layers.

    Parameters
    ----------
    network : Module
        A network of transformers, whose classes of attention layers contain "Attention".

    Returns
    -------
    list of str
        Names of the projections of queries, keys, values and the output. Layers within attention
        that read another number of features, such as the gates of positions in WavLM, are left
        out, and so is the perceptron after the attention pooling of SigLIP.
    """
    found: dict[str, int] = {}
    for prefix, module in network.named_modules():
        if "Attention" in type(module).__name__:
            for name, layer in module.named_modules():
                # nn.MultiheadAttention passes the weights of a subclass to a function
                if type(layer) is nn.Linear and not name.startswith("mlp."):
                    found[f"{prefix}.{name}"] = layer.in_features
    [(usual, _)] = Counter(found.values()).most_common(1) or [(0, 0)]
    return sorted(name for name, size in found.items() if size == usual)


def add_low_rank_updates(
    network: nn.Module, kind: str, rank: int, alpha: float, dropout: float, targets: list[str]
) -> None:
    """Add a trainable update ``alpha / rank * B A`` to the weights of linear layers, in place.

    ``B`` is zero, so that the output of the network does not change (Sec. 4.1).

    Parameters
    ----------
    network : Module
        The network.
    kind : str
        Kind of the encoder, for messages.
    rank : int
        Rank of the update.
    alpha : float
        Scale of the update.
    dropout : float
        Dropout rate of the input of the update.
    targets : list of str
        Names, or last parts of names, of linear layers; empty for `attention_projections`.

    Raises
    ------
    ModelError
        If peft is not installed, or the network has no linear layer of these names.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ModelError(
            f"{kind}: adaptation: lora needs the library peft ({error}).",
            setting="adaptation",
            value="lora",
            remedy='Install it: pip install "depmm[lora]". Or set adaptation to frozen or full.',
        ) from None
    linear = [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    chosen = targets or attention_projections(network)
    missing = [
        target
        for target in chosen
        if not any(name == target or name.endswith(f".{target}") for name in linear)
    ]
    if missing or not chosen:
        names = sorted({name.rpartition(".")[2] for name in linear})
        raise ModelError(
            f"{kind}: the network has no linear layer {', '.join(missing) or 'in its attention'}. "
            f"Set lora.targets to some of {', '.join(names)}.",
            setting="lora.targets",
            value=missing,
        )
    settings = LoraConfig(
        r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=chosen, bias="none"
    )
    inject_adapter_in_model(settings, network)
    for name, module in network.named_modules():
        if is_update(f"{name}."):
            # else the model around the network initialises the updates again, not at zero
            module.__dict__["_is_hf_initialized"] = True


@contextmanager
def require_updates(network: nn.Module, kind: str) -> Iterator[None]:
    """Check that the network uses every layer that has an update.

    A network that reads the weights of a layer without calling it would train without its update.

    Parameters
    ----------
    network : Module
        The network, which must run in the context.
    kind : str
        Kind of the encoder, for messages.

    Yields
    ------
    None
        Nothing.

    Raises
    ------
    ModelError
        If a layer was not called.
    """
    unused = {name: m for name, m in network.named_modules() if hasattr(m, "lora_A")}
    handles = [
        module.register_forward_hook(lambda *_, name=name: unused.pop(name, None) and None)
        for name, module in unused.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
    if unused:
        raise ModelError(
            f"{kind}: the network does not call the layer {min(unused)}, so that its low-rank "
            "update would have no effect. Choose other layers in lora.targets.",
            setting="lora.targets",
            value=sorted(unused),
        )
