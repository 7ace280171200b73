"""One vector per hidden state of a pre-trained vision network.

The vector of a hidden state is its class token. A network without a class token (SigLIP, VideoMAE)
has the mean over its patches instead. The last vector is the pooled output of the network where its
pre-training used one: the normalised class token in CLIP and DINOv2, the attention pooling of
SigLIP, the normalised mean over the patches in BEiT. These are the vectors to which the published
classifiers are attached; register tokens are never used.
"""

from typing import Any

from torch import Tensor, nn

CLASS_TOKENS = ("cls_token", "class_embedding")


def has_class_token(network: nn.Module) -> bool:
    """Tell whether the first token of a network is a class token.

    Parameters
    ----------
    network : Module
        A vision network of transformers.

    Returns
    -------
    bool
        True if it has a parameter with the name of a class token.
    """
    names = (name.rpartition(".")[2] for name, _ in network.named_parameters())
    return any(name in CLASS_TOKENS for name in names)


def state_vectors(output: Any, class_token: bool) -> list[Tensor]:
    """Reduce each hidden state to one vector per image or clip.

    Parameters
    ----------
    output : ModelOutput
        Output of the network with ``output_hidden_states=True``.
    class_token : bool
        Whether the first token is a class token.

    Returns
    -------
    list of Tensor, shape (N, H)
        One per hidden state.
    """
    states = [*output.hidden_states[:-1], output.last_hidden_state]
    vectors = [state[:, 0] if class_token else state.mean(dim=1) for state in states]
    pooled = getattr(output, "pooler_output", None)
    return vectors if pooled is None else [*vectors[:-1], pooled]
