"""Shared fixtures: real recordings, a simulated corpus, and calls of the command line."""

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
    layers: [1, 1]
    sampling_factor: 1
training: {{epochs: 2, batch_size: 4, learning_rate: 1.0e-2}}
evaluation: {{n_bootstrap: 100}}
"""


def pytest_collection_finish() -> None:
    """Exclude imported modules from the garbage collections that training runs."""
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the counts of the fault suite; tests in other processes have recorded them."""
    reports = [
        report for group in ("passed", "failed") for report in terminalreporter.getreports(group)
    ]
    rows = sorted(
        tuple(value)
        for report in reports
        for name, value in report.user_properties
        if name == "faults"
    )
    if not rows:
        return
    terminalreporter.section("faults")
    total = ("in total", *map(sum, zip(*(row[1:] for row in rows), strict=True)))
    for kind, tried, handled, silent, tracebacks, hangs, ended in (*rows, total):
        terminalreporter.write_line(
            f"{kind}: {tried} tried, {handled} handled, {silent} silent, {tracebacks} tracebacks, "
            f"{hangs} hangs" + (f", {ended} ended by one file" if ended else "")
        )


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of the real recordings (GRID, RAVDESS, Emo-DB, face model)."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"the real recordings are missing ({REAL_DATA})")
    return REAL_DATA


@dataclass(frozen=True)
class Corpus:
    """A simulated corpus: recordings, manifest, and store with the default settings."""

    recordings: Path
    spec: Path
    folder: Path  # of the manifest
    manifest: Manifest
    store: Path
    config: Path  # of a tiny experiment, which runs in a second


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Simulate 12 subjects who read 4 words each, once for all processes; tests only read it."""
    from depmm.corpora.manifest import read_manifest

    base = tmp_path_factory.getbasetemp() / "corpus"
    if "PYTEST_XDIST_WORKER" in os.environ:  # processes of one run have a common parent folder
        base = base.parents[1] / "corpus"
    with FileLock(f"{base}.lock"):
        if not base.is_dir():
            make_corpus(base.with_suffix(".part"))
            base.with_suffix(".part").rename(base)
    config = base / "tiny.yaml"
    manifest = read_manifest(base / "manifest")
    return Corpus(base / "recordings", SPEC, base / "manifest", manifest, base / "store", config)


def make_corpus(base: Path) -> None:
    """Simulate, index and extract; the config has the paths after the folder is renamed."""
    from depmm.config import ExtractConfig
    from depmm.corpora.index import index_corpus
    from depmm.corpora.manifest import write_manifest
    from depmm.corpora.spec import load_spec
    from depmm.simulation.word_reading import simulate_word_reading
    from depmm.store.extract import extract

    simulate_word_reading(base / "recordings", subjects=12, steps=4, seed=0, workers=1)
    manifest, index_report = index_corpus(load_spec(SPEC), base / "recordings")
    assert index_report.complete
    write_manifest(manifest, base / "manifest")
    report = extract(
        manifest, base / "recordings", base / "store", ExtractConfig(), workers=0,
    )  # fmt: skip
    assert (report.extracted, len(report.failures)) == (12, 0)
    final = base.with_suffix("")
    text = TINY.format(manifest=final / "manifest", store=final / "store")
    (base / "tiny.yaml").write_text(text)


class CommandResult(NamedTuple):
    """Exit status and output of a command."""

    code: int
    out: str
    err: str


@pytest.fixture
def depmm(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Return a function that runs a command in this process, like the installed program."""
    from depmm.cli import main

    def call(*arguments: object) -> CommandResult:
        monkeypatch.setattr(sys, "argv", ["depmm", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        return CommandResult(code, *capsys.readouterr())

    return call


@pytest.fixture(autouse=True)
def _no_log_handlers() -> Iterator[None]:
    """Remove the log handlers that a command adds."""
    yield
    logging.getLogger("depmm").handlers.clear()


@pytest.fixture(autouse=True)
def _one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use one process on the CPU, independent of how the tests are launched."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    launcher = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    for name in (*launcher, "SLURM_PROCID", "SLURM_ARRAY_TASK_ID"):
        monkeypatch.delenv(name, raising=False)
