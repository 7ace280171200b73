"""Bernoulli fusion of branch predictions (DEP-Former, part FFP).

The fused logit is ``sum_k g_k z_k`` with gates ``g_k ~ Bernoulli(p_k)``. In training the gates are
relaxed (binary concrete, Maddison et al. 2017, Sec. 3.3) so that p_k is learned; at evaluation the
expectation p_k takes their place; ``sample`` draws hard gates for a Monte-Carlo estimate. The
release has no Bernoulli term at all, but the fixed weights 1, .1, .1, .1: here an ablation.
"""

import torch
from torch import Tensor, nn

TEMPERATURE = 2 / 3  # Maddison et al. 2017, Appendix C: best for binary variables
RELEASE_WEIGHTS = {"multimodal": 1.0, "cross": 0.1, "face": 0.1, "audio": 0.1}


class BernoulliFusion(nn.Module):
    """Add branch predictions with gates.

    A branch that lacks in a session (its modality is missing) is left out, and the remaining gates
    are scaled so that the expected sum of gates stays the same.

    Parameters
    ----------
    branches : names of the branches, in the order of the stacked predictions
    learned : Bernoulli gates with learned probability; False: the release's fixed weights
    """

    fixed: Tensor

    def __init__(self, branches: list[str], learned: bool = True):
        super().__init__()
        self.branches = list(branches)
        self.learned = learned
        if learned:
            self.gate_logit = nn.Parameter(torch.zeros(len(branches)))
        else:
            fixed = torch.tensor([RELEASE_WEIGHTS[name] for name in branches])
            self.register_buffer("fixed", fixed)

    def probabilities(self) -> Tensor:
        """Gate probability (or fixed weight) of each branch, Tensor[K]."""
        return torch.sigmoid(self.gate_logit) if self.learned else self.fixed

    def forward(self, logits: Tensor, present: Tensor) -> Tensor:
        """Fuse.

        Parameters
        ----------
        logits : Tensor[B, K, out] branch predictions
        present : Tensor[B, K] bool, which branches each session has

        Returns
        -------
        Tensor[B, out]
        """
        expected = self.probabilities()
        gates = expected.expand(present.shape)
        if self.learned and self.training:
            uniform = torch.rand_like(gates).clamp(1e-6, 1 - 1e-6)
            noise = torch.logit(uniform)
            gates = torch.sigmoid((self.gate_logit + noise) / TEMPERATURE)
        return self._weighted(logits, gates, present)

    def sample(
        self, logits: Tensor, present: Tensor, draws: int, generator: torch.Generator
    ) -> Tensor:
        """Draw hard gates, Tensor[draws, B, out]: how much the prediction hangs on single branches.

        Parameters
        ----------
        logits, present : as in ``forward``
        draws : number of samples
        generator : seeded by the caller; on the CPU it draws the same for every device
        """
        shape = (draws, *present.shape)
        uniform = torch.rand(shape, generator=generator, device=generator.device)
        gates = uniform.to(logits.device) < self.probabilities()
        return self._weighted(logits, gates, present)

    def _weighted(self, logits: Tensor, gates: Tensor, present: Tensor) -> Tensor:
        expected = self.probabilities()
        there = present.to(expected.dtype)
        scale = expected.sum() / (expected * there).sum(-1, keepdim=True).clamp(min=1e-6)
        weight = gates * there * scale
        with torch.autocast(logits.device.type, enabled=False):  # fused without rounding
            return torch.einsum("...bk,bko->...bo", weight, logits.to(weight.dtype))
