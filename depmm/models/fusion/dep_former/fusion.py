"""Cross-attention and Bernoulli fusion, which combine the encoders of DEP-Former.

References
----------
Ye et al., "DEP-Former", IEEE TCSVT 35(3), 2025, figure, part (a).
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

TEMPERATURE = 2 / 3  # Maddison et al., ICLR 2017, Appendix C: best for binary variables
RELEASE_WEIGHTS = {"multimodal": 1.0}
OTHER_RELEASE_WEIGHT = 0.1  # of cross, face and audio, and therefore of any further modality


class CrossAttention(nn.Module):
    """Attention whose query, key and value come from three encoders (part MCA).

    In the figure, the query is audio, the key is the face and the value is multimodal; in the
    release, the query is the face. As in the release, the query tokens are added before the norm
    (residual connection), and the projections have no bias.

    Parameters
    ----------
    embed_dim : int
        Size of all tokens, `D`.
    n_heads : int
        Number of heads, `H`.
    head_dim : int
        Size of each head.
    dropout : float
        Dropout probability of the attended values.
    """

    def __init__(self, embed_dim: int, n_heads: int, head_dim: int, dropout: float) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query = nn.Linear(embed_dim, n_heads * head_dim, bias=False)
        self.key = nn.Linear(embed_dim, n_heads * head_dim, bias=False)
        self.value = nn.Linear(embed_dim, n_heads * head_dim, bias=False)
        self.out = nn.Linear(n_heads * head_dim, embed_dim, bias=False)
        self.norm = nn.LayerNorm(embed_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None) -> Tensor:
        """Attend.

        Parameters
        ----------
        query, key, value : Tensor, shape (B, N, D)
            Tokens of three encoders.
        key_mask : Tensor, shape (B, N), bool, or None
            Valid tokens of key and value; None if all are.

        Returns
        -------
        Tensor, shape (B, N, D)
            Attended tokens.
        """
        q, k, v = (
            project(x).unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
            for project, x in ((self.query, query), (self.key, key), (self.value, value))
        )
        mask = None
        if key_mask is not None:
            # a session without the key modality attends to padding; the fusion masks its branch
            mask = (key_mask | ~key_mask.any(dim=1, keepdim=True))[:, None, None]
        attended = scaled_dot_product_attention(q, k, v, attn_mask=mask)
        attended = self.out(attended.transpose(1, 2).flatten(2))
        tokens: Tensor = self.norm(query + self.dropout(attended))
        return tokens


class BernoulliFusion(nn.Module):
    """Add the branches with Bernoulli gates (part FFP).

    The result is ``sum_k g_k z_k`` with gates ``g_k ~ Bernoulli(p_k)``, where ``z_k`` are the
    features or the logits of a branch. In training the gates are relaxed to binary concrete
    variables (Maddison et al., ICLR 2017, Sec. 3.3), so that ``p_k`` is learned; in evaluation
    their expectation ``p_k`` is used; ``sample`` draws binary gates for a Monte-Carlo estimate. The
    release uses fixed weights instead: 1 for the multimodal branch, .1 for the others.

    If the modality of a branch is missing in a session, its branch is ignored and the remaining
    gates are scaled so that the expected sum of gates stays the same.

    Parameters
    ----------
    branches : list of str
        Names of the branches, in the order of the stacked features or logits.
    learned : bool
        Whether the gates are Bernoulli variables with learned probability; if False, the fixed
        weights of the release are used.
    """

    fixed: Tensor

    def __init__(self, branches: list[str], learned: bool) -> None:
        super().__init__()
        self.branches = list(branches)
        self.learned = learned
        if learned:
            self.gate_logit = nn.Parameter(torch.zeros(len(branches)))
        else:
            fixed = torch.tensor(
                [RELEASE_WEIGHTS.get(name, OTHER_RELEASE_WEIGHT) for name in branches]
            )
            self.register_buffer("fixed", fixed)

    def probabilities(self) -> Tensor:
        """Return the probability of each gate, or the fixed weight, in float32.

        Returns
        -------
        Tensor, shape (K,)
            One value per branch.
        """
        return torch.sigmoid(self.gate_logit.float()) if self.learned else self.fixed.float()

    def forward(self, branches: Tensor, present: Tensor | None) -> Tensor:
        """Add the branches.

        Parameters
        ----------
        branches : Tensor, shape (B, K, F)
            Features or logits of each branch.
        present : Tensor, shape (B, K), bool, or None
            Branches whose modalities each session has; None if all are present.

        Returns
        -------
        Tensor, shape (B, F)
            Weighted sum in float32.
        """
        gates = self.probabilities().expand(branches.shape[:2])
        if self.learned and self.training:
            uniform = torch.rand_like(gates).clamp(1e-6, 1 - 1e-6)
            gates = torch.sigmoid((self.gate_logit.float() + torch.logit(uniform)) / TEMPERATURE)
        return self._add_weighted(branches, gates, present)

    def sample(
        self, branches: Tensor, present: Tensor | None, n_samples: int, generator: torch.Generator
    ) -> Tensor:
        """Add with sampled binary gates, to measure how much a prediction depends on branches.

        Parameters
        ----------
        branches : Tensor, shape (B, K, F)
            As in ``forward``.
        present : Tensor, shape (B, K), bool, or None
            As in ``forward``.
        n_samples : int
            Number of samples, `S`.
        generator : Generator
            Source of random numbers; a generator on the CPU gives the same samples on any device.

        Returns
        -------
        Tensor, shape (S, B, F)
            Weighted sum of each sample.
        """
        shape = (n_samples, *branches.shape[:2])
        uniform = torch.rand(shape, generator=generator, device=generator.device)
        gates = uniform.to(branches.device) < self.probabilities()
        return self._add_weighted(branches, gates, present)

    def _add_weighted(self, branches: Tensor, gates: Tensor, present: Tensor | None) -> Tensor:
        expected = self.probabilities()
        weight = gates.to(expected.dtype)
        if present is not None:
            available = present.to(expected.dtype)
            scale = expected.sum() / (expected * available).sum(-1, keepdim=True).clamp(min=1e-6)
            weight = weight * available * scale
        with torch.autocast(branches.device.type, enabled=False):  # added in float32
            return torch.einsum("...bk,bkf->...bf", weight, branches.to(weight.dtype))
