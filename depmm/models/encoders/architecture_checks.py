"""Checks of the config of a pre-trained network, which can come from a run of another user.

The config of a network contains sizes. A few of its settings make transformers load something else:
code of a repository, kernels, quantised weights, or a model of timm, which can be a name on the
hub. They are refused, and so are sizes that need more memory than any published encoder.
"""

from collections.abc import Iterator
from typing import Any

from depmm.models.errors import ModelError

# settings that name code, kernels or formats of weights; the last part of nested names counts
LOADING = ("auto_map", "quantization_config", "kernel_config", "use_kernels")
IMPLEMENTATIONS = ("attn_implementation", "experts_implementation")
# far above those of published models; each makes arrays when a network or processor is built
LIMITS = {
    "image_size": 2048,
    "crop_size": 2048,
    "size": 2048,
    "num_frames": 512,
    "chunk_length": 120,
    "feature_size": 1024,
    "num_mel_bins": 1024,
    "n_fft": 1 << 14,
    "fft_length": 1 << 14,
}
MAX_PATCHES = 20_000  # of an image or a clip; a table of their positions is computed


def remove_loading(values: dict[str, Any]) -> dict[str, Any]:
    """Remove the settings of the own code and implementation of a model.

    Networks are built from classes of transformers, so that they are not needed. The quantisation
    of weights is kept, because ``check_network`` refuses it.

    Parameters
    ----------
    values : dict
        Config of a network.

    Returns
    -------
    dict
        The config without these settings, also in nested configs.
    """
    kept = {
        name: value
        for name, value in values.items()
        if not _loads(name) or name == "quantization_config"
    }
    return {
        name: remove_loading(value) if isinstance(value, dict) else value
        for name, value in kept.items()
    }


def check_network(values: dict[str, Any]) -> None:
    """Refuse the config of a network that loads something, or that is too large.

    Parameters
    ----------
    values : dict
        Config of a network, ``model_type`` included.

    Raises
    ------
    ModelError
        If a setting is not one of the network itself, or a size is too large.
    """
    for name, value in _entries(values):
        if _loads(name) and value:
            raise ModelError(
                f"the config of the network has the setting {name}, with which transformers would "
                "load code, kernels or quantised weights. Use a model without it.",
                setting=name,
                value=value,
            )
        if name == "model_type" and str(value).startswith("timm"):
            raise ModelError(
                f"{value} is a model of timm, which can load other files. Use a model of "
                "transformers.",
                setting=name,
                value=value,
            )
    check_sizes(values)
    _check_patches(values)


def check_sizes(values: dict[str, Any]) -> None:
    """Refuse sizes that no published encoder has.

    Parameters
    ----------
    values : dict
        Config of a network or a processor.

    Raises
    ------
    ModelError
        If a size is too large.
    """
    for name, value in _entries(values):
        sizes = value.values() if isinstance(value, dict) else value
        for size in sizes if isinstance(value, dict | list | tuple) else (value,):
            if _is_number(size) and abs(size) > LIMITS.get(name, float("inf")):
                raise ModelError(
                    f"{name} is {size!r:.40}, more than {LIMITS[name]}. Use another model, or a "
                    "run that was not changed.",
                    setting=name,
                    value=size,
                )


def _check_patches(values: dict[str, Any]) -> None:
    """Refuse a network of an enormous number of patches."""
    for config in (values, *(value for value in values.values() if isinstance(value, dict))):
        image, patch = (_first(config.get(name)) for name in ("image_size", "patch_size"))
        if image is None or patch is None:
            continue
        frames, tubelet = (_first(config.get(name)) or 1 for name in ("num_frames", "tubelet_size"))
        n_patches = (image / max(patch, 1)) ** 2 * frames / max(tubelet, 1)
        if n_patches > MAX_PATCHES:
            raise ModelError(
                f"the network divides its input into {n_patches:.0f} patches, more than "
                f"{MAX_PATCHES}. Use another model, or a run that was not changed.",
                setting="patch_size",
                value=patch,
            )


def _first(value: Any) -> float | None:
    """Return the smallest number of a setting that is a number or a list of numbers."""
    values = value if isinstance(value, list | tuple) else [value]
    return min((float(number) for number in values if _is_number(number)), default=None)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _loads(name: str) -> bool:
    return name in LOADING or name.removesuffix("_internal").lstrip("_") in IMPLEMENTATIONS


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    """Iterate over names and values of a config and of the configs in it."""
    if isinstance(value, dict):
        for name, entry in value.items():
            yield str(name), entry
            yield from _entries(entry)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _entries(entry)
