"""DepressionModel: signals of the steps of a session -> one prediction, for every system here.

One encoder per modality turns each step into a vector; a fusion turns the vectors of all steps and
modalities into the prediction. Only steps that are there are encoded: padding costs nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

from depmm.config import (
    AttentionResNetConfig,
    DepFormerConfig,
    DepNetConfig,
    EmoAudioNetConfig,
    EncoderConfig,
    FaceMapConfig,
    FeatureCnnConfig,
    FrameMeanConfig,
    FusionConfig,
    MeanPoolConfig,
    MfccCnnConfig,
    ModelConfig,
    SEResNetConfig,
    SpectrogramCnnConfig,
    SpeechTransformerConfig,
    VoiceVectorConfig,
)
from depmm.models.encoders.attention_resnet import AttentionResNet
from depmm.models.encoders.depnet import DepNet, FrameMean
from depmm.models.encoders.emoaudionet import EmoAudioNet
from depmm.models.encoders.feature_cnn import FeatureCnn
from depmm.models.encoders.mfcc_cnn import MfccCnn
from depmm.models.encoders.released_inputs import FaceMap, VoiceVector
from depmm.models.encoders.se_resnet import SEResNet
from depmm.models.encoders.spectrogram_cnn import SpectrogramCnn
from depmm.models.encoders.speech_transformer import SpeechTransformer, describe_source
from depmm.models.fusion.dep_former.bernoulli_fusion import BernoulliFusion
from depmm.models.fusion.dep_former.dep_former import DepFormer
from depmm.models.fusion.mean_pool import MeanPool
from depmm.models.heads import build_head
from depmm.models.masking import masked_mean


class DepressionConfig(PreTrainedConfig):
    """What ``config.json`` of a run says about its model.

    Parameters
    ----------
    encoders : modality -> settings of its encoder, as in ``ModelConfig``
    fusion : settings of the fusion, as in ``ModelConfig``
    subtract_session_mean : whether the fusion sees each step minus the session's mean step: how a
        person
        reads one word compared with their other words, not who speaks or which microphone ("via
        emotional changes"; not in the release). A session of one step would be all zeros.
    auxiliary_step_head : whether each step also gets a prediction of its own
    target : "binary", "severity" or "levels"
    output : how a score or level is predicted: "number", "classes" or "ordinal"
    score_range : lowest and highest score or level
    """

    model_type = "depmm"

    def __init__(
        self,
        encoders: dict[str, dict[str, Any]] | None = None,
        fusion: dict[str, Any] | None = None,
        subtract_session_mean: bool = False,
        auxiliary_step_head: bool = False,
        target: str = "binary",
        output: str = "number",
        score_range: Sequence[float] = (0.0, 1.0),
        **kwargs: Any,
    ):
        self.encoders = encoders or {"audio": {"kind": "mfcc_cnn"}}
        self.fusion = fusion or {"kind": "mean_pool"}
        self.subtract_session_mean = subtract_session_mean
        self.auxiliary_step_head = auxiliary_step_head
        self.target = target
        self.output = output
        self.score_range = list(score_range)
        super().__init__(**kwargs)


@dataclass
class DepressionOutput(ModelOutput):
    """Output of a ``DepressionModel``.

    Attributes
    ----------
    prediction : Tensor[B], probability of the positive class or severity score
    logits : Tensor[B, out], before the head
    branch_logits : branch -> Tensor[B, out], before fusion
    step_logits : Tensor[B, L, out], of the step head if there is one
    step_mask : Tensor[B, L] bool, steps with any modality
    """

    prediction: Tensor | None = None
    logits: Tensor | None = None
    branch_logits: dict[str, Tensor] | None = None
    step_logits: Tensor | None = None
    step_mask: Tensor | None = None


class DepressionModel(PreTrainedModel):
    """Encoders per modality, a fusion over steps and modalities, and a head."""

    config_class = DepressionConfig
    base_model_prefix = "depmm"
    main_input_name = "audio"

    def __init__(self, config: DepressionConfig):
        super().__init__(config)
        self.encoders = nn.ModuleDict(
            {name: build_encoder(values) for name, values in sorted(config.encoders.items())}
        )
        self.head = build_head(config.target, config.output, *config.score_range)
        in_dims = {name: step_width(encoder) for name, encoder in self.encoders.items()}
        self.fusion = build_fusion(config.fusion, in_dims, self.head.out_features)
        self.auxiliary_step_head = None
        if config.auxiliary_step_head:
            self.auxiliary_step_head = nn.ModuleDict(
                {name: nn.Linear(dim, self.head.out_features) for name, dim in in_dims.items()}
            )
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Leave every module as its own constructor drew it."""

    def forward(
        self,
        audio: Tensor | None = None,
        audio_length: Tensor | None = None,
        face: Tensor | None = None,
        face_length: Tensor | None = None,
        audio_embedding: Tensor | None = None,
        face_embedding: Tensor | None = None,
    ) -> DepressionOutput:
        """Predict for a batch of sessions.

        Parameters
        ----------
        audio : Tensor[B, L, T] waveforms in [-1, 1] at 16 kHz
        audio_length : Tensor[B, L] valid samples of each step; 0: this step has no audio
        face : Tensor[B, L, T, 3, height, width] uint8 RGB crops
        face_length : Tensor[B, L] valid crops of each step; 0: no face
            Either signal may be Tensor[B, L, T, F] rows of features, NaN where not valid, for a
            ``FeatureCnn``.
        audio_embedding, face_embedding : Tensor[B, L, K] what a frozen encoder's ``embed`` gives,
            in place of the signal; where the length is 0 it is not looked at

        Raises
        ------
        ValueError : a modality of the model is not given (give lengths of zero to say that it is
            missing), or a session has no step with any modality
        """
        features, masks = self.encode(
            audio, audio_length, face, face_length, audio_embedding, face_embedding
        )
        logits, branch_logits = self.fuse(features, masks)
        return DepressionOutput(
            prediction=self.head.predict(logits),
            logits=logits,
            branch_logits=branch_logits,
            step_logits=self._step_logits(features, masks),
            step_mask=torch.stack(list(masks.values())).any(dim=0),
        )

    def encode(
        self,
        audio: Tensor | None = None,
        audio_length: Tensor | None = None,
        face: Tensor | None = None,
        face_length: Tensor | None = None,
        audio_embedding: Tensor | None = None,
        face_embedding: Tensor | None = None,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Encode every step; arguments and errors as in ``forward``.

        Returns
        -------
        modality -> Tensor[B, L, D], modality -> Tensor[B, L] bool: what ``fusion`` takes
        """
        given = {
            "audio": (audio, audio_embedding, audio_length),
            "face": (face, face_embedding, face_length),
        }
        features: dict[str, Tensor] = {}
        masks: dict[str, Tensor] = {}
        for name, encoder in self.encoders.items():
            signal, embedding, length = given[name]
            if (signal is None) == (embedding is None) or length is None:
                raise ValueError(
                    f"the model was built for {sorted(self.encoders)}, but {name} (or else "
                    f"{name}_embedding) and {name}_length are not both given; pass zero lengths "
                    "for a missing modality"
                )
            masks[name] = length > 0
            features[name] = encode_present(encoder, signal, embedding, length, masks[name])
        there = torch.stack(list(masks.values())).any(dim=0)
        if not bool(there.any(dim=1).all()):
            empty = (~there.any(dim=1)).nonzero().flatten().tolist()
            raise ValueError(
                f"sessions {empty} of the batch have no step with {' or '.join(masks)}: leave "
                "them out, or extract a modality that they have"
            )
        return features, masks

    def fuse(
        self, features: dict[str, Tensor], masks: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Predict from encoded steps; returns as the fusion does (``DepFormer.forward``)."""
        if self.config.subtract_session_mean:
            features = {
                name: x - masked_mean(x, masks[name]).unsqueeze(1) for name, x in features.items()
            }
        fused, branches = self.fusion(features, masks)
        return fused, branches

    @torch.no_grad()
    def sample(
        self, draws: int, seeds: Sequence[int], **inputs: Tensor
    ) -> tuple[DepressionOutput, Tensor | None]:
        """Predict, and predict again with hard gates of the Bernoulli fusion.

        Parameters
        ----------
        draws : samples ``g ~ Bernoulli(p)`` of all gates per session
        seeds : one a session of the batch; its gates follow from it alone, whoever is beside it
        inputs : as in ``forward``

        Returns
        -------
        what ``forward`` gives, untouched, and Tensor[draws, B] predictions; None where the fusion
        has no gates that are random (fixed weights, mean pooling)
        """
        fusion = next((m for m in self.modules() if isinstance(m, BernoulliFusion)), None)
        if fusion is None or not fusion.learned:
            return self(**inputs), None
        seen: list[tuple[Tensor, Tensor]] = []
        handle = fusion.register_forward_hook(lambda module, given, fused: seen.append(given))
        try:
            output = self(**inputs)
        finally:
            handle.remove()
        logits, present = seen[0]
        columns = [
            fusion.sample(
                logits[row : row + 1],
                present[row : row + 1],
                draws,
                torch.Generator().manual_seed(seed),
            )
            for row, seed in zip(range(len(logits)), seeds, strict=True)
        ]
        return output, self.head.predict(torch.cat(columns, dim=1))

    def _step_logits(self, features: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor | None:
        """Mean over a step's modalities of a linear prediction from its features."""
        if self.auxiliary_step_head is None:
            return None
        logits = torch.stack(
            [predict(features[name]) for name, predict in self.auxiliary_step_head.items()]
        )
        there = torch.stack([masks[name] for name in self.auxiliary_step_head]).unsqueeze(-1)
        return (logits * there).sum(0) / there.sum(0).clamp(min=1)


def encode_present(
    encoder: nn.Module,
    signal: Tensor | None,
    embedding: Tensor | None,
    length: Tensor,
    mask: Tensor,
) -> Tensor:
    """Encode the steps that are there; zeros elsewhere.

    Parameters
    ----------
    encoder : Tensor[N, T, ...], Tensor[N] -> Tensor[N, D]
    signal : Tensor[B, L, T, ...], or None with an embedding
    embedding : Tensor[B, L, K], which only ``encoder.project`` sees, or None with a signal
    length : Tensor[B, L]
    mask : Tensor[B, L] bool

    Returns
    -------
    Tensor[B, L, D]
    """
    if not bool(mask.any()):
        return torch.zeros(*mask.shape, step_width(encoder), device=mask.device)
    if embedding is not None:
        encoded = cast(nn.Module, encoder.project)(embedding[mask])
    else:
        assert signal is not None
        encoded = encoder(signal[mask], length[mask])
    features = encoded.new_zeros(*mask.shape, encoded.shape[-1])
    return features.masked_scatter(mask.unsqueeze(-1), encoded)


def step_width(encoder: nn.Module) -> int:
    """Width of an encoder's step vectors, which each encoder states as ``out_dim``."""
    return cast(int, encoder.out_dim)


def build_encoder(values: dict[str, Any]) -> nn.Module:
    """Build an encoder from its settings."""
    settings = TypeAdapter(EncoderConfig).validate_python(values)
    arguments = settings.model_dump(exclude={"kind"})
    match settings:
        case MfccCnnConfig():
            return MfccCnn(**arguments)
        case SpectrogramCnnConfig():
            return SpectrogramCnn(**arguments)
        case AttentionResNetConfig():
            return AttentionResNet(**arguments)
        case EmoAudioNetConfig():
            return EmoAudioNet(**arguments)
        case SEResNetConfig():
            return SEResNet(**arguments)
        case DepNetConfig():
            return DepNet(**arguments)
        case FrameMeanConfig():
            return FrameMean(**arguments)
        case FaceMapConfig():
            return FaceMap(**arguments)
        case VoiceVectorConfig():
            return VoiceVector(**arguments)
        case SpeechTransformerConfig():
            return SpeechTransformer(**arguments)
        case FeatureCnnConfig():
            return FeatureCnn(**arguments)
    raise AssertionError(settings)


def build_fusion(values: dict[str, Any], in_dims: dict[str, int], out_features: int) -> nn.Module:
    """Build the fusion of steps and modalities from its settings."""
    settings = TypeAdapter(FusionConfig).validate_python(values)
    match settings:
        case DepFormerConfig():
            return DepFormer(in_dims, out_features, settings)
        case MeanPoolConfig():
            return MeanPool(in_dims, out_features, settings.dropout)
    raise AssertionError(settings)


def build_model(
    settings: ModelConfig,
    target: str = "binary",
    score_range: Sequence[float] = (0.0, 1.0),
    output: str = "number",
) -> DepressionModel:
    """Build a fresh model from the ``model:`` section of a config.

    Parameters
    ----------
    settings : encoders, fusion, step head
    target, output : kind and output of a ``TargetConfig``
    score_range : lowest and highest score or level

    Raises
    ------
    ValueError : a pre-trained model that an encoder names as its source cannot be read
    """
    values = settings.model_dump()
    for encoder in values["encoders"].values():
        if encoder["kind"] == "speech_transformer" and not encoder["architecture"]:
            encoder["architecture"] = describe_source(encoder["source"])
    model = DepressionModel(
        DepressionConfig(**values, target=target, output=output, score_range=score_range)
    )
    for module in model.encoders.values():
        if isinstance(module, SpeechTransformer):
            module.load_source()
    return model
