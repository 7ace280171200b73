"""Models with precomputed embeddings on the small simulated corpus."""

from pathlib import Path

import numpy as np
import pytest
import torch

from depmm.config import Config, load_config
from depmm.corpora.manifest import Manifest
from depmm.data.experiment_data import ExperimentData
from depmm.data.precompute import ensure_embeddings
from depmm.evaluation.batch_prediction import predict_sessions
from depmm.models.model import DepressionModel, build_model
from depmm.store.embeddings import EmbeddingStore

CPU = torch.device("cpu")
FRAME_MEAN = [
    "data.face_size=32",
    "data.frames_per_step=2",
    "model.encoders.face={kind: frame_mean, frozen: true, frames: 2}",
]
DEPNET = [
    "data.face_size=32",
    "model.encoders.face={kind: depnet, face_size: 32, frames: 2, channels: 4, embed_dim: 8}",
]


def load_embedding_config(corpus, store: Path, source: str, *overrides: str) -> Config:
    """Load the config of the small corpus with a frozen speech encoder."""
    audio = f"{{kind: speech_transformer, source: {source}, embed_dim: 8, dropout: 0.0}}"
    return load_config(
        corpus.config,
        [
            f"data.store={store}",
            f"model.encoders.audio={audio}",
            "data.precompute_embeddings=[audio]",
            *overrides,
        ],
    )


def build_seeded_model(config: Config) -> DepressionModel:
    """Build a model with reproducible weights."""
    torch.manual_seed(0)
    return build_model(config.model).eval()


def count_embedded(
    model: DepressionModel, data: ExperimentData, **arguments
) -> tuple[ExperimentData, list[tuple[str, int]]]:
    """Ensure embeddings, and count the sessions that each encoder computes."""
    written = []
    write = EmbeddingStore.write

    def write_and_count(store, *arguments):
        written.append(store)
        write(store, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EmbeddingStore, "write", write_and_count)
        result = ensure_embeddings(model.encoders, data, CPU, **arguments)
    stores = result.dataset.embeddings
    return result, [
        (name, sum(entry is store for entry in written)) for name, store in stores.items()
    ]


def predict_all(model: DepressionModel, data: ExperimentData) -> np.ndarray:
    """Predict every session."""
    table = predict_sessions(model, data.dataset, range(len(data.dataset)), batch_size=5)
    return table["prediction"].to_numpy()


def embedding_files(store: Path) -> dict[str, bytes]:
    """Read every file of embeddings."""
    files = sorted((store / "embeddings").rglob("*"))
    return {str(path): path.read_bytes() for path in files if path.is_file()}


def without_some_audio(corpus) -> Manifest:
    """Remove the audio of steps 0 and 2 of the first session and of the whole second session."""
    steps = corpus.manifest.steps.copy()
    first, second = corpus.manifest.sessions["session"][:2]
    silent = (steps["session"] == first) & steps["step"].isin([0, 2])
    steps.loc[silent | (steps["session"] == second), "audio"] = None
    return Manifest(corpus.manifest.sessions, steps)
