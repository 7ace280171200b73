"""Preprocessing of face crops for pre-trained vision models, as their own image processors do it.

Size, interpolation, scale, mean and standard deviation are read from the processor config of the
model; the operations run with torch on the device of the crops. Crops that already have the size of
the network are exactly those of transformers. To resize, torch antialiases with the filters of
Pillow, which transformers uses on the host, and values are rounded like the levels of an image;
Pillow computes in fixed point, so that some pixels differ by one of the 255 levels.
"""

import json
from typing import Any

import torch
from torch import Tensor, nn

from depmm.models.encoders.architecture_checks import check_sizes
from depmm.models.errors import ModelError

# resampling filters of Pillow, by their number, that torch has too
FILTERS = {0: "nearest-exact", 2: "bilinear", 3: "bicubic"}
FILES = ("preprocessor_config.json", "video_preprocessor_config.json")
NAMES = (
    *("do_resize", "size", "resample", "do_center_crop", "crop_size", "do_rescale"),
    *("rescale_factor", "offset", "do_normalize", "image_mean", "image_std"),
)


def describe_image_processor(source: str) -> dict[str, Any]:
    """Read how a pre-trained vision model expects its images.

    Parameters
    ----------
    source : str
        Local folder, or name on the hub.

    Returns
    -------
    dict
        ``size`` (height and width to which images are resized, or None), ``resample`` (number of
        the filter), ``crop_size`` (of the centre, or None), ``scale`` and ``offset`` of the pixels,
        and ``mean`` and ``std`` of the scaled pixels.

    Raises
    ------
    ModelError
        If there is no processor config, or it asks for something that is not supported.
    """
    values = _read_values(source)
    size = _square(values["size"]) if values["do_resize"] else None
    if size is not None and values["resample"] not in FILTERS:
        raise ModelError(
            f"{source}: the image processor resizes with filter {values['resample']} of Pillow, "
            f"which is not supported. Set resample in {FILES[0]} to 2 (bilinear) or 3 (bicubic).",
            setting="source",
            value=values["resample"],
        )
    normalize = values["do_normalize"]
    return {
        "size": size,
        "resample": int(values["resample"] or 0),
        "crop_size": _square(values["crop_size"]) if values["do_center_crop"] else None,
        "scale": float(values["rescale_factor"]) if values["do_rescale"] else 1.0,
        "offset": -1.0 if values["offset"] else 0.0,
        "mean": [float(x) for x in values["image_mean"]] if normalize else [0.0, 0.0, 0.0],
        "std": [float(x) for x in values["image_std"]] if normalize else [1.0, 1.0, 1.0],
    }


def _read_values(source: str) -> dict[str, Any]:
    """Read the settings of the processor, with the defaults of its class where it has one."""
    from transformers import AutoImageProcessor

    try:
        processor = AutoImageProcessor.from_pretrained(
            source, backend="pil", trust_remote_code=False
        )
        values = processor.to_dict()
    except ImportError:  # a processor that only torchvision computes, such as that of DINOv3
        values = _read_file(source)
    except (OSError, ValueError) as error:
        values = _read_file(source, error)
    defaults = {"do_resize": True, "do_rescale": True, "rescale_factor": 1 / 255}
    values = defaults | {name: values[name] for name in NAMES if values.get(name) is not None}
    values.setdefault("do_normalize", "image_mean" in values)
    needed = {"size", "resample"} if values["do_resize"] else set()
    needed |= {"image_mean", "image_std"} if values["do_normalize"] else set()
    needed |= {"crop_size"} if values.get("do_center_crop") else set()
    if missing := sorted(needed - values.keys()):
        raise ModelError(
            f"{source}: the image processor config has no {', '.join(missing)}. Add it to "
            f"{FILES[0]} as in the publication of the model.",
            setting="source",
            value=missing,
        )
    return dict.fromkeys(NAMES) | values


def _read_file(source: str, error: Exception | None = None) -> dict[str, Any]:
    """Read the processor config itself, without a class of transformers for it."""
    from transformers.utils import cached_file

    for name in FILES:
        try:
            path = cached_file(source, name, _raise_exceptions_for_missing_entries=False)
        except (OSError, ValueError) as other:
            error = other
            break
        if path is None:
            continue
        try:
            with open(path, encoding="utf-8") as file:
                values = json.load(file)
        except (OSError, ValueError) as other:
            error = other
            break
        if isinstance(values, dict):
            return values
    reason = (str(error or "it has no image processor config").strip()).splitlines()[0]
    raise ModelError(
        f"The image processor of the pre-trained model {source!r} cannot be read ({reason}). Give "
        f"a local folder with config.json, {FILES[0]} and model.safetensors, or the name of such a "
        "model on the hub (offline: only if it was downloaded before).",
        setting="source",
        value=source,
    )


def _square(size: Any) -> list[int]:
    """Return height and width for a square image."""
    if isinstance(size, int):
        return [size, size]
    if "height" in size and "width" in size:
        return [int(size["height"]), int(size["width"])]
    edge = size.get("shortest_edge", size.get("longest_edge"))
    if edge is None:
        raise ModelError(
            f"The image processor has the size {size}, of which height and width are not known.",
            setting="source",
            value=size,
        )
    return [int(edge), int(edge)]


class ImageProcessing(nn.Module):
    """Resize, crop, scale and normalise face crops.

    Parameters
    ----------
    size : list of int or None
        Height and width to which crops are resized, with a filter that antialiases.
    resample : int
        Number of the filter of Pillow.
    crop_size : list of int or None
        Height and width of the centre that is used.
    scale, offset : float
        The levels 0 to 255 are multiplied by ``scale``, and ``offset`` is added.
    mean, std : list of float, length 3
        Of the scaled pixels of each channel.

    Raises
    ------
    ModelError
        If a size is larger than those of published models.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        size: list[int] | None,
        resample: int,
        crop_size: list[int] | None,
        scale: float,
        offset: float,
        mean: list[float],
        std: list[float],
    ) -> None:
        super().__init__()
        check_sizes({"size": size, "crop_size": crop_size})
        self.size = size
        self.filter = FILTERS[resample]
        self.crop_size = crop_size
        # in levels, so that one subtraction and one division are left
        self.register_buffer("mean", ((torch.tensor(mean) - offset) / scale)[:, None, None])
        self.register_buffer("std", (torch.tensor(std) / scale)[:, None, None])

    def forward(self, crops: Tensor) -> Tensor:
        """Preprocess crops.

        Parameters
        ----------
        crops : Tensor, shape (N, 3, height, width), uint8
            RGB crops.

        Returns
        -------
        Tensor, shape (N, 3, height', width')
            Pixels as the network expects them, in the type of ``mean``.
        """
        pixels = crops.to(self.mean.dtype)
        if self.size is not None and list(crops.shape[-2:]) != self.size:
            # columns first, and whole levels after each direction, as in Pillow
            for size in ([crops.shape[-2], self.size[1]], self.size):
                antialias = self.filter != "nearest-exact"
                pixels = nn.functional.interpolate(
                    pixels, size, mode=self.filter, antialias=antialias
                )
                pixels = (pixels + 0.5).floor().clamp(0, 255)
        if self.crop_size is not None:
            pixels = _crop_centre(pixels, *self.crop_size)
        return (pixels - self.mean) / self.std


def _crop_centre(pixels: Tensor, height: int, width: int) -> Tensor:
    """Cut the centre out of images, which are first padded with black if they are smaller."""
    pad_height, pad_width = max(0, height - pixels.shape[-2]), max(0, width - pixels.shape[-1])
    if pad_height or pad_width:
        left, top = (pad_width + 1) // 2, (pad_height + 1) // 2
        pixels = nn.functional.pad(pixels, (left, pad_width - left, top, pad_height - top))
    top, left = (pixels.shape[-2] - height) // 2, (pixels.shape[-1] - width) // 2
    return pixels[..., top : top + height, left : left + width]
