"""DepressionModel: predict a session from the signals of its steps.

One encoder per modality turns each step into a vector; a fusion turns the vectors of all steps and
modalities into logits; a head turns the logits into a prediction. Each system of this project is a
choice of these three parts. Only existing steps are encoded: padding costs no time.
"""

# transformers has no type annotations that mypy can use
# mypy: disallow-subclassing-any=False

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from depmm.config import ModelConfig
from depmm.inputs import Inputs
from depmm.models.adversary import NuisanceHeads, embed_sessions
from depmm.models.auto_registration import register_auto_classes
from depmm.models.encoders.build import build_encoder, complete_settings
from depmm.models.encoders.encoder import Encoder, encode_present
from depmm.models.fusion.build import build_fusion
from depmm.models.fusion.dep_former.dep_former import DepFormer
from depmm.models.fusion.present_branches import present_branches
from depmm.models.heads import build_head
from depmm.models.host import to_device
from depmm.models.input_checks import check_inputs
from depmm.models.masking import is_complete, masked_mean
from depmm.models.model_config import DepressionConfig
from depmm.models.output import DepressionOutput
from depmm.models.saved import (
    WEIGHTS_FILE,
    add_defaults,
    check_finite,
    check_saved_weights,
    find_saved_model,
    read_saved_config,
)


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
    main_input_name = "inputs"

    def __init__(self, config: DepressionConfig) -> None:
        config.encoders = add_defaults("encoders", config.encoders)
        config.fusion = add_defaults("fusion", config.fusion)
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
        self.nuisance_heads: NuisanceHeads | None = None  # in training only, never saved
        self.post_init()
        # from_pretrained(dtype=torch.bfloat16) keeps these in float32: with the 8 bits of precision
        # of bfloat16, a window or a mean would shift quiet frames by decibels
        self._keep_in_fp32_modules_strict |= {
            name
            for name, buffer in self.named_buffers()
            if buffer.is_floating_point() and not name.rpartition(".")[2].startswith("running_")
        }

    @property
    def max_crops(self) -> dict[str, int | None]:
        """Largest number of crops of a step that each encoder reads, by modality."""
        return {name: cast(Encoder, part).max_crops for name, part in self.encoders.items()}

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: Path | str,
        *model_args: Any,
        config: DepressionConfig | None = None,
        subfolder: str = "",
        **kwargs: Any,
    ) -> "DepressionModel":
        """Load a saved model from a local folder; a hub is never asked.

        Every tensor of the file is used, and every tensor of the model is in the file.

        Parameters
        ----------
        pretrained_model_name_or_path : Path or str
            Folder of a run or of a cross-validation.
        *model_args
            Further arguments of transformers.
        config : DepressionConfig, optional
            Used instead of ``config.json``.
        subfolder : str, optional
            Folder of a fold of the cross-validation.
        **kwargs
            Options of transformers, for example ``dtype``.

        Returns
        -------
        DepressionModel
            In evaluation mode.

        Raises
        ------
        ModelError
            If the folder does not exist or contains no model.
        DamagedFileError
            If a file does not match its checksum, or ``config.json`` cannot be used.
        WeightsError
            If a tensor is missing, unexpected, of another shape or type, or not finite.
        """
        folder = find_saved_model(pretrained_model_name_or_path, subfolder)
        saved = cls.check_saved(folder, config)
        # the tensors are loaded from the checked file only, and not from other files of the folder
        kwargs |= {"use_safetensors": True, "local_files_only": True}
        model: DepressionModel = super().from_pretrained(
            folder, *model_args, config=saved, **kwargs
        )
        check_finite(folder / WEIGHTS_FILE, model.state_dict())
        return model

    @classmethod
    def check_saved(cls, folder: Path, config: DepressionConfig | None = None) -> DepressionConfig:
        """Check config and weights of a saved model, without loading the weights.

        Parameters
        ----------
        folder : Path
            Folder of the model.
        config : DepressionConfig, optional
            Used instead of ``config.json``.

        Returns
        -------
        DepressionConfig
            ``config``, or the saved one.

        Raises
        ------
        ModelError, DamagedFileError, WeightsError
            As ``from_pretrained``.
        """
        content = read_saved_config(folder)
        saved = config or DepressionConfig.from_dict(content)
        dtype = getattr(torch, str(content.get("dtype")), None)
        check_saved_weights(folder, lambda: cls(saved), dtype)
        return saved

    def save_pretrained(self, save_directory: Path | str, **kwargs: Any) -> None:
        """Save the model to a folder.

        Parameters
        ----------
        save_directory : Path or str
            The folder.
        **kwargs
            Options of transformers, except ``save_original_format``.
        """
        # transformers would save the tensors of some networks under names of its first versions
        super().save_pretrained(save_directory, save_original_format=False, **kwargs)

    def _init_weights(self, module: nn.Module) -> None:
        """Leave every module as its constructor initialised it."""

    def forward(self, inputs: dict[str, Inputs]) -> DepressionOutput:
        """Predict a batch of sessions.

        Parameters
        ----------
        inputs : dict of str to Inputs
            Signals or precomputed embeddings of each modality of the model, for example ``audio``;
            the values are on the device of the model, except those that stay on the host.
            Modalities that the model does not have are ignored.

        Returns
        -------
        DepressionOutput
            Prediction, logits and mask of each session.

        Raises
        ------
        ModelError
            If the input of a modality is not given (for a missing modality, give lengths of zero)
            or does not have a length for each step, or if a session has no step with any modality.
        """
        features, masks = self.encode(inputs)
        complete = is_complete([inputs[name].lengths for name in self.encoders])
        nuisance_logits = None
        if self.nuisance_heads is None:
            logits, branch_logits = self.fuse(features, masks, complete)
        else:
            embedding, logits, branch_logits = embed_sessions(self, features, masks, complete)
            nuisance_logits = self.nuisance_heads(embedding)
        return DepressionOutput(
            prediction=self.head.predict(logits),
            logits=logits,
            branch_logits=branch_logits,
            branch_mask=None if complete else present_branches(self.fusion, masks, branch_logits),
            step_logits=self._step_logits(features, masks),
            step_mask=torch.stack(list(masks.values())).any(dim=0),
            nuisance_logits=nuisance_logits,
        )

    def encode(self, inputs: dict[str, Inputs]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Encode every step.

        Parameters
        ----------
        inputs : dict of str to Inputs
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
        check_inputs(inputs, list(self.encoders))
        features: dict[str, Tensor] = {}
        masks: dict[str, Tensor] = {}
        # below float32 only if the model itself is in half precision, not under autocast
        parameter = next(self.fusion.parameters())
        dtype, device = parameter.dtype, parameter.device
        for name, encoder in self.encoders.items():
            x = encode_present(cast(Encoder, encoder), inputs[name], device)
            features[name] = x.to(dtype) if dtype.itemsize < 4 else x
            masks[name] = to_device(inputs[name].lengths > 0, device)
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
        self, n_samples: int, seeds: Sequence[int], inputs: dict[str, Inputs]
    ) -> tuple[DepressionOutput, Tensor | None]:
        """Predict, and predict again with sampled gates of the Bernoulli fusion.

        Parameters
        ----------
        n_samples : int
            Samples ``g ~ Bernoulli(p)`` of all gates per session, `S`.
        seeds : sequence of int
            One seed per session of the batch. The gates of a session depend on its seed only, not
            on the other sessions of the batch.
        inputs : dict of str to Inputs
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
            return self(inputs), None
        gates = fusion.fusion
        recorded: list[tuple[Tensor, Tensor | None]] = []
        handle = gates.register_forward_hook(lambda module, args, output: recorded.append(args))
        try:
            output = self(inputs)
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


register_auto_classes(DepressionConfig, DepressionModel)
