"""Settings of the fusion of steps and modalities."""

from typing import Annotated, Literal

from pydantic import Field

from depmm.config.settings import Settings


class DepFormerConfig(Settings):
    """DEP-Former as in the figure of Ye et al. (2025); default sizes are those of the release."""

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
    layers: list[int] = Field(
        [3, 3, 3],
        min_length=1,
        description="number of attention layers of each block; max-pooling between two blocks "
        "halves the steps",
    )
    sampling_factor: int = Field(
        5,
        ge=1,
        description="factor c of ProbSparse attention: u = c * ceil(ln L) of L queries attend; "
        "u >= L is dense attention",
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout rate")
    adapter: bool = Field(
        True, description="whether encoded steps pass through the modality adapter"
    )
    attention_sharing: Literal["after_encoders", "every_layer", "none"] = Field(
        "after_encoders",
        description="use of the multimodal encoder's query selection in the encoders of face and "
        "audio: in one attention sharing unit after their blocks (figure of the paper), in every "
        "layer, or none",
    )
    cross_attention: Literal["audio_query", "face_query", "none"] = Field(
        "audio_query",
        description="queries of the cross-attention branch: audio_query (figure of the paper), "
        "face_query (released code) or none (without the branch)",
    )
    fuse: Literal["features", "logits"] = Field(
        "features",
        description="features: the branches are added and one layer predicts (figure of the "
        "paper); logits: each branch predicts, and the logits are added",
    )
    fusion_weights: Literal["bernoulli", "fixed"] = Field(
        "bernoulli",
        description="weights of the branches: bernoulli (learned Bernoulli gates) or fixed (1, .1, "
        ".1, .1 as in the released code)",
    )
    num_steps: int | None = Field(
        None,
        ge=1,
        description="number of steps, if all sessions have exactly this many steps in the same "
        "order; the tokens of all positions are then concatenated. Default: any number of steps, "
        "whose tokens are averaged",
    )


class DepFormerReleaseConfig(Settings):
    """The wiring of DEP-Former's released code, at its sizes."""

    kind: Literal["dep_former_release"] = Field(description="selects this fusion")
    num_steps: int = Field(
        ge=1,
        description="number of steps of every session; the released code supports 24",
    )
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
    n_stacks: int = Field(
        3,
        ge=1,
        description="number of stacks n of an encoder; stack i has n - i attention layers and "
        "reads the last L / 2**i steps",
    )
    sampling_factor: int = Field(
        5, ge=1, description="factor c of ProbSparse attention: c ln L of L queries attend"
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout rate")


class MeanPoolConfig(Settings):
    """Masked mean over steps and modalities without interaction (late fusion)."""

    kind: Literal["mean_pool"] = Field(description="selects this fusion")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout rate before the head")


FusionConfig = Annotated[
    DepFormerConfig | DepFormerReleaseConfig | MeanPoolConfig, Field(discriminator="kind")
]
