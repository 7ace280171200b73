"""Image preprocessing: equal to the image processors of transformers on the host."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor
from vision_sources import PROCESSORS, write_processor

from depmm.models.encoders.image_processing import ImageProcessing, describe_image_processor
from depmm.models.errors import ModelError

SIZE = {"dinov2": (37, 32), "vivit": (36, 32)}  # of the resized image, and of the output


def smooth_crops(size: int, n: int = 3) -> torch.Tensor:
    """Draw crops with structures of several sizes, (n, 3, size, size) uint8."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (n, size // 4, size // 4, 3), dtype=np.uint8)
    images = [np.asarray(Image.fromarray(x).resize((size, size), Image.BICUBIC)) for x in noise]
    pixels = np.stack(images).astype(int) + rng.integers(-20, 20, (n, size, size, 3))
    return torch.from_numpy(pixels.clip(0, 255).astype(np.uint8).transpose(0, 3, 1, 2).copy())


def by_transformers(source: str, crops: torch.Tensor) -> torch.Tensor:
    """Run the image processor of transformers on images of Pillow."""
    processor = AutoImageProcessor.from_pretrained(source, backend="pil")
    images = [Image.fromarray(crop.permute(1, 2, 0).numpy()) for crop in crops]
    pixels = torch.as_tensor(np.asarray(processor(images)["pixel_values"]), dtype=torch.float32)
    return pixels.reshape(-1, *pixels.shape[-3:])


@pytest.mark.parametrize("size", [20, 32, 48, 101])
@pytest.mark.parametrize("family", sorted(set(PROCESSORS) - {"dinov3_vit"}))
def test_preprocessing_equals_the_processor_of_transformers(family, size, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": family}))
    source = write_processor(tmp_path, family)
    described = describe_image_processor(source)
    crops = smooth_crops(size)
    result = ImageProcessing(**described)(crops)
    expected = by_transformers(source, crops)
    assert result.shape == expected.shape == (len(crops), 3, 32, 32)
    level = described["scale"] / min(described["std"])
    difference = (result - expected).abs()
    if size == SIZE.get(family, (32, 32))[0]:
        assert difference.max() < 1e-3 * level
    else:  # Pillow resizes in fixed point
        assert difference.max() < 2.01 * level
        assert difference.mean() < 0.2 * level


def test_a_processor_of_torchvision_only_is_read_from_its_file(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "dinov3_vit"}))
    described = describe_image_processor(write_processor(tmp_path, "dinov3_vit"))
    assert described["size"] == [32, 32]
    assert described["crop_size"] is None
    pixels = ImageProcessing(**described)(torch.full((1, 3, 32, 32), 51, dtype=torch.uint8))
    expected = [(0.2 - 0.485) / 0.229, (0.2 - 0.456) / 0.224, (0.2 - 0.406) / 0.225]
    torch.testing.assert_close(pixels[0, :, 5, 7], torch.tensor(expected))


def test_a_centre_larger_than_the_image_is_padded_as_in_transformers(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clip"}))
    source = write_processor(tmp_path, "clip", do_resize=False)
    crops = smooth_crops(25)
    result = ImageProcessing(**describe_image_processor(source))(crops)
    torch.testing.assert_close(result, by_transformers(source, crops), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "value"),
    [({"resample": 4}, 4), ({"size": {"max_pixels": 9}}, {"max_pixels": 9})],
)
def test_unsupported_processors_are_refused(changes, value, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "dinov3_vit"}))
    source = write_processor(tmp_path, "dinov3_vit", **changes)
    with pytest.raises(ModelError) as info:
        describe_image_processor(source)
    assert (info.value.setting, info.value.value) == ("source", value)


def test_an_incomplete_or_missing_processor_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "dinov3_vit"}))
    source = write_processor(tmp_path, "dinov3_vit", do_normalize=True, image_std=None)
    with pytest.raises(ModelError) as info:
        describe_image_processor(source)
    assert info.value.value == ["image_std"]
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError) as info:
        describe_image_processor(source)
    assert info.value.value == source
