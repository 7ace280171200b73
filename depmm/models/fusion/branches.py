"""Predictions from the concatenated parts of all modalities, and from the part of each alone."""

from collections.abc import Callable

import torch
from torch import Tensor


def predict_branches(
    predict: Callable[[Tensor], Tensor], parts: dict[str, Tensor]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Predict from all parts, and from each part with zeros in place of the others.

    A missing modality has a part of zeros too: the logits of a branch are those of a session that
    has only this part.

    Parameters
    ----------
    predict : callable
        Maps concatenated parts of shape (N, F) to logits of shape (N, out).
    parts : dict of str to Tensor, shape (B, F_name)
        Part of each modality, in the order in which they are concatenated.

    Returns
    -------
    fused : Tensor, shape (B, out)
        Logits of all parts.
    branch_logits : dict of str to Tensor, shape (B, out)
        Logits of each part alone.
    """
    joined = torch.cat(list(parts.values()), dim=-1)
    if len(parts) == 1:
        fused = predict(joined)
        return fused, dict.fromkeys(parts, fused)
    alone = [
        torch.cat([x if n == name else torch.zeros_like(x) for n, x in parts.items()], dim=-1)
        for name in parts
    ]
    fused, *branches = predict(torch.cat([joined, *alone])).chunk(len(parts) + 1)
    return fused, dict(zip(parts, branches, strict=True))
