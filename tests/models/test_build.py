"""Encoders and fusions are built from settings."""

from typing import get_args

import pytest
from model_builders import ENCODERS, FUSIONS
from speech_sources import write_source
from torch import nn

from depmm.config import EncoderConfig, FusionConfig
from depmm.models.encoders.build import build_encoder, complete_settings
from depmm.models.encoders.encoder import Encoder
from depmm.models.fusion.build import build_fusion


@pytest.mark.parametrize("kind", sorted(set(ENCODERS) - {"speech_transformer"}))
def test_an_encoder_is_built_from_its_settings(kind):
    settings = {"kind": kind, **ENCODERS[kind]}
    encoder = build_encoder(settings)
    assert isinstance(encoder, Encoder)
    assert encoder.embed_dim == ENCODERS[kind].get("embed_dim", encoder.embed_dim)
    assert complete_settings(settings) == settings


def test_complete_settings_adds_the_architecture_of_a_pretrained_model(tmp_path):
    settings = {"kind": "speech_transformer", "source": write_source(tmp_path), "architecture": {}}
    complete = complete_settings(settings)
    assert complete["architecture"]["network"]["model_type"] == "hubert"
    assert complete_settings(complete) == complete
    assert isinstance(build_encoder(complete), Encoder)


@pytest.mark.parametrize("kind", FUSIONS)
def test_a_fusion_is_built_from_its_settings(kind):
    fusion = build_fusion({"kind": kind, **FUSIONS[kind]}, {"audio": 4, "face": 6}, 3)
    assert {layer.out_features for layer in fusion.modules() if type(layer) is nn.Linear} >= {3}


@pytest.mark.parametrize("union", [EncoderConfig, FusionConfig])
def test_kinds_are_unique(union):
    kinds = [get_args(m.model_fields["kind"].annotation) for m in get_args(get_args(union)[0])]
    assert len(kinds) == len({kind for names in kinds for kind in names})
