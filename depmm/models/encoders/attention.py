"""Attention of transformers with a mask whose values are not read from the device."""

from typing import Any

from torch import Tensor

ATTENTION = "depmm_sdpa"


def register_attention() -> None:
    """Register the attention of PyTorch, which is ``sdpa`` in transformers, with another mask.

    With ``sdpa``, transformers asks the device whether all frames are valid, to leave the mask out.
    Here the host knows it, and passes no mask then.
    Its name, for ``attn_implementation``, is ``ATTENTION``.

    References
    ----------
    https://huggingface.co/docs/transformers/attention_interface
    """
    # imported here because of depmm.auto_classes
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import sdpa_mask

    def build_mask(
        *args: Any, attention_mask: Tensor | None = None, **kwargs: Any
    ) -> Tensor | None:
        kwargs["allow_is_bidirectional_skip"] = attention_mask is None
        mask: Tensor | None = sdpa_mask(*args, attention_mask=attention_mask, **kwargs)
        return mask

    AttentionInterface.register(ATTENTION, sdpa_attention_forward)
    AttentionMaskInterface.register(ATTENTION, build_mask)
