"""DepressionModel: predict a session from the signals of its steps.

One encoder per modality turns each step into a vector; a fusion turns the vectors of all steps and
modalities into logits; a head turns the logits into a prediction. Each system of this project is a
choice of these three parts. Only existing steps are encoded: padding costs no time.
"""

# transformers has no type annotations that mypy can use
# mypy: disallow-subclassing-any=False

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

from depmm.config import ModelConfig
from depmm.models.encoders.build import build_encoder, complete_settings
from depmm.models.encoders.encoder import Encoder, encode_present
from depmm.models.errors import ModelError
from depmm.models.fusion.build import build_fusion
from depmm.models.fusion.dep_former.dep_former import DepFormer
from depmm.models.heads import build_head
from depmm.models.host import Lengths, host_lengths, to_device
from depmm.models.masking import is_complete, masked_mean


class DepressionConfig(PreTrainedConfig):
    """Configuration of a ``DepressionModel``, stored as ``config.json`` of a run.

    The fields are named like the settings of the ``model:`` and ``target:`` sections.

    Parameters
    ----------
    encoders : dict of str to dict, optional
        Settings of the encoder of each modality, as in ``ModelConfig``.
    fusion : dict, optional
        Settings of the fusion, as in ``ModelConfig``.
    subtract_session_mean : bool, default False
        Whether the mean step of a session is subtracted from its steps before the fusion, which
        removes speaker and microphone and leaves the differences between the words of a subject.
        The abstract of DEP-Former mentions "emotional changes", but its release does not subtract
        the mean. A session of one step becomes all zeros.
    auxiliary_step_head : bool, default False
        Whether each step also gets a prediction, for an auxiliary loss.
    target : {"binary", "severity", "levels"}, default "binary"
        What is predicted.
    output : {"number", "linear", "classes", "ordinal"}, default "number"
        What the last layer predicts, see ``TargetConfig.output``.
    score_range : sequence of float, default (0.0, 1.0)
        Lowest and highest score or level.
    **kwargs
        Further fields of ``PreTrainedConfig``.
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
    ) -> None:
        # transformers calls the constructor without arguments to find the changed fields
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
    prediction : Tensor, shape (B,)
        Probability of the positive class, or severity score.
    logits : Tensor, shape (B, out)
        Input of the head.
    branch_logits : dict of str to Tensor, shape (B, out)
        Logits of each branch before they are fused.
    step_logits : Tensor, shape (B, L, out), optional
        Logits of each step, if the model has an auxiliary step head.
    step_mask : Tensor, shape (B, L), bool
        Steps with at least one modality.
    """

    prediction: Tensor | None = None
    logits: Tensor | None = None
    branch_logits: dict[str, Tensor] | None = None
    step_logits: Tensor | None = None
    step_mask: Tensor | None = None


class DepressionModel(PreTrainedModel):
    """Encoders of the modalities, a fusion of steps and modalities, and a head.

    Parameters
    ----------
    config : DepressionConfig
        Encoders, fusion and head of the model.

    Examples
    --------
    >>> import depmm
    >>> model = depmm.DepressionModel.from_pretrained("runs/demo")
    >>> sorted(model.encoders)
    ['audio', 'face']
    """

    config_class = DepressionConfig
    base_model_prefix = "depmm"
    main_input_name = "audio"

    def __init__(self, config: DepressionConfig) -> None:
        super().__init__(config)
        self.encoders = nn.ModuleDict(
            {name: build_encoder(values) for name, values in sorted(config.encoders.items())}
        )
        self.head = build_head(config.target, config.output, *config.score_range)
        in_dims = {name: cast(Encoder, part).embed_dim for name, part in self.encoders.items()}
        self.fusion = build_fusion(config.fusion, in_dims, self.head.out_features)
        self.auxiliary_step_head = None
        if config.auxiliary_step_head:
            self.auxiliary_step_head = nn.ModuleDict(
                {name: nn.Linear(dim, self.head.out_features) for name, dim in in_dims.items()}
            )
        self.post_init()
        # from_pretrained(dtype=torch.bfloat16) keeps these in float32: with the 8 bits of precision
        # of bfloat16, a window or a mean would shift quiet frames by decibels
        self._keep_in_fp32_modules_strict |= {
            name
            for name, buffer in self.named_buffers()
            if buffer.is_floating_point() and "running_" not in name
        }

    def _init_weights(self, module: nn.Module) -> None:
        """Leave every module as its constructor initialised it."""

    def forward(self, **inputs: Any) -> DepressionOutput:
        """Predict a batch of sessions.

        Parameters
        ----------
        **inputs : Tensor or array_like
            For each modality, for example ``audio``, either the signal ``audio`` or the
            precomputed ``audio_embedding``, both tensors on the device of the model, and
            ``audio_length``, an array on the host:

            - ``audio``, shape (B, L, T): waveforms in [-1, 1] at 16 kHz; ``face``, shape
              (B, L, T, 3, height, width): uint8 RGB crops; any modality whose encoder reads rows
              of a stream (``"rows"`` is in ``reads`` of its settings), shape (B, L, T, F): rows of
              features, NaN where invalid.
            - ``<modality>_embedding``, shape (B, L, K): output of
              ``PrecomputableEncoder.precompute``. Rows of missing steps are ignored.
            - ``<modality>_length``, array_like of int, shape (B, L): valid samples, crops or rows
              of each step; 0 if the step does not have this modality. Masks and indices are
              computed from it on the host, so that the model never waits for the device. A tensor
              is accepted too; one on a GPU is copied to the host first, which waits.

            Modalities that the model does not have are ignored.

        Returns
        -------
        DepressionOutput
            Prediction, logits and mask of each session.

        Raises
        ------
        ModelError
            If the input of a modality is not given (for a missing modality, give lengths of zero),
            or if a session has no step with any modality.
        """
        lengths = self._host_lengths(inputs)
        features, masks = self._encode(inputs, lengths)
        complete = is_complete(list(lengths.values()))
        logits, branch_logits = self.fuse(features, masks, complete)
        return DepressionOutput(
            prediction=self.head.predict(logits),
            logits=logits,
            branch_logits=branch_logits,
            step_logits=self._step_logits(features, masks),
            step_mask=torch.stack(list(masks.values())).any(dim=0),
        )

    def encode(self, **inputs: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Encode every step.

        Parameters
        ----------
        **inputs : Tensor or array_like
            As in ``forward``.

        Returns
        -------
        features : dict of str to Tensor, shape (B, L, D)
            Vector of each step, for each modality; zero where the modality is missing.
        masks : dict of str to Tensor, shape (B, L), bool
            Steps that have the modality.

        Raises
        ------
        ModelError
            As in ``forward``.
        """
        return self._encode(inputs, self._host_lengths(inputs))

    def _host_lengths(self, inputs: dict[str, Any]) -> dict[str, Lengths]:
        """Check that the inputs are complete, and return the lengths (B, L) of each modality."""
        lengths: dict[str, Lengths] = {}
        for name in self.encoders:
            signal, embedding = inputs.get(name), inputs.get(f"{name}_embedding")
            length = inputs.get(f"{name}_length")
            if (signal is None) == (embedding is None) or length is None:
                raise ModelError(
                    f"The input {name} is incomplete: the model requires {name}_length and exactly "
                    f"one of {name} and {name}_embedding. For a missing modality, give lengths of "
                    "zero.",
                    value=name,
                )
            lengths[name] = host_lengths(length)
        present = np.any([(length > 0).any(axis=1) for length in lengths.values()], axis=0)
        if not present.all():
            empty = np.flatnonzero(~present).tolist()
            raise ModelError(
                f"Sessions {empty} of the batch have no step with {' or '.join(lengths)}. Remove "
                "them, or use a model for a modality that they have.",
                value=empty,
            )
        return lengths

    def _encode(
        self, inputs: dict[str, Any], lengths: dict[str, Lengths]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Encode every step, as described in ``encode``."""
        features: dict[str, Tensor] = {}
        masks: dict[str, Tensor] = {}
        # below float32 only if the model itself is in half precision, not under autocast
        dtype = next(self.fusion.parameters()).dtype
        for name, encoder in self.encoders.items():
            signal, embedding = inputs.get(name), inputs.get(f"{name}_embedding")
            x = encode_present(cast(Encoder, encoder), signal, embedding, lengths[name])
            features[name] = x.to(dtype) if dtype.itemsize < 4 else x
            masks[name] = to_device(lengths[name] > 0, x.device)
        return features, masks

    def fuse(
        self, features: dict[str, Tensor], masks: dict[str, Tensor], complete: bool = False
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Predict from encoded steps.

        Parameters
        ----------
        features : dict of str to Tensor, shape (B, L, D)
            As ``encode`` returns them.
        masks : dict of str to Tensor, shape (B, L), bool
            As ``encode`` returns them.
        complete : bool, default False
            Whether every session has every step in every modality: no mask is needed.

        Returns
        -------
        logits : Tensor, shape (B, out)
            Input of the head.
        branch_logits : dict of str to Tensor, shape (B, out)
            Logits of each branch before they are fused.
        """
        if self.config.subtract_session_mean:
            used = dict.fromkeys(masks) if complete else masks
            features = {
                name: x - masked_mean(x, used[name]).unsqueeze(1) for name, x in features.items()
            }
        logits, branch_logits = self.fusion(features, masks, complete=complete)
        return logits, branch_logits

    @torch.no_grad()
    def sample(
        self, n_samples: int, seeds: Sequence[int], **inputs: Any
    ) -> tuple[DepressionOutput, Tensor | None]:
        """Predict, and predict again with sampled gates of the Bernoulli fusion.

        Parameters
        ----------
        n_samples : int
            Samples ``g ~ Bernoulli(p)`` of all gates per session, `S`.
        seeds : sequence of int
            One seed per session of the batch. The gates of a session depend on its seed only, not
            on the other sessions of the batch.
        **inputs : Tensor or array_like
            As in ``forward``.

        Returns
        -------
        output : DepressionOutput
            As ``forward`` returns it.
        samples : Tensor, shape (S, B), or None
            Predictions with sampled gates; None if the fusion has no random gates (one branch,
            fixed weights, mean pooling).
        """
        fusion = self.fusion
        if not (isinstance(fusion, DepFormer) and fusion.fusion and fusion.fusion.learned):
            return self(**inputs), None
        gates = fusion.fusion
        recorded: list[tuple[Tensor, Tensor | None]] = []
        handle = gates.register_forward_hook(lambda module, args, output: recorded.append(args))
        try:
            output = self(**inputs)
        finally:
            handle.remove()
        branches, present = recorded[0]
        columns = []
        for row, seed in zip(range(len(branches)), seeds, strict=True):
            part = None if present is None else present[row : row + 1]
            generator = torch.Generator().manual_seed(seed)
            sampled = gates.sample(branches[row : row + 1], part, n_samples, generator)
            columns.append(fusion.predict(sampled))
        return output, self.head.predict(torch.cat(columns, dim=1))

    def _step_logits(self, features: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor | None:
        """Average the linear predictions over the modalities of each step."""
        if self.auxiliary_step_head is None:
            return None
        logits = torch.stack(
            [predict(features[name]) for name, predict in self.auxiliary_step_head.items()]
        )
        present = torch.stack([masks[name] for name in self.auxiliary_step_head]).unsqueeze(-1)
        return (logits * present).sum(0) / present.sum(0).clamp(min=1)


def build_model(
    settings: ModelConfig,
    target: str = "binary",
    score_range: Sequence[float] = (0.0, 1.0),
    output: str = "number",
) -> DepressionModel:
    """Build a new model from the ``model:`` section of a config.

    Parameters
    ----------
    settings : ModelConfig
        Encoders, fusion and auxiliary step head.
    target : {"binary", "severity", "levels"}, default "binary"
        ``TargetConfig.kind``.
    score_range : sequence of float, default (0.0, 1.0)
        Lowest and highest score or level.
    output : {"number", "linear", "classes", "ordinal"}, default "number"
        ``TargetConfig.output``.

    Returns
    -------
    DepressionModel
        With random weights, except those of pre-trained models that encoders name as their source.

    Raises
    ------
    ModelError
        If a pre-trained model that an encoder names as its source cannot be read.
    """
    values = settings.model_dump()
    values["encoders"] = {name: complete_settings(v) for name, v in values["encoders"].items()}
    model = DepressionModel(
        DepressionConfig(**values, target=target, output=output, score_range=score_range)
    )
    for encoder in model.encoders.values():
        cast(Encoder, encoder).load_pretrained()
    return model


# lets AutoConfig and AutoModel of transformers open a saved model
AutoConfig.register(DepressionConfig.model_type, DepressionConfig, exist_ok=True)
AutoModel.register(DepressionConfig, DepressionModel, exist_ok=True)
