"""Attention of transformers with masks whose values are not read from the device."""

from types import MethodType
from typing import Any

from einops import rearrange
from torch import Tensor, nn

ATTENTION = "depmm_sdpa"
EAGER = "depmm_eager"  # the masks of networks that compute their attention themselves


def register_attention() -> None:
    """Register the attention of PyTorch, which is ``sdpa`` in transformers, with another mask.

    Transformers asks the device whether all positions are valid, to leave the mask out. Here the
    host knows it, and passes no mask then. The name of the attention, for ``attn_implementation``,
    is ``ATTENTION``; ``EAGER`` has masks only.

    References
    ----------
    https://huggingface.co/docs/transformers/attention_interface
    """
    # imported here because of depmm.auto_classes
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import eager_mask, sdpa_mask

    def without_question(build: Any) -> Any:
        def build_mask(
            *args: Any, attention_mask: Tensor | None = None, **kwargs: Any
        ) -> Tensor | None:
            kwargs["allow_is_bidirectional_skip"] = attention_mask is None
            mask: Tensor | None = build(*args, attention_mask=attention_mask, **kwargs)
            return mask

        return build_mask

    AttentionInterface.register(ATTENTION, sdpa_attention_forward)
    AttentionMaskInterface.register(ATTENTION, without_question(sdpa_mask))
    AttentionMaskInterface.register(EAGER, without_question(eager_mask))


def replace_attention(network: nn.Module) -> None:
    """Replace the attention of WavLM, in place, by one that calls its projections as modules.

    WavLM passes the weights of its projections to a function of PyTorch, which would ignore
    low-rank updates of the projections.

    Parameters
    ----------
    network : Module
        A network of transformers; other attention is not changed.
    """
    for module in network.modules():
        if hasattr(module, "torch_multi_head_self_attention"):
            attend = MethodType(attend_with_bias, module)
            module.__dict__["torch_multi_head_self_attention"] = attend


def attend_with_bias(
    module: Any, hidden_states: Tensor, attention_mask: Tensor | None, position_bias: Tensor
) -> tuple[Tensor, None]:
    """Compute multi-head self-attention with a bias, as ``torch_multi_head_self_attention``.

    Parameters
    ----------
    module : WavLMAttention
        The attention layer.
    hidden_states : Tensor, shape (N, T, H)
        Input.
    attention_mask : Tensor, shape (N, T), or None
        1 at valid frames.
    position_bias : Tensor, shape (N * heads, T, T)
        Added to the scores.

    Returns
    -------
    output : Tensor, shape (N, T, H)
        Output of the layer.
    weights : None
        The weights are not returned.
    """
    heads = module.num_heads
    query, key, value = (
        rearrange(project(hidden_states), "n t (h d) -> n h t d", h=heads)
        for project in (module.q_proj, module.k_proj, module.v_proj)
    )
    bias = rearrange(position_bias, "(n h) q k -> n h q k", h=heads).to(query.dtype)
    if attention_mask is not None:
        bias = bias.masked_fill((attention_mask != 1)[:, None, None], float("-inf"))
    output = nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=bias, dropout_p=module.dropout if module.training else 0.0
    )
    return module.out_proj(rearrange(output, "n h t d -> n t (h d)")), None
