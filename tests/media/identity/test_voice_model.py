"""Download, search and check of the voice model, with a wheel of random weights."""

import dataclasses
import warnings
from pathlib import Path

import pytest
import torch
from simulated_voices import saved, write_wheel

from depmm.media.errors import MediaError
from depmm.media.identity import voice_model
from depmm.media.identity.model_files import sha256, tensors_sha256
from depmm.media.identity.speaker_encoder import SpeakerEncoder
from depmm.media.identity.voice_model import download_voice_model, load_speaker_encoder


@dataclasses.dataclass
class Site:
    """An index with one wheel, an empty cache, and the weights."""

    wheel: Path
    cached: Path
    tensors: dict[str, torch.Tensor]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Replace the index by a folder with a wheel of random weights."""
    torch.manual_seed(1)
    tensors = SpeakerEncoder().state_dict()
    extra = {"similarity_weight": torch.ones(1), "similarity_bias": torch.zeros(1)}
    weights = saved({"step": 1, "model_state": {**tensors, **extra}, "optimizer_state": {}})
    (tmp_path / "index").mkdir()
    wheel = write_wheel(tmp_path / "index", weights)
    accept(monkeypatch, wheel, weights, tensors)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("DEPMM_VOICE_MODEL", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    return Site(wheel, tmp_path / "cache/depmm/voice_encoder.safetensors", tensors)


def accept(
    monkeypatch: pytest.MonkeyPatch, wheel: Path, weights: bytes, tensors: dict[str, torch.Tensor]
) -> None:
    """Let the module expect this wheel."""
    known = dataclasses.replace(voice_model.VOICE_MODEL, sha256=tensors_sha256(tensors))
    monkeypatch.setattr(voice_model, "VOICE_MODEL", known)
    monkeypatch.setattr(voice_model, "WHEEL_SHA256", sha256(wheel.read_bytes()))
    monkeypatch.setattr(voice_model, "WEIGHTS_SHA256", sha256(weights))


def test_pip_fetches_the_wheel_and_the_weights_are_kept(site: Site, depmm) -> None:
    with pytest.raises(MediaError) as info:
        load_speaker_encoder()
    assert info.value.file == site.cached
    assert "depmm download identity" in str(info.value.remedy)
    result = depmm("download", "identity")
    assert (result.code, result.out.strip()) == (0, str(site.cached))
    encoder = load_speaker_encoder()
    assert not encoder.training
    for name, tensor in site.tensors.items():
        torch.testing.assert_close(encoder.state_dict()[name], tensor, rtol=0, atol=0)


def test_without_an_index_the_error_names_the_remedy(site: Site, depmm) -> None:
    content = site.wheel.read_bytes()
    site.wheel.unlink()
    with pytest.raises(MediaError) as info:
        download_voice_model()
    assert "--package" in str(info.value.remedy)
    assert not site.cached.exists()
    copied = site.wheel.with_name("copied.whl")
    copied.write_bytes(content)
    assert depmm("download", "identity", "--package", copied).code == 0
    assert site.cached.is_file()
    assert depmm("download", "faces", "--package", copied).code == 2


def test_a_wheel_with_the_wrong_hash_is_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as changed:
        changed.setattr(voice_model, "WHEEL_SHA256", "0" * 64)
        with pytest.raises(MediaError) as info:
            download_voice_model(site.wheel)
        assert info.value.value == sha256(site.wheel.read_bytes())
    with monkeypatch.context() as changed:
        changed.setattr(voice_model, "WEIGHTS_SHA256", "0" * 64)
        with pytest.raises(MediaError):
            download_voice_model(site.wheel)
    with pytest.raises(MediaError) as info:
        download_voice_model(site.wheel / "nowhere")
    assert not site.cached.exists()


@pytest.mark.parametrize("content", [{"model_state": {"lstm": torch.zeros(2)}}, [1], {"a": 1}])
def test_weights_of_another_network_are_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch, content: object
) -> None:
    wheel = write_wheel(site.wheel.parent, saved(content))
    accept(monkeypatch, wheel, saved(content), site.tensors)
    with pytest.raises(MediaError) as info:
        download_voice_model(wheel)
    assert info.value.file == wheel
    assert not site.cached.exists()


def test_a_changed_cache_is_refused_and_a_named_file_is_a_warning(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    download_voice_model(site.wheel)
    monkeypatch.setattr(
        voice_model, "VOICE_MODEL", dataclasses.replace(voice_model.VOICE_MODEL, sha256="0" * 64)
    )
    with pytest.raises(MediaError) as info:
        load_speaker_encoder()
    assert info.value.value == tensors_sha256(site.tensors)
    monkeypatch.setenv("DEPMM_VOICE_MODEL", str(site.cached))
    with pytest.warns(UserWarning, match="not the voice model"):
        load_speaker_encoder()
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"broken")
    monkeypatch.setenv("DEPMM_VOICE_MODEL", str(broken))
    with pytest.raises(MediaError) as info:
        load_speaker_encoder()
    assert info.value.file == broken


def test_a_named_file_is_used_without_a_warning(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = download_voice_model(site.wheel).rename(tmp_path / "elsewhere.safetensors")
    monkeypatch.setenv("DEPMM_VOICE_MODEL", str(path))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_speaker_encoder()
