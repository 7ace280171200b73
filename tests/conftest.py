"""Fixtures shared by the tests: where real recordings lie, a simulated corpus made once."""

import gc
import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest
from filelock import FileLock

from depmm.corpora.manifest import Manifest

ROOT = Path(__file__).parents[1]
SPEC = ROOT / "data_specs" / "ewre_simulated.yaml"
REAL_DATA = ROOT.parent / "shared" / "data"

TINY = """
name: tiny
split: {{kind: official}}
data:
  manifest: {manifest}
  store: {store}
  max_audio_s: 0.5
  frames_per_step: 1
  face_size: 16
model:
  encoders:
    audio: {{kind: mfcc_cnn, n_mfcc: 8, n_mels: 16, channels: [8], embed_dim: 8, dropout: 0.0}}
    face: {{kind: se_resnet, blocks: [1], channels: [8], reduction: 4, embed_dim: 8, dropout: 0.0}}
  fusion:
    kind: dep_former
    adapter_hidden_dim: 16
    adapter_dim: 8
    embed_dim: 16
    n_heads: 2
    head_dim: 8
    ffn_dim: 16
    stacks: [1, 1]
    sampling_factor: 1
training: {{epochs: 2, batch_size: 4, learning_rate: 1.0e-2}}
evaluation: {{n_bootstrap: 100}}
"""


def pytest_collection_finish() -> None:
    """Keep the imported modules out of each collection of garbage, which training asks for."""
    gc.freeze()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real recordings (GRID, RAVDESS, Emo-DB, face model)."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"the real recordings are not beside the project ({REAL_DATA})")
    return REAL_DATA


@dataclass(frozen=True)
class Corpus:
    """A simulated corpus on its way: recordings, manifest, store with the default settings."""

    recordings: Path
    spec: Path
    folder: Path  # of the manifest
    manifest: Manifest
    store: Path
    config: Path  # of a tiny experiment, which runs in a second


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """12 people who read 4 words each; tests only read it, and the processes of a run share it."""
    from depmm.corpora.manifest import read_manifest

    base = tmp_path_factory.getbasetemp() / "corpus"
    if "PYTEST_XDIST_WORKER" in os.environ:  # a process of several; they have one parent
        base = base.parents[1] / "corpus"
    with FileLock(f"{base}.lock"):
        if not base.is_dir():
            make_corpus(base.with_suffix(".part"))
            base.with_suffix(".part").rename(base)
    config = base / "tiny.yaml"
    manifest = read_manifest(base / "manifest")
    return Corpus(base / "recordings", SPEC, base / "manifest", manifest, base / "store", config)


def make_corpus(base: Path) -> None:
    """Simulate, index and extract; the config knows where it will lie."""
    from depmm.config import ExtractConfig
    from depmm.corpora.index import index_corpus
    from depmm.corpora.manifest import write_manifest
    from depmm.corpora.spec import load_spec
    from depmm.simulation.word_reading import simulate_word_reading
    from depmm.store.extract import extract

    simulate_word_reading(base / "recordings", subjects=12, steps=4, seed=0, workers=1)
    manifest, report = index_corpus(load_spec(SPEC), base / "recordings")
    assert report.complete
    write_manifest(manifest, base / "manifest")
    done = extract(
        manifest, base / "recordings", base / "store", ExtractConfig(), workers=1,
        show_progress=False,
    )  # fmt: skip
    assert (done.extracted, len(done.failures)) == (12, 0)
    there = base.with_suffix("")
    text = TINY.format(manifest=there / "manifest", store=there / "store")
    (base / "tiny.yaml").write_text(text)


class Answer(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def depmm(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run a command in this process, as the installed program does."""
    from depmm.cli import main

    def call(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["depmm", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        return Answer(code, *capsys.readouterr())

    return call


@pytest.fixture(autouse=True)
def _no_log_handlers() -> Iterator[None]:
    """Remove the handlers that a command adds, so that the log is silent in other tests."""
    yield
    logging.getLogger("depmm").handlers.clear()


@pytest.fixture(autouse=True)
def _one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """One process on the CPU, whatever launched the tests."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
