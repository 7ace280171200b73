"""Settings of the fusion of steps and modalities."""

from typing import Annotated, Literal

from pydantic import Field

from depmm.config.settings import Settings


class DepFormerConfig(Settings):
    """The five parts of DEP-Former (Ye et al., 2025); defaults are the sizes of the release."""

    kind: Literal["dep_former"] = Field(description="selects this fusion")
    adapter_hidden_dim: int = Field(
        1000, ge=1, description="size between the two linear layers of the modality adapter"
    )
    adapter_dim: int = Field(
        128, ge=1, description="output size of the modality adapter per modality"
    )
    embed_dim: int = Field(224, ge=2, description="size of a token in the attention encoders")
    n_heads: int = Field(8, ge=1, description="number of attention heads")
    head_dim: int = Field(64, ge=1, description="size of queries, keys and values per head")
    ffn_dim: int = Field(32, ge=1, description="hidden size of the feed-forward layers")
    stacks: list[int] = Field(
        [3, 2, 1],
        min_length=1,
        description="number of attention layers of each stack; stack i reads the last L / 2**i "
        "steps",
    )
    sampling_factor: int = Field(
        5,
        ge=1,
        description="factor c of ProbSparse attention: u = c ln L of L queries attend; u >= L is "
        "dense attention",
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout rate")
    adapter: bool = Field(
        True, description="whether encoded steps pass through the modality adapter"
    )
    share_indices: bool = Field(
        True,
        description="whether the query indices that the multimodal encoder selects are shared with "
        "the unimodal encoders (attention sharing unit)",
    )
    cross_attention: Literal["audio_query", "face_query", "none"] = Field(
        "audio_query",
        description="queries of the cross-attention branch: audio_query (figure of the paper), "
        "face_query (released code) or none (without the branch)",
    )
    fusion_weights: Literal["bernoulli", "fixed"] = Field(
        "bernoulli",
        description="weights of the branches: bernoulli (learned Bernoulli gates) or fixed (1, .1, "
        ".1, .1 as in the released code)",
    )
    fixed_steps: int | None = Field(
        None,
        ge=1,
        description="number of steps, if all sessions have exactly this many steps in the same "
        "order; each step then has separate output weights. Default: any number of steps, whose "
        "tokens are averaged",
    )


class MeanPoolConfig(Settings):
    """Masked mean over steps and modalities without interaction (late fusion)."""

    kind: Literal["mean_pool"] = Field(description="selects this fusion")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout rate before the head")


FusionConfig = Annotated[DepFormerConfig | MeanPoolConfig, Field(discriminator="kind")]
