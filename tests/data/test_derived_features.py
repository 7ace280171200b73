"""Streams that are computed from tracked faces, as inputs of a model."""

import numpy as np
import pytest
from face_sequences import write_face_corpus

from depmm.config import Config, load_config
from depmm.data.errors import DataError
from depmm.data.experiment_data import load_experiment_data
from depmm.training.experiment import train

STREAMS = {"behaviour": ("blendshapes", 52), "head": ("head_pose", 6), "eyes": ("gaze", 2)}


def settings(manifest, store) -> Config:
    encoder = {"kind": "feature_cnn", "channels": [4], "embed_dim": 4}
    return Config.model_validate(
        {
            "name": "streams",
            "split": {"kind": "k_fold", "folds": 3},
            "data": {
                "manifest": str(manifest),
                "store": str(store),
                "modalities": list(STREAMS),
                "features": {name: stream for name, (stream, _) in STREAMS.items()},
            },
            "model": {
                "encoders": {name: {**encoder, "features": n} for name, (_, n) in STREAMS.items()},
                "fusion": {"kind": "mean_pool"},
            },
            "training": {"epochs": 1, "batch_size": 4},
            "evaluation": {"n_bootstrap": 100},
        }
    )


def test_streams_of_the_face_are_inputs_of_training(tmp_path):
    config = settings(*write_face_corpus(tmp_path))
    data = load_experiment_data(config)
    assert len(data.sessions) == 12
    for name, (_, n_features) in STREAMS.items():
        signal = data.dataset[None, 0].signals[name]
        assert [rows.shape for rows in signal] == [(5, n_features)] * 2
        assert all(np.isfinite(rows).all() for rows in signal)
    run = train(config.model_copy(update={"out": tmp_path}))
    assert (run / "predictions.parquet").is_file()


def test_aligned_faces_have_no_streams(corpus):
    config = load_config(
        corpus.config,
        [
            "data.modalities=[face]", "data.features={face: blendshapes}",
            "model.encoders={audio: null, face: {kind: feature_cnn, features: 52}}",
            "model.fusion={kind: mean_pool}",
        ],
    )  # fmt: skip
    with pytest.raises(DataError) as raised:
        load_experiment_data(config)
    assert (raised.value.setting, raised.value.value) == ("data.features.face", "blendshapes")
