"""Every encoder and fusion that a config can name: builds, learns one step, survives saving."""

from typing import get_args

import pytest
import torch
from speech_sources import write_source

from depmm.config import EncoderConfig, FusionConfig, ModelConfig
from depmm.models.heads import SeverityHead
from depmm.models.model import DepressionModel, build_model

ENCODERS = {
    "mfcc_cnn": {"channels": [8], "embed_dim": 8},
    "spectrogram_cnn": {"seconds": 1.0, "channels": [4, 4], "embed_dim": 8},
    "attention_resnet": {"channels": 8, "hop_length": 160, "n_fft": 512, "n_mels": 40},
    "emoaudionet": {"channels": 8, "branches": ["mfcc"]},
    "speech_transformer": {"source": "", "embed_dim": 8},  # see speech_source
    "voice_vector": {"points": 50},
    "face_map": {"face_size": 32},
    "feature_cnn": {"features": 5, "channels": [8], "embed_dim": 8},
    "se_resnet": {"blocks": [1], "channels": [8], "reduction": 2, "embed_dim": 8},
    "depnet": {"face_size": 32, "frames": 2, "channels": 4, "embed_dim": 8, "dropout": 0.0},
    "frame_mean": {"frozen": True, "frames": 1},
}
FUSIONS = {
    "dep_former": {
        "adapter_hidden_dim": 16,
        "adapter_dim": 8,
        "embed_dim": 8,
        "n_heads": 2,
        "head_dim": 4,
        "ffn_dim": 8,
        "sampling_factor": 1,
    },
    "mean_pool": {},
}
SEES = {"se_resnet", "depnet", "frame_mean", "face_map"}


@pytest.fixture(scope="module", autouse=True)
def speech_source(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A tiny pre-trained speech transformer for the config that needs one."""
    ENCODERS["speech_transformer"]["source"] = write_source(tmp_path_factory.mktemp("hubert"))


def kinds(union) -> set[str]:
    members = get_args(get_args(union)[0])
    return {get_args(member.model_fields["kind"].annotation)[0] for member in members}


def model_of(encoder: str, fusion: str, task: str = "binary") -> DepressionModel:
    torch.manual_seed(0)
    modality = "face" if encoder in SEES else "audio"
    settings = ModelConfig(
        encoders={modality: {"kind": encoder, **ENCODERS[encoder]}},
        fusion={"kind": fusion, **FUSIONS[fusion]},
    )
    return build_model(settings, task, (0.0, 63.0))


def signals(encoder: str) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    if encoder in SEES:
        faces = torch.randint(0, 256, (2, 2, 2, 3, 32, 32), generator=generator).byte()
        return {"face": faces, "face_length": torch.tensor([[2, 1], [2, 0]])}
    if encoder == "feature_cnn":
        rows = torch.randn(2, 2, 30, 5, generator=generator)
        rows[0, 0, 3] = torch.nan
        return {"audio": rows, "audio_length": torch.tensor([[30, 20], [30, 0]])}
    sound = torch.rand(2, 2, 16000, generator=generator) - 0.5
    return {"audio": sound, "audio_length": torch.tensor([[16000, 15000], [16000, 0]])}


def test_every_kind_that_a_config_can_name_is_tested_here():
    assert kinds(EncoderConfig) == set(ENCODERS)
    assert kinds(FusionConfig) == set(FUSIONS)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_encoder_learns_and_survives_saving(encoder, tmp_path):
    model = model_of(encoder, "mean_pool")
    x = signals(encoder)
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=1e-3)
    before = [p.detach().clone() for p in model.parameters() if p.requires_grad]
    loss = model.head.loss(model(**x).logits, torch.tensor([0.0, 1.0])).sum()
    loss.backward()
    optimizer.step()
    assert loss.isfinite()
    after = [p for p in model.parameters() if p.requires_grad]
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))

    model.eval()
    saved = model(**x).prediction
    model.save_pretrained(tmp_path)
    loaded = DepressionModel.from_pretrained(tmp_path).eval()
    for (name, a), (_, b) in zip(
        model.state_dict().items(), loaded.state_dict().items(), strict=True
    ):
        assert torch.equal(a, b), name
    # a file's tensors lie at other addresses, where other kernels may run
    torch.testing.assert_close(loaded(**x).prediction, saved, rtol=0, atol=5e-6)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_severity_stays_in_the_range_of_its_instrument(fusion):
    model = model_of("mfcc_cnn", fusion, task="severity").eval()
    score = model(**signals("mfcc_cnn")).prediction
    assert ((score > 0) & (score < 63)).all()
    head = SeverityHead(0.0, 63.0)
    assert head.predict(torch.zeros(1, 1)).item() == pytest.approx(31.5)
    assert head.loss(torch.zeros(1, 1), torch.tensor([0.0])).item() == pytest.approx(0.25)
    with pytest.raises(ValueError, match="smaller"):
        SeverityHead(3.0, 3.0)


def test_an_encoder_of_the_wrong_modality_is_refused():
    with pytest.raises(ValueError, match=r"does not encode audio.*attention_resnet"):
        ModelConfig(encoders={"audio": {"kind": "se_resnet"}}, fusion={"kind": "mean_pool"})
