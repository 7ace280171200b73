"""DEP-Former as in the code that its authors released, which differs from the figure of the paper.

Inputs of the release are a face map of 224 x 224 and 1000 voice values per word, for 24 words. From
top to bottom: the adapter with shared layers; one encoder for both modalities together and *one*
for face and voice; in the latter, an attention sharing unit after every stack; cross-attention with
the face as query; two output layers; logits added with fixed weights.

Deviations, without which a prediction would depend on the other sessions of the batch or on random
numbers, or a parameter would never be trained:

- The release ranks the confidence of the attention sharing unit within the batch, uses the shared
  index for the lower half, swaps the rows of the halves, and never trains the confidence. Here the
  attention with both indices is mixed by the confidence of the session.
- The sparsity of a query is computed from all keys, not from a random sample.
- Missing steps are masked. Halved lengths are rounded up; at 24 steps this changes nothing.

BatchNorm is that of the release: in training, it uses the statistics of the existing steps of the
batch over all processes; in evaluation, its running statistics.

References
----------
Ye et al., "DEP-Former", IEEE TCSVT 35(3), 2025; github.com/QLUTEmoTechCrew/DEP-Former,
``model/depformer.py``, ``encoder.py``, ``attention.py`` and ``embed.py``.
"""

from typing import cast

import torch
from torch import Tensor, nn

from depmm.models.batch_norm import MaskedBatchNorm1d
from depmm.models.errors import ModelError
from depmm.models.fusion.dep_former.attention_sharing import (
    AttentionSharing,
    QueryConfidence,
    SharedIndex,
)
from depmm.models.fusion.dep_former.fusion import BernoulliFusion, CrossAttention
from depmm.models.fusion.dep_former.layers import (
    CircularConvolution,
    EncoderLayer,
    LayerPosition,
    StepEmbedding,
    Steps,
    check_num_steps,
    last_steps,
    max_pool,
    zero_missing,
)
from depmm.models.fusion.dep_former.sparse_attention import SparseAttention


class SharedAdapter(nn.Module):
    """Project face and voice; LayerNorm and second layer are shared (``Depformer.Adapter``).

    Parameters
    ----------
    in_dims : dict of str to int
        Feature size of each modality.
    hidden_dim, embed_dim : int
        Hidden and output size (1000 and 128 in the release).
    """

    def __init__(self, in_dims: dict[str, int], hidden_dim: int, embed_dim: int) -> None:
        super().__init__()
        self.first = nn.ModuleDict({n: nn.Linear(dim, hidden_dim) for n, dim in in_dims.items()})
        self.norm = nn.LayerNorm(hidden_dim)
        self.second = nn.Linear(hidden_dim, embed_dim)

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Project the features of each modality.

        Parameters
        ----------
        features : dict of str to Tensor, shape (B, L, in_dim)
            Features of each step.

        Returns
        -------
        dict of str to Tensor, shape (B, L, D)
            One entry per input modality.
        """
        return {
            name: nn.functional.silu(self.second(self.norm(self.first[name](x))))
            for name, x in features.items()
        }


class Distilling(nn.Module):
    """Halve the steps: circular convolution, BatchNorm, ELU, max-pooling (``ConvLayer``).

    Parameters
    ----------
    embed_dim : int
        Size of the steps, `D`.
    """

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.convolution = CircularConvolution(embed_dim, embed_dim)
        self.norm = MaskedBatchNorm1d(embed_dim)

    def forward(self, steps: Steps) -> Steps:
        """Halve the steps.

        Parameters
        ----------
        steps : Steps
            Features of shape (B, L, D).

        Returns
        -------
        Steps
            ``ceil(L / 2)`` positions.
        """
        x = self.convolution(steps)
        x = self.norm(x.transpose(1, 2).contiguous(), steps.mask).transpose(1, 2)
        return max_pool(steps._replace(x=nn.functional.elu(x)))


class StackedEncoder(nn.Module):
    """Encode steps with stacks of attention layers and concatenate their tokens (``Encoder``).

    All stacks end with ``ceil(L / 2^(n_stacks - 1))`` tokens: 6 + 6 + 6 for 24 steps.

    Parameters
    ----------
    in_dim : int
        Size of the step features.
    num_steps : int
        Number of steps, `L`.
    embed_dim, n_heads, head_dim, ffn_dim : int
        Sizes (224, 8, 64 and 32 in the release).
    n_stacks : int
        Stack ``i`` has ``n_stacks - i`` layers and reads the last ``ceil(L / 2^i)`` steps.
    sampling_factor : int
        `c` of ``u = floor(c ln L)``.
    dropout : float
        Dropout probability.
    shares : bool
        Whether an attention sharing unit with the index of another encoder follows each stack. The
        stacks use the same unit.
    """

    def __init__(
        self,
        in_dim: int,
        num_steps: int,
        embed_dim: int,
        n_heads: int,
        head_dim: int,
        ffn_dim: int,
        n_stacks: int,
        sampling_factor: int,
        dropout: float,
        shares: bool,
    ) -> None:
        super().__init__()

        def build_attention() -> SparseAttention:
            return SparseAttention(embed_dim, n_heads, head_dim, sampling_factor, "floor")

        self.embedding = StepEmbedding(in_dim, embed_dim, dropout)
        self.stacks = nn.ModuleList(
            nn.ModuleList(
                EncoderLayer(build_attention(), embed_dim, ffn_dim, dropout)
                for _ in range(n_stacks - stack)
            )
            for stack in range(n_stacks)
        )
        self.distilling = nn.ModuleList(
            nn.ModuleList(Distilling(embed_dim) for _ in range(n_stacks - stack - 1))
            for stack in range(n_stacks)
        )
        self.norm = nn.LayerNorm(embed_dim)
        self.sharing_unit: EncoderLayer | None = None
        if shares:
            n_tokens = -(-num_steps // 2 ** (n_stacks - 1))
            confidence = QueryConfidence(n_heads * n_tokens * head_dim)
            unit = AttentionSharing(build_attention(), confidence)
            self.sharing_unit = EncoderLayer(unit, embed_dim, ffn_dim, dropout)
        self.positions: list[LayerPosition] = []
        for stack in range(n_stacks):
            last = n_stacks - stack - 1
            halvings = [*range(last + 1), *([last] if shares else [])]
            self.positions += [
                LayerPosition(stack, layer, halved, 2**stack)
                for layer, halved in enumerate(halvings)
            ]

    def forward(self, steps: Steps, shared: SharedIndex | None = None) -> tuple[Steps, SharedIndex]:
        """Encode the steps.

        Parameters
        ----------
        steps : Steps
            Features of shape (B, L, in_dim).
        shared : SharedIndex, optional
            Index of the other encoder's last layer, for an encoder that shares it.

        Returns
        -------
        tokens : Steps
            Features of shape (B, N, D), the tokens of all stacks.
        index : SharedIndex
            Query selection of the last layer.
        """
        embedded = self.embedding(steps)
        outputs: list[Steps] = []
        for stack, layers in enumerate(self.stacks):
            tokens = last_steps(embedded, 2**stack)
            for position, layer in enumerate(cast(nn.ModuleList, layers)):
                if position > 0:
                    tokens = cast(nn.ModuleList, self.distilling[stack])[position - 1](tokens)
                tokens, index = layer(tokens, None)
            tokens = tokens._replace(x=self.norm(tokens.x))
            if self.sharing_unit is not None:
                changed, _ = self.sharing_unit(tokens, shared)
                tokens = tokens._replace(x=tokens.x + self.norm(changed.x))
            outputs.append(tokens)
        masks = [output.mask for output in outputs if output.mask is not None]
        x = torch.cat([output.x for output in outputs], dim=1)
        return Steps(x, torch.cat(masks, dim=1) if masks else None, None), index


class DepFormerRelease(nn.Module):
    """Fuse the step features of face and audio into one prediction per session (``Depformer``).

    Parameters
    ----------
    in_dims : dict of str to int
        Feature size of ``audio`` and ``face`` (1000 and 50176 in the release).
    out_features : int
        Logits per session (2 in the release).
    num_steps : int
        Number of steps of every session (24 in the release).
    adapter_hidden_dim, adapter_dim : int
        Hidden and output size of the adapter.
    embed_dim, n_heads, head_dim, ffn_dim, n_stacks, sampling_factor : int
        As in ``StackedEncoder``.
    dropout : float
        Dropout probability of encoders and cross-attention.

    Attributes
    ----------
    encoder_order : list of str
        Names of the encoders, in the order of their calls.
    branches : list of str
        Names of the branches.

    Raises
    ------
    ModelError
        If the modalities are not ``audio`` and ``face``.
    """

    def __init__(
        self,
        in_dims: dict[str, int],
        out_features: int,
        num_steps: int,
        adapter_hidden_dim: int,
        adapter_dim: int,
        embed_dim: int,
        n_heads: int,
        head_dim: int,
        ffn_dim: int,
        n_stacks: int,
        sampling_factor: int,
        dropout: float,
    ) -> None:
        super().__init__()
        if set(in_dims) != {"audio", "face"}:
            raise ModelError(
                f"The fusion dep_former_release needs the modalities audio and face, not "
                f"{', '.join(sorted(in_dims))}. For other modalities, set model.fusion.kind to "
                "dep_former.",
                setting="model.fusion.kind",
                value="dep_former_release",
            )
        self.num_steps = num_steps
        self.encoder_order = ["multimodal", "face", "audio"]
        self.branches = ["multimodal", "cross", "face", "audio"]
        self.adapter = SharedAdapter(in_dims, adapter_hidden_dim, adapter_dim)
        self.multimodal_encoder, self.unimodal_encoder = (
            StackedEncoder(
                in_dim=in_dim,
                num_steps=num_steps,
                embed_dim=embed_dim,
                n_heads=n_heads,
                head_dim=head_dim,
                ffn_dim=ffn_dim,
                n_stacks=n_stacks,
                sampling_factor=sampling_factor,
                dropout=dropout,
                shares=shares,
            )
            for in_dim, shares in ((2 * adapter_dim, False), (adapter_dim, True))
        )
        self.cross = CrossAttention(embed_dim, n_heads, head_dim, dropout)
        n_tokens = n_stacks * -(-num_steps // 2 ** (n_stacks - 1))
        self.multimodal_output = nn.Linear(n_tokens * embed_dim, out_features)
        self.output = nn.Linear(n_tokens * embed_dim, out_features)
        self.fusion = BernoulliFusion(self.branches, learned=False)

    def forward(
        self, features: dict[str, Tensor], masks: dict[str, Tensor], complete: bool = False
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Predict from encoded steps.

        Parameters
        ----------
        features : dict of str to Tensor, shape (B, L, in_dim)
            Features of each step, for each modality.
        masks : dict of str to Tensor, shape (B, L), bool
            Steps that have the modality. If it is False everywhere, the modality is missing.
        complete : bool, default False
            Whether every session has every step in every modality, so that no mask is needed.

        Returns
        -------
        fused : Tensor, shape (B, out)
            Logits of each session.
        branch_logits : dict of str to Tensor, shape (B, out)
            Logits of each branch before they are added.

        Raises
        ------
        ModelError
            If the number of steps differs from ``num_steps``.
        """
        check_num_steps(features["face"].shape[1], self.num_steps)
        face_mask, audio_mask = (None, None) if complete else (masks["face"], masks["audio"])
        x = self.adapter(
            {
                "face": zero_missing(features["face"], face_mask),
                "audio": zero_missing(features["audio"], audio_mask),
            }
        )
        face, audio = zero_missing(x["face"], face_mask), zero_missing(x["audio"], audio_mask)
        any_mask = None if complete else masks["face"] | masks["audio"]
        joined = Steps(torch.cat([face, audio], dim=-1), any_mask, None)
        multimodal, index = self.multimodal_encoder(joined)
        face_tokens, _ = self.unimodal_encoder(Steps(face, face_mask, None), index)
        audio_tokens, _ = self.unimodal_encoder(Steps(audio, audio_mask, None), index)
        cross = self.cross(face_tokens.x, audio_tokens.x, multimodal.x, audio_tokens.mask)
        logits = {
            "multimodal": self.multimodal_output(_flatten(multimodal)),
            "cross": self.output(_flatten(face_tokens._replace(x=cross))),
            "face": self.output(_flatten(face_tokens)),
            "audio": self.output(_flatten(audio_tokens)),
        }
        present = None if complete else self.present_branches(masks)
        return self.fusion(torch.stack(list(logits.values()), dim=1), present), logits

    def present_branches(self, masks: dict[str, Tensor]) -> Tensor:
        """Find the branches whose modalities each session has.

        Parameters
        ----------
        masks : dict of str to Tensor, shape (B, L), bool
            Steps that have the modality.

        Returns
        -------
        Tensor, shape (B, 4), bool
            In the order of ``branches``.
        """
        face, audio = masks["face"].any(dim=1), masks["audio"].any(dim=1)
        return torch.stack([face | audio, face & audio, face, audio], dim=1)


def _flatten(tokens: Steps) -> Tensor:
    return zero_missing(tokens.x, tokens.mask).flatten(1)
