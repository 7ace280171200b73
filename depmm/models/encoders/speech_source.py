"""Read architecture and weights of pre-trained speech models of the transformers library.

Only configuration files and safetensors are read; code of a model repository is never run.
"""

import json
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from depmm.models.errors import ModelError

# transformers is imported in the functions: its Auto classes import depmm.models.model when they
# are first imported (depmm.auto_classes), which would import this module before it is complete
if TYPE_CHECKING:
    from transformers import PreTrainedConfig

FAMILIES = ("wav2vec2", "hubert", "wavlm")
# entries of a transformers config that describe its origin, not the network
PROVENANCE = ("_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version")
# Random masks and skipped layers are intended for pre-training on thousands of hours; a skipped
# layer would also be missing in the hidden states. The adapter follows the hidden states that are
# used here.
DISABLED = {
    "apply_spec_augment": False,
    "mask_time_prob": 0.0,
    "mask_feature_prob": 0.0,
    "layerdrop": 0.0,
    "add_adapter": False,
}


def describe_source(source: str) -> dict[str, Any]:
    """Describe the architecture of a pre-trained model, so that it can be built without its files.

    Parameters
    ----------
    source : str
        Local folder, or name on the hub.

    Returns
    -------
    dict
        Its transformers config with ``model_type``, and ``do_normalize`` of its feature extractor.

    Raises
    ------
    ModelError
        If ``config.json`` or ``preprocessor_config.json`` cannot be read, or the family of the
        model is not supported.
    """
    from transformers import AutoConfig, Wav2Vec2FeatureExtractor

    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
        extractor, _ = Wav2Vec2FeatureExtractor.get_feature_extractor_dict(source)
    except (OSError, ValueError) as error:
        raise _unreadable(source, error) from None
    if config.model_type not in FAMILIES:
        raise ModelError(
            f"speech_transformer: {source} is a {config.model_type} model, which is not supported. "
            f"Choose a model of {', '.join(FAMILIES)}.",
            setting="source",
            value=config.model_type,
        )
    # through JSON, to have the same types as in a saved run
    values = json.loads(json.dumps(config.to_dict()))
    values = {name: value for name, value in values.items() if name not in PROVENANCE}
    return values | DISABLED | {"do_normalize": bool(extractor.get("do_normalize", True))}


def _unreadable(source: str, error: Exception) -> ModelError:
    reason = (str(error).strip() or repr(error)).splitlines()[0]
    return ModelError(
        f"speech_transformer: the pre-trained model {source!r} cannot be read ({reason}). Give a "
        "local folder with config.json, preprocessor_config.json and model.safetensors, or the "
        "name of such a model on the hub (offline: only if it was downloaded before).",
        setting="source",
        value=source,
    )


def read_source_weights(source: str, config: "PreTrainedConfig") -> dict[str, Tensor]:
    """Read the weights of a pre-trained model in float32.

    Parameters
    ----------
    source : str
        Local folder, or name on the hub.
    config : PreTrainedConfig
        Configuration of the network that receives the weights.

    Returns
    -------
    dict of str to Tensor
        State of the network.

    Raises
    ------
    ModelError
        If the weights cannot be read, are not in safetensors, or are incomplete.
    """
    from transformers import AutoModel
    from transformers.utils import logging

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
        raise _unreadable(source, error) from None
    finally:
        logging.set_verbosity(verbosity)
    if missing := sorted(report["missing_keys"]):
        raise ModelError(
            f"speech_transformer: {len(missing)} tensors of {source} are missing, for "
            f"example {missing[0]}. Download or convert it again.",
            setting="source",
            value=missing,
        )
    for name, tensor in network.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise ModelError(
                f"speech_transformer: the tensor {name} of {source} contains NaN or an infinity. "
                "Download or convert it again.",
                setting="source",
                value=name,
            )
    return dict(network.state_dict())
