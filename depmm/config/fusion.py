"""Settings of the fusion of steps and modalities."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from depmm.config.settings import ConfigError, Modality, Settings

# values of model.fusion.cross_attention before it named modalities
EARLY_CROSS_ATTENTION = {
    "audio_query": "[audio, face]",
    "face_query": "[face, audio]",
    "none": "[]",
}


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
    multimodal_branch: bool = Field(
        True,
        description="whether an encoder reads all modalities together; without it, no query "
        "selection is shared (attention_sharing none), and the values of the cross-attention are "
        "those of its keys",
    )
    attention_sharing: Literal["after_encoders", "every_layer", "none"] = Field(
        "after_encoders",
        description="use of the multimodal encoder's query selection in the encoders of the "
        "modalities: in one attention sharing unit after their blocks (figure of the paper), in "
        "every layer, or none",
    )
    cross_attention: list[Modality] = Field(
        ["audio", "face"],
        description="modality of the query and modality of the key of the cross-attention branch, "
        "whose value is multimodal: [audio, face] (figure of the paper), [face, audio] (released "
        "code), any other two, or [] (without the branch); no effect with one modality",
    )
    fuse: Literal["features", "logits"] = Field(
        "features",
        description="features: the branches are added and one layer predicts (figure of the "
        "paper); logits: each branch predicts, and the logits are added",
    )
    fusion_weights: Literal["bernoulli", "fixed"] = Field(
        "bernoulli",
        description="weights of the branches: bernoulli (learned Bernoulli gates) or fixed (as in "
        "the released code: 1 for the multimodal branch, .1 for each other one)",
    )
    num_steps: int | None = Field(
        None,
        ge=1,
        description="number of steps, if all sessions have exactly this many steps in the same "
        "order; the tokens of all positions are then concatenated. Default: any number of steps, "
        "whose tokens are averaged",
    )

    @field_validator("cross_attention", mode="before")
    @classmethod
    def _cross_attention_is_a_list(cls, value: Any) -> Any:
        if isinstance(value, str):
            now = EARLY_CROSS_ATTENTION.get(value, "[audio, face]")
            raise ConfigError(
                f"model.fusion.cross_attention is {value!r}, but is a list of two modalities.",
                setting=None,
                value=value,
                remedy=f"Write {now}. In a run of an early version of depmm, change config.yaml "
                "and config.json, and remove their lines from SHA256SUMS; or train it again.",
            )
        return value

    @model_validator(mode="after")
    def _sharing_needs_a_source(self) -> "DepFormerConfig":
        if not self.multimodal_branch and self.attention_sharing != "none":
            raise ConfigError(
                f"model.fusion.attention_sharing is {self.attention_sharing}, but without the "
                "multimodal branch there is no query selection to share: set it to none.",
                setting="attention_sharing",
                value=self.attention_sharing,
            )
        return self

    @model_validator(mode="after")
    def _cross_attention_has_two_modalities(self) -> "DepFormerConfig":
        if len(self.cross_attention) not in (0, 2) or len(set(self.cross_attention)) == 1:
            raise ConfigError(
                f"model.fusion.cross_attention is {self.cross_attention}: give two modalities, "
                "that of the query and that of the key, or an empty list for no cross-attention.",
                setting="cross_attention",
                value=self.cross_attention,
            )
        return self


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


class CrossModalTransformerConfig(Settings):
    """MulT (Tsai et al., ACL 2019); default sizes and dropout are those of the authors' code."""

    kind: Literal["cross_modal_transformer"] = Field(description="selects this fusion")
    embed_dim: int = Field(30, ge=1, description="width of each modality")
    n_heads: int = Field(5, ge=1, description="number of attention heads; divides embed_dim")
    n_layers: int = Field(5, ge=1, description="layers of each cross-modal transformer")
    n_self_layers: int = Field(
        5, ge=1, description="layers of the transformer over the concatenated sources"
    )
    kernel_size: int = Field(
        1, ge=1, description="steps of the temporal convolution, an odd number"
    )
    pooling: Literal["last", "mean"] = Field(
        "last",
        description="what predicts: the last step of each modality (paper), or the mean over steps",
    )
    dropout: float = Field(
        0.1, ge=0, lt=1, description="dropout rate of attention, feed-forward layers and residuals"
    )
    embed_dropout: float = Field(
        0.25, ge=0, lt=1, description="dropout rate of the inputs of each transformer"
    )
    output_dropout: float = Field(
        0.0, ge=0, lt=1, description="dropout rate of the residual block before the output"
    )

    @model_validator(mode="after")
    def _sizes_fit(self) -> "CrossModalTransformerConfig":
        if self.embed_dim % self.n_heads:
            raise ConfigError(
                f"model.fusion.embed_dim is {self.embed_dim}, which {self.n_heads} heads cannot "
                "share equally: choose a multiple of n_heads.",
                setting="embed_dim",
                value=self.embed_dim,
            )
        if self.kernel_size % 2 == 0:
            raise ConfigError(
                f"model.fusion.kernel_size is {self.kernel_size}, but only an odd number keeps the "
                "number of steps: choose 1, 3 or 5.",
                setting="kernel_size",
                value=self.kernel_size,
            )
        return self


class PerceiverConfig(Settings):
    """Perceiver of Gimeno-Gómez et al. (ECIR 2024), at the sizes of their config of D-Vlog."""

    kind: Literal["perceiver"] = Field(description="selects this fusion")
    n_latents: int = Field(16, ge=1, description="number of latent vectors")
    latent_dim: int = Field(128, ge=1, description="size of a latent vector")
    context_dim: int = Field(
        256, ge=2, description="size to which the steps of each modality are projected"
    )
    n_heads: int = Field(8, ge=1, description="number of attention heads")
    head_dim: int = Field(32, ge=1, description="size of queries, keys and values per head")
    n_layers: int = Field(
        8,
        ge=1,
        description="layers of the latent transformer, which follows the cross-attention to each "
        "modality and has the same weights each time",
    )
    share_cross_attention: bool = Field(
        False,
        description="whether all modalities share one cross-attention and are told apart by "
        "learned tokens; false: one cross-attention per modality",
    )
    dropout: float = Field(
        0.1, ge=0, lt=1, description="dropout rate of attention and feed-forward layers"
    )


class DepMambaConfig(Settings):
    """DepMamba (Ye et al., arXiv 2409.15936); default sizes are those of its config of D-Vlog."""

    kind: Literal["dep_mamba"] = Field(description="selects this fusion")
    embed_dim: int = Field(256, ge=1, description="size to which each modality is projected")
    layers: list[int] = Field(
        [256], min_length=1, description="output size of each collaborative block"
    )
    expand: int = Field(4, ge=1, description="inner size of the scans relative to their input")
    state_dim: int = Field(12, ge=1, description="number of states of each inner dimension")
    conv_width: int = Field(4, ge=1, description="steps of the causal convolution before a scan")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout rate of the convolutions")


class GruAttentionConfig(Settings):
    """Bidirectional GRU with additive attention over steps per modality, concatenated."""

    kind: Literal["gru_attention"] = Field(description="selects this fusion")
    hidden_dim: int = Field(64, ge=1, description="size of the state of each direction")
    attention_dim: int = Field(64, ge=1, description="hidden size of the attention")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout rate before the head")


class GatedMultimodalUnitConfig(Settings):
    """Gated multimodal unit (Arevalo et al., 2017) at each step, then the mean over steps."""

    kind: Literal["gated_multimodal_unit"] = Field(description="selects this fusion")
    hidden_dim: int = Field(512, ge=1, description="output size of the unit")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout rate before the head")


class MeanPoolConfig(Settings):
    """Masked mean over steps and modalities without interaction (late fusion)."""

    kind: Literal["mean_pool"] = Field(description="selects this fusion")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout rate before the head")


FusionConfig = Annotated[
    DepFormerConfig
    | DepFormerReleaseConfig
    | CrossModalTransformerConfig
    | PerceiverConfig
    | DepMambaConfig
    | GruAttentionConfig
    | GatedMultimodalUnitConfig
    | MeanPoolConfig,
    Field(discriminator="kind"),
]
