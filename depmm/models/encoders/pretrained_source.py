"""Read architecture and weights of pre-trained models of the transformers library.

Only configuration files and safetensors are read; code of a model repository is never run. Files
come from a local folder or from the hub; with ``HF_HUB_OFFLINE=1`` only files that were downloaded
before are used.
"""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors import SafetensorError
from torch import Tensor

from depmm.models.encoders.architecture_checks import check_network, remove_loading
from depmm.models.encoders.attention import (
    ATTENTION,
    EAGER,
    register_attention,
    replace_attention,
)
from depmm.models.errors import ModelError

# transformers is imported in the functions: its Auto classes import depmm.models.model when they
# are first imported (depmm.auto_classes), which would import this module before it is complete
if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

# entries of a transformers config that describe its origin, not the network
PROVENANCE = ("_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version")
# Random masks and skipped layers are intended for pre-training on thousands of hours; a skipped
# layer would also be missing in the hidden states. The adapter follows the hidden states that are
# used here, and the decoder of an encoder-decoder is not used.
DISABLED = {
    "apply_spec_augment": False,
    "mask_time_prob": 0.0,
    "mask_feature_prob": 0.0,
    "layerdrop": 0.0,
    "encoder_layerdrop": 0.0,
    "decoder_layerdrop": 0.0,
    "add_adapter": False,
    "decoder_layers": 0,
    "num_decoder_layers": 0,
}


def unreadable(source: str, kind: str, error: Exception) -> ModelError:
    """Build the error of a pre-trained model that cannot be read.

    Parameters
    ----------
    source : str
        Local folder, or name on the hub.
    kind : str
        Kind of the encoder.
    error : Exception
        Error of transformers.

    Returns
    -------
    ModelError
        The error, to be raised.
    """
    reason = (str(error).strip() or repr(error)).splitlines()[0]
    return ModelError(
        f"{kind}: the pre-trained model {source!r} cannot be read ({reason}). Give a "
        "local folder with config.json, the config of its processor and model.safetensors, or the "
        "name of such a model on the hub (offline: only if it was downloaded before).",
        setting="source",
        value=source,
    )


def read_config(source: str, kind: str, part: str | None = None) -> "PreTrainedConfig":
    """Read the config of a pre-trained model.

    Parameters
    ----------
    source : str
        Local folder, or name on the hub.
    kind : str
        Kind of the encoder, for messages.
    part : str, optional
        Name of the nested config of one part, for example ``vision_config``; it is used if the
        config has one.

    Returns
    -------
    PreTrainedConfig
        The config.

    Raises
    ------
    ModelError
        If it cannot be read.
    """
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise unreadable(source, kind, error) from None
    nested = getattr(config, part, None) if part else None
    return config if nested is None else cast("PreTrainedConfig", nested)


def describe_network(
    source: str,
    kind: str,
    config: "PreTrainedConfig",
    processor: dict[str, Any],
    example: Callable[["PreTrainedConfig"], dict[str, Tensor]],
) -> dict[str, Any]:
    """Describe a network, and check that it returns a sequence of vectors of every layer.

    The check runs the network on tensors without values (device ``meta``), so that a network whose
    computation depends on values, which would wait for the device, is rejected as well.

    Parameters
    ----------
    source : str
        Local folder, or name on the hub, for messages.
    kind : str
        Kind of the encoder, for messages.
    config : PreTrainedConfig
        Config of the network.
    processor : dict
        What the encoder needs of the preprocessing, as JSON values.
    example : callable
        Function from the config to inputs of the network for one step. It is called where new
        tensors are on the device ``meta``.

    Returns
    -------
    dict
        ``network``, the config without entries about its origin; ``processor``; ``n_states``, the
        number of hidden states; ``hidden_dim``, their size.

    Raises
    ------
    ModelError
        If the network cannot be built, or does not return hidden states of one size.
    """
    # through JSON, to have the same types as in a saved run
    values = json.loads(json.dumps(config.to_dict()))
    values = {name: value for name, value in values.items() if name not in PROVENANCE}
    values |= {name: value for name, value in DISABLED.items() if name in values}
    values = remove_loading(values)
    architecture = {"network": values, "processor": json.loads(json.dumps(processor))}
    try:
        with torch.device("meta"), torch.no_grad():
            network = build_network(architecture).eval()
            output = network(**example(config), output_hidden_states=True)
        states = [*output.hidden_states[:-1], output.last_hidden_state]
        shapes = [tuple(state.shape) for state in states]
        if len(shapes[0]) != 3 or shapes[0][0] != 1 or len({shape[-1] for shape in shapes}) != 1:
            raise ValueError(f"the shapes of its hidden states are {shapes}")
    except Exception as error:  # each network fails in its own way
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise ModelError(
            f"{kind}: {source} is a {values.get('model_type')} model, which cannot be used, "
            f"because it does not return hidden states (steps, positions, size): {reason}. "
            "Choose an encoder of this modality.",
            setting="source",
            value=values.get("model_type"),
        ) from None
    return architecture | {"n_states": len(shapes), "hidden_dim": shapes[0][-1]}


def build_network(architecture: dict[str, Any]) -> "PreTrainedModel":
    """Build a network with random weights.

    Parameters
    ----------
    architecture : dict
        Output of ``describe_network``.

    Returns
    -------
    PreTrainedModel
        The network; the encoder of an encoder-decoder. Its attention does not ask the device
        whether a mask is needed.

    Raises
    ------
    ModelError
        If the config would load code or other files, or a size is too large.
    """
    from transformers import AutoConfig, AutoModel

    register_attention()
    values = dict(architecture["network"])
    check_network(values)
    config = AutoConfig.for_model(values.pop("model_type"), **values)
    # models without sdpa compute their attention without the registry of transformers
    registered = _supports_sdpa(config)
    options = {"attn_implementation": ATTENTION} if registered else {}
    network = _used_part(AutoModel.from_config(config, trust_remote_code=False, **options))
    replace_attention(network)
    if not registered and not network._supports_attention_backend:
        network.config._attn_implementation = EAGER
    return network


def _supports_sdpa(config: "PreTrainedConfig") -> bool:
    from transformers import AutoModel

    model = AutoModel._model_mapping[type(config)]
    models = model if isinstance(model, list | tuple) else [model]
    return all(getattr(entry, "_supports_sdpa", False) for entry in models)


def _used_part(network: Any) -> "PreTrainedModel":
    used = network.get_encoder() if network.config.is_encoder_decoder else network
    # a dense layer for another task (the next sentence in BERT), which most checkpoints do not have
    if hasattr(getattr(used, "pooler", None), "dense"):
        used.pooler = None
    return cast("PreTrainedModel", used)


def read_network_weights(source: str, architecture: dict[str, Any], kind: str) -> dict[str, Tensor]:
    """Read the weights of a pre-trained model in float32.

    Parameters
    ----------
    source : str
        Local folder, or name on the hub.
    architecture : dict
        Output of ``describe_network``.
    kind : str
        Kind of the encoder, for messages.

    Returns
    -------
    dict of str to Tensor
        State of the network of ``build_network``.

    Raises
    ------
    ModelError
        If the weights cannot be read, are not in safetensors, or are incomplete.
    """
    from transformers import AutoConfig, AutoModel
    from transformers.utils import logging

    values = dict(architecture["network"])
    config = AutoConfig.for_model(values.pop("model_type"), **values)
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # hides the report of tensors that are not needed here
    try:
        network, report = AutoModel.from_pretrained(
            source,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise unreadable(source, kind, error) from None
    finally:
        logging.set_verbosity(verbosity)
    used = _used_part(network)
    state = dict(used.state_dict())
    prefix = next(f"{name}." if name else "" for name, m in network.named_modules() if m is used)
    missing = sorted(name for name in state if prefix + name in report["missing_keys"])
    if missing:
        raise ModelError(
            f"{kind}: {len(missing)} tensors of {source} are missing, for "
            f"example {missing[0]}. Download or convert it again.",
            setting="source",
            value=missing,
        )
    for name, tensor in state.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ModelError(
                f"{kind}: the tensor {name} of {source} contains NaN or an infinity. "
                "Download or convert it again.",
                setting="source",
                value=name,
            )
    return state
