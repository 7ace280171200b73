"""Sound, face and text with three pre-trained encoders, from the command line."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from pretrained_sources import WRITERS

from depmm.models.model import DepressionModel

KINDS = {"audio": "speech_transformer", "face": "image_transformer", "text": "text_transformer"}


@pytest.mark.slow
def test_a_run_with_three_pretrained_encoders_needs_no_source(corpus, depmm, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    encoders = {
        name: f"{{kind: {kind}, source: {WRITERS[kind](Path('sources') / kind)}, embed_dim: 8}}"
        for name, kind in KINDS.items()
    }
    overrides = [
        f"model.encoders={{{', '.join(f'{name}: {text}' for name, text in encoders.items())}}}",
        "data.modalities=[audio,face,text]",
        "data.precompute_embeddings=[audio,face,text]",
        f"data.store={shutil.copytree(corpus.store, tmp_path / 'store')}",
        "data.workers=0",
        "data.max_audio_s=0.2",
        "model.fusion={kind: mean_pool}",
        "out=runs",
    ]
    result = depmm("train", corpus.config, *overrides)
    assert result.code == 0, result.err
    shutil.rmtree("sources")
    shutil.rmtree("store/embeddings")
    predictions = pd.read_parquet("runs/tiny/predictions.parquet")
    model = DepressionModel.from_pretrained("runs/tiny")
    assert sorted(model.encoders) == ["audio", "face", "text"]
    assert len(predictions) == 12
    assert torch.isfinite(torch.tensor(predictions["y_prob"].to_numpy())).all()
    # without the embeddings: from the signals and the saved networks and tokenizer
    # all subjects read the same words, so that the text of a step equals the mean of its word
    result = depmm("explain", "runs/tiny", "--split", "test", "--reference", "session")
    assert result.code == 0, result.err
    attributions = pd.read_parquet("runs/tiny/attributions.parquet")
    for name in KINDS:
        assert attributions[f"occlusion_{name}"].abs().gt(0).any()
