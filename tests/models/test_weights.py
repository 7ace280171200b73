"""Weights from files: published names, partial matches, and files that are refused."""

import pickle
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from depmm.models.encoders.resnet50 import ResNet50
from depmm.models.errors import WeightsError
from depmm.models.weights import load_run, load_weights, resnet50_name


def add_norm(tensors: dict[str, Tensor], name: str, channels: int) -> None:
    tensors[f"{name}.weight"] = 0.5 + torch.rand(channels)
    tensors[f"{name}.bias"] = 0.1 * torch.randn(channels)
    tensors[f"{name}.running_mean"] = 0.1 * torch.randn(channels)
    tensors[f"{name}.running_var"] = 0.5 + torch.rand(channels)


@cache
def caffe_checkpoint(squeeze_excitation: bool) -> dict[str, Tensor]:
    """Draw random tensors with the names and shapes of the models of VGGFace2."""
    torch.manual_seed(7)
    tensors: dict[str, Tensor] = {}

    def add(name: str, out: int, size: int, kernel: int) -> None:
        tensors[f"{name}.weight"] = torch.randn(out, size, kernel, kernel) / (size**0.5 * kernel)
        add_norm(tensors, f"{name}/bn", out)

    add("conv1/7x7_s2", 64, 3, 7)
    size = 64
    for stage, (blocks, width) in enumerate(zip((3, 4, 6, 3), (64, 128, 256, 512), strict=True), 2):
        for block in range(1, blocks + 1):
            name = f"conv{stage}_{block}"
            add(f"{name}_1x1_reduce", width, size, 1)
            add(f"{name}_3x3", width, width, 3)
            add(f"{name}_1x1_increase", 4 * width, width, 1)
            if block == 1:
                add(f"{name}_1x1_proj", 4 * width, size, 1)
            size = 4 * width
            if squeeze_excitation:
                for part, out, into in (("down", size // 16, size), ("up", size, size // 16)):
                    tensors[f"{name}_1x1_{part}.weight"] = torch.randn(out, into, 1, 1) / into**0.5
                    tensors[f"{name}_1x1_{part}.bias"] = 0.1 * torch.randn(out)
    tensors["classifier.weight"] = torch.randn(10, 2048)
    tensors["classifier.bias"] = torch.randn(10)
    return tensors


def reference(tensors: dict[str, Tensor], pixels: Tensor, torchvision: bool) -> Tensor:
    """Compute the features of a checkpoint with functional layers."""

    def layer(name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight = tensors[f"{name}.weight"]
        x = F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)
        norm = [tensors[f"{name}/bn.{part}"] for part in ("running_mean", "running_var")]
        return F.batch_norm(x, *norm, tensors[f"{name}/bn.weight"], tensors[f"{name}/bn.bias"])

    x = layer("conv1/7x7_s2", pixels, 2).relu()
    x = F.max_pool2d(x, 3, 2, padding=1) if torchvision else F.max_pool2d(x, 3, 2, ceil_mode=True)
    for stage, blocks in enumerate((3, 4, 6, 3), 2):
        for block in range(1, blocks + 1):
            name, stride = f"conv{stage}_{block}", 2 if block == 1 and stage > 2 else 1
            first, second = (1, stride) if torchvision else (stride, 1)
            y = layer(f"{name}_1x1_reduce", x, first).relu()
            y = layer(f"{name}_3x3", y, second).relu()
            y = layer(f"{name}_1x1_increase", y)
            if f"{name}_1x1_down.weight" in tensors:
                down, up = (
                    (tensors[f"{name}_1x1_{part}.weight"], tensors[f"{name}_1x1_{part}.bias"])
                    for part in ("down", "up")
                )
                gate = F.conv2d(y.mean(dim=(2, 3), keepdim=True), *down).relu()
                y = y * F.conv2d(gate, *up).sigmoid()
            x = (y + (layer(f"{name}_1x1_proj", x, stride) if block == 1 else x)).relu()
    return x


def as_torchvision(name: str) -> str:
    """Translate ``conv3_1_1x1_reduce/bn.bias`` to ``layer2.0.bn1.bias``; SE to conv4 and conv5."""
    layer, _, tensor = name.rpartition(".")
    norm = layer.endswith("/bn")
    layer = layer.removesuffix("/bn")
    if layer == "conv1/7x7_s2":
        return f"{'bn1' if norm else 'conv1'}.{tensor}"
    if layer == "classifier":
        return f"fc.{tensor}"
    stage, block, part = layer.removeprefix("conv").split("_", 2)
    if part == "1x1_proj":
        translated = f"downsample.{int(norm)}"
    else:
        index = ["1x1_reduce", "3x3", "1x1_increase", "1x1_down", "1x1_up"].index(part) + 1
        translated = f"{'bn' if norm else 'conv'}{index}"
    return f"layer{int(stage) - 1}.{int(block) - 1}.{translated}.{tensor}"


def write_caffe_npz(tensors: dict[str, Tensor], path: Path) -> Path:
    path = path / "senet50_ft.npz"
    np.savez(path, **{name: value.numpy() for name, value in tensors.items()})
    return path


def write_oxford_pth(tensors: dict[str, Tensor], path: Path) -> Path:
    """Write names with underscores and a prefix, and other contents of a training checkpoint."""
    path = path / "senet50_ft.pth"
    renamed = {f"module.{name.replace('/', '_')}": value for name, value in tensors.items()}
    torch.save({"epoch": 3, "state_dict": renamed}, path)
    return path


def write_layers_safetensors(tensors: dict[str, Tensor], path: Path) -> Path:
    path = path / "resnet50.safetensors"
    renamed = {as_torchvision(name): value for name, value in tensors.items()}
    renamed["bn1.num_batches_tracked"] = torch.tensor(12)
    save_file(renamed, path)
    return path


@pytest.mark.parametrize(
    ("write", "squeeze_excitation", "weights_layout"),
    [
        (write_caffe_npz, True, "vggface2_bgr"),
        (write_oxford_pth, True, "vggface2_rgb"),
        (write_layers_safetensors, True, "vggface2_bgr"),
        (write_layers_safetensors, False, "torchvision"),
    ],
)
def test_a_published_checkpoint_gives_the_expected_features(
    tmp_path, write, squeeze_excitation, weights_layout
):
    tensors = caffe_checkpoint(squeeze_excitation)
    network = ResNet50(squeeze_excitation, weights_layout).eval()
    report = load_weights(network, write(tensors, tmp_path))
    assert report.missing == []
    assert report.mismatched == {}
    assert len(report.matched) == len(tensors) - 2
    assert len(report.unexpected) == 2  # the classifier
    pixels = 60 * torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = reference(tensors, pixels, weights_layout == "torchvision")
        features = network(pixels)
    assert features.shape == (2, 2048, 2, 2)
    scale = expected.abs().max()
    assert (features - expected).abs().max() < 1e-4 * scale
    other = reference(tensors, pixels, weights_layout != "torchvision")
    assert (other - expected).abs().max() > 1e-2 * scale  # the layouts differ


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("conv1/7x7_s2.weight", "stem.0.weight"),
        ("conv1_7x7_s2_bn.running_var", "stem.1.running_var"),
        ("conv2_1_1x1_down.bias", "stages.0.0.excite.gate.0.bias"),
        ("conv4_6_1x1_up.weight", "stages.2.5.excite.gate.2.weight"),
        ("conv5_1_1x1_proj/bn.weight", "stages.3.0.shortcut.1.weight"),
        ("layer3.5.conv2.weight", "stages.2.5.body.3.weight"),
        ("layer1.0.downsample.0.weight", "stages.0.0.shortcut.0.weight"),
        ("stages.0.0.body.0.weight", "stages.0.0.body.0.weight"),
        ("classifier.weight", "classifier.weight"),
    ],
)
def test_published_names_are_translated(name, expected):
    assert resnet50_name(name) == expected


def small() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))


def write(tensors: dict[str, Tensor], path: Path) -> Path:
    save_file({name: value.contiguous() for name, value in tensors.items()}, path)
    return path


def same(name: str) -> str:
    return name


def test_a_partial_load_reports_every_tensor(tmp_path):
    source, model = small(), small()
    tensors = dict(source.state_dict())
    del tensors["1.weight"], tensors["1.num_batches_tracked"]
    tensors["2.weight"] = torch.zeros(5, 3)
    tensors["classifier"] = torch.zeros(1)
    before = model[2].weight.clone()
    write(tensors, tmp_path / "model.safetensors")
    report = load_run(model, tmp_path)
    running = ["1.running_mean", "1.running_var"]
    assert report.matched == ["0.weight", "0.bias", "1.bias", *running, "2.bias"]
    assert report.missing == ["1.weight"]
    assert report.unexpected == ["classifier"]
    assert report.mismatched == {"2.weight": "(2, 3), file (5, 3)"}
    assert report.n_tensors == 8
    assert torch.equal(model[0].weight, source[0].weight)
    assert torch.equal(model[2].weight, before)


def test_a_poor_match_is_refused_without_changing_the_model(tmp_path):
    model = ResNet50(False, "vggface2_bgr")
    before = model.stem[0].weight.clone()
    tensors = {"conv1/7x7_s2.weight": torch.zeros(64, 3, 7, 7)}
    tensors |= {f"features.{index}.weight": torch.zeros(1) for index in range(30)}
    np.savez(tmp_path / "x.npz", **{name: value.numpy() for name, value in tensors.items()})
    with pytest.raises(WeightsError) as info:
        load_weights(model, tmp_path / "x.npz")
    assert info.value.file == tmp_path / "x.npz"
    assert info.value.value == "stem.1.weight"  # the first that is missing
    assert len(str(info.value)) < 700  # lists are shortened
    assert torch.equal(model.stem[0].weight, before)


def rename(tensors: dict[str, Tensor]) -> str:
    tensors["0.weighs"] = tensors.pop("0.weight")
    return "0.weight"


def reshape(tensors: dict[str, Tensor]) -> str:
    tensors["1.bias"] = tensors["1.bias"][:2]
    return "1.bias"


def make_nan(tensors: dict[str, Tensor]) -> str:
    tensors["1.running_var"] = torch.full((3,), torch.nan)
    return "1.running_var"


@pytest.mark.parametrize("change", [rename, reshape, make_nan])
def test_one_wrong_tensor_is_named_and_the_model_is_not_changed(tmp_path, change):
    model, tensors = small(), dict(small().state_dict())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    name = change(tensors)
    with pytest.raises(WeightsError) as info:
        load_weights(model, write(tensors, tmp_path / "x.safetensors"), same)
    assert (info.value.file, info.value.value) == (tmp_path / "x.safetensors", name)
    assert info.value.remedy
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_prefixes_are_removed_only_if_the_model_does_not_have_them(tmp_path):
    model = nn.ModuleDict({"backbone": nn.Linear(4, 3)})
    weight, bias = torch.ones(3, 4), torch.ones(3)
    for prefix in ("", "module.", "module.model."):
        tensors = {f"{prefix}backbone.weight": weight, f"{prefix}backbone.bias": bias}
        load_weights(model, write(tensors, tmp_path / "x.safetensors"), same)
    tensors = {"backbone.weight": 2 * weight, "module.backbone.bias": 2 * bias}
    load_weights(model["backbone"], write(tensors, tmp_path / "x.safetensors"), same)
    assert model["backbone"].weight.eq(2).all()


def test_two_tensors_of_one_name_are_refused(tmp_path):
    tensors = dict(small().state_dict())
    tensors["module.0.bias"] = torch.zeros(3)
    with pytest.raises(WeightsError) as info:
        load_weights(small(), write(tensors, tmp_path / "x.safetensors"), same)
    assert (info.value.file, info.value.value) == (tmp_path / "x.safetensors", "0.bias")


def test_weights_in_half_precision_are_converted_to_the_type_of_the_model(tmp_path):
    source, model = small(), small()
    tensors = {name: value.half() for name, value in source.state_dict().items()}
    load_weights(model, write(tensors, tmp_path / "x.safetensors"), same)
    assert model[0].weight.dtype == torch.float32
    assert torch.equal(model[0].weight, source[0].weight.half().float())


class Malicious:
    """Write a file when unpickled."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return Path.write_text, (self.marker, "code ran")


@pytest.mark.parametrize("kind", ["torch.pth", "plain.pth", "nested.pt", "objects.npz", "raw.npz"])
def test_code_in_a_file_does_not_run(tmp_path, kind):
    path, marker = tmp_path / kind, tmp_path / "marker"
    content = {"0.weight": torch.zeros(3, 4), "0.bias": Malicious(marker)}
    if kind == "torch.pth":
        torch.save(content, path)
    elif kind == "nested.pt":
        torch.save({"state_dict": {"0.weight": torch.zeros(3, 4)}, "x": Malicious(marker)}, path)
    elif kind == "objects.npz":
        np.savez(path, weight=np.array([Malicious(marker)], dtype=object))
    else:
        path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(WeightsError) as info:
        load_weights(small(), path, same)
    assert info.value.file == path
    assert not marker.exists()
    if path.suffix != ".npz":
        # without weights_only, the code does run
        with suppress(RuntimeError):
            torch.load(path, weights_only=False)
        assert marker.exists()


def test_files_without_weights_are_named(tmp_path):
    (tmp_path / "senet50_ft_weight.pkl").write_bytes(b"x")
    (tmp_path / "broken.safetensors").write_bytes(b"no header")
    torch.save(torch.zeros(3), tmp_path / "one.pt")
    torch.save({"epoch": 3}, tmp_path / "none.pt")
    for name in ("absent.safetensors", "senet50_ft_weight.pkl", "broken.safetensors", "one.pt"):
        with pytest.raises(WeightsError) as info:
            load_weights(small(), tmp_path / name)
        assert info.value.file == tmp_path / name
    with pytest.raises(WeightsError) as info:
        load_weights(small(), tmp_path / "none.pt")
    assert info.value.file == tmp_path / "none.pt"


def test_matching_tensors_of_another_run_are_loaded(tmp_path):
    source = small()
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 24))
    write(source.state_dict(), tmp_path / "model.safetensors")
    report = load_run(model, tmp_path)
    assert len(report.matched) == 6
    assert report.mismatched == {
        "2.weight": "(24, 3), file (2, 3)",
        "2.bias": "(24,), file (2,)",
    }
    x = torch.randn(5, 4)
    torch.testing.assert_close(model.eval()[:2](x), source.eval()[:2](x))


def test_a_run_without_matching_tensors_is_refused(tmp_path):
    for tensors in (None, {"other": torch.zeros(1)}):
        if tensors is not None:
            write(tensors, tmp_path / "model.safetensors")
        with pytest.raises(WeightsError) as info:
            load_run(small(), tmp_path)
        assert info.value.file == tmp_path / "model.safetensors"
    assert info.value.value == "0.weight"
