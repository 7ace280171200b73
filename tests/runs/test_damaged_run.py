"""Damaged, odd and missing files of runs and manifests are refused with name and remedy."""

import json
import os
import shutil
import socket
from pathlib import Path

import pandas as pd
import pytest
from bit_flips import flip_bits, restored
from trained_runs import AUDIO, train_tiny
from transformers import AutoConfig, AutoModel

import depmm
from depmm.audit.audit_folders import audit_folders
from depmm.audit.saved_audit import read_audit
from depmm.corpora.corpus_facts import CorpusFacts, RelatedCorpus, read_facts
from depmm.corpora.index import index_corpus
from depmm.corpora.index_report import read_index_report
from depmm.corpora.manifest import Manifest, read_manifest, write_manifest
from depmm.corpora.spec import load_spec
from depmm.errors import DepmmError
from depmm.evaluation.predictions import read_predictions
from depmm.files.checksums import write_text
from depmm.files.damage import DamagedFileError
from depmm.files.locks import LockedError, locked_folder
from depmm.inference.trained_run import read_trained_run
from depmm.interpret.query.explorer import write_explorer
from depmm.interpret.query.sql import run_sql
from depmm.models.model import DepressionModel
from depmm.models.model_config import DepressionConfig
from depmm.models.saved import is_path_of_run
from depmm.runs.contents import read_run
from depmm.runs.folder import RunError, find_model_folders
from depmm.runs.inference_facts import read_inference_facts
from depmm.runs.lineage import find_training_subjects

N_FLIPS = 12
TABLE = ("attributions", "branches", "modalities")
RUN_FILES = {
    "config.yaml": [read_run, find_training_subjects, read_trained_run],
    "split.csv": [find_training_subjects],
    "corpora.json": [read_facts],
    "environment.json": [read_run],
    "data_summary.json": [read_run],
    "inference.json": [read_trained_run],
    "audit.json": [read_run],
    "history.parquet": [read_run, lambda run: run_sql(run, "FROM history")],
    "predictions.parquet": [
        read_run,
        lambda run: read_predictions(run / "predictions.parquet"),
        lambda run: run_sql(run, "SELECT count(*) FROM predictions"),
    ],
    "metrics.json": [read_trained_run],
    "config.json": [DepressionModel.from_pretrained, DepressionConfig.from_pretrained],
    "model.safetensors": [DepressionModel.from_pretrained],
    "attributions.parquet": [
        lambda run: run_sql(run, "SELECT count(*) FROM attributions"),
        write_explorer,
    ],
    "modalities.parquet": [write_explorer],
}
MANIFEST_FILES = {
    "sessions.parquet": read_manifest,
    "steps.parquet": read_manifest,
    "corpora.json": read_manifest,
    "index.json": read_index_report,
    "audit.json": lambda folder: read_audit(folder / "audit.json"),
}


@pytest.fixture(scope="module")
def manifest(corpus, tmp_path_factory) -> Path:
    """A manifest with all of its files."""
    folder = tmp_path_factory.mktemp("manifest") / "m"
    related = [RelatedCorpus(corpus="other", same_ids=True, reason="the same study")]
    facts = {"ewre_simulated": CorpusFacts(related_corpora=related)}
    tables = corpus.manifest
    write_manifest(Manifest(tables.sessions, tables.steps, tables.features, facts), folder)
    _, report = index_corpus(load_spec(corpus.spec), corpus.recordings)
    write_text(folder / "index.json", report.to_json())  # as the command index
    audit_folders([folder])
    return folder


@pytest.fixture(scope="module")
def run(corpus, manifest, tmp_path_factory) -> Path:
    """A run that is trained, evaluated and explained."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCELERATE_USE_CPU", "true")
        path = tmp_path_factory.mktemp("runs") / "demo"
        train_tiny(corpus, path, *AUDIO, f"data.manifest={manifest}")
        depmm.evaluate(path)
        depmm.explain(path)
    return path


@pytest.fixture
def copy(run, tmp_path) -> Path:
    return shutil.copytree(run, tmp_path / "copy")


def check_refusal(error: DepmmError, path: Path) -> None:
    assert error.file == path
    assert error.remedy
    assert str(path) in str(error)
    assert "SHA256SUMS" in error.remedy


@pytest.mark.parametrize("name", RUN_FILES)
def test_every_flipped_bit_of_a_run_is_refused(run, name):
    reads = RUN_FILES[name]
    for number, _ in enumerate(flip_bits(run / name, N_FLIPS)):
        with pytest.raises(DamagedFileError) as info:
            reads[number % len(reads)](run)
        check_refusal(info.value, run / name)
    for read in reads:
        read(run)


@pytest.mark.parametrize("name", MANIFEST_FILES)
def test_every_flipped_bit_of_a_manifest_is_refused(manifest, name):
    for _ in flip_bits(manifest / name, N_FLIPS):
        with pytest.raises(DamagedFileError) as info:
            MANIFEST_FILES[name](manifest)
        check_refusal(info.value, manifest / name)
    MANIFEST_FILES[name](manifest)


def test_every_file_of_a_run_that_is_read_has_a_checksum(run):
    lines = (run / "SHA256SUMS").read_text().splitlines()
    assert {line[66:] for line in lines} >= set(RUN_FILES)


def test_a_moved_run_is_valid_and_gives_the_same_model(run, tmp_path):
    moved = shutil.copytree(run, tmp_path / "elsewhere")
    one, two = (DepressionModel.from_pretrained(path).state_dict() for path in (run, moved))
    assert all(one[name].equal(two[name]) for name in one)


def test_a_file_that_was_changed_on_purpose_is_read_without_its_line(copy):
    table = pd.read_parquet(copy / "predictions.parquet").assign(y_prob=0.5)
    table.to_parquet(copy / "predictions.parquet")
    with pytest.raises(DamagedFileError):
        read_run(copy)
    sums = copy / "SHA256SUMS"
    kept = [line for line in sums.read_text().splitlines() if "predictions" not in line]
    sums.write_text("".join(f"{line}\n" for line in kept))
    assert (read_run(copy).predictions["y_prob"] == 0.5).all()


ODD = {
    "empty": b"",
    "not UTF-8": b"\xff\xfe\xfa name: x",
    "a number": b"3",
    "nested": b"[" * 100_000,
    "NaN": b'{"a": NaN, "model_type": "depmm"}',
}


@pytest.mark.parametrize("content", ODD.values(), ids=list(ODD))
@pytest.mark.parametrize(
    "name",
    ["environment.json", "inference.json", "audit.json", "metrics.json", "config.json"],
)
def test_odd_files_without_checksums_are_refused(copy, name, content):
    (copy / "SHA256SUMS").unlink()
    (copy / name).write_bytes(content)
    with pytest.raises(DepmmError) as info:
        RUN_FILES[name][0](copy)
    assert info.value.file == copy / name
    assert info.value.remedy
    if name == "config.json":
        with pytest.raises(DepmmError):
            read_trained_run(copy)


@pytest.mark.parametrize("name", ["config.yaml", "predictions.parquet", "split.csv"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\xfa", b"PAR1"])
def test_other_odd_files_without_checksums_are_refused(copy, name, content):
    (copy / "SHA256SUMS").unlink()
    (copy / name).write_bytes(content)
    with pytest.raises(DepmmError) as info:
        RUN_FILES[name][0](copy)
    assert info.value.file == copy / name


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "SHA256SUMS"])
def test_a_folder_or_pipe_in_place_of_a_file_is_refused(copy, name):
    for make in (os.mkdir, os.mkfifo):
        path = copy / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        make(path)
        with pytest.raises(DamagedFileError) as info:
            DepressionModel.from_pretrained(copy)
        assert info.value.file == path


def test_an_environment_with_other_values_than_text_is_refused(copy):
    (copy / "SHA256SUMS").unlink()
    (copy / "environment.json").write_text(json.dumps({"command": ["a"]}))
    with pytest.raises(DamagedFileError) as info:
        read_run(copy)
    assert info.value.file == copy / "environment.json"


@pytest.fixture
def no_network(monkeypatch) -> list[object]:
    """Refuse every connection, and collect the addresses."""
    asked: list[object] = []

    def refuse(*arguments, **options):
        asked.append(arguments)
        raise OSError("the network is not used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return asked


@pytest.mark.parametrize(
    "read",
    [
        depmm.Predictor,
        DepressionModel.from_pretrained,
        DepressionConfig.from_pretrained,
        AutoModel.from_pretrained,
        AutoConfig.from_pretrained,
        read_run,
        depmm.explain,
    ],
)
@pytest.mark.parametrize("typed", ["runs/dmeo", "rnus/demo"])
def test_a_mistyped_run_is_not_looked_up_on_a_hub(
    run, tmp_path, monkeypatch, no_network, read, typed
):
    shutil.copytree(run, tmp_path / "runs" / "demo")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DepmmError) as info:
        read(typed if read is not read_run else Path(typed))
    assert info.value.file == Path(typed)
    assert info.value.remedy == "Did you mean runs/demo?"
    assert no_network == []


def test_only_paths_near_runs_are_taken_for_runs(run, tmp_path, monkeypatch):
    shutil.copytree(run, tmp_path / "results" / "demo")
    (tmp_path / "facebook" / "wav2vec2-base").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    typed = [
        "results/dmeo",
        "results/other",
        "reslts/demo",
        "runs/demo",
        Path("a"),
        "results/demo/x",
    ]
    assert all(is_path_of_run(name) for name in typed)
    assert is_path_of_run(str(tmp_path / "results" / "dmeo"))
    on_a_hub = ["facebook/wav2vec2-large", "facebook/wav2vec2-base", "bert", "google/bert"]
    assert not any(is_path_of_run(name) for name in [*on_a_hub, "results/demo", tmp_path])


def test_a_fold_is_suggested_for_a_cross_validation(run, tmp_path):
    shutil.copytree(run, tmp_path / "cv" / "seed-0-fold-1")
    with pytest.raises(DepmmError) as info:
        DepressionModel.from_pretrained(tmp_path / "cv")
    assert "seed-0-fold-1" in info.value.remedy
    DepressionModel.from_pretrained(tmp_path / "cv", subfolder="seed-0-fold-1")


def test_a_file_is_not_a_run(run):
    with pytest.raises(RunError) as info:
        find_model_folders(run / "config.yaml")
    assert info.value.file == run / "config.yaml"


@pytest.mark.parametrize(
    ("purpose", "write"), [("evaluate", depmm.evaluate), ("explain", depmm.explain)]
)
def test_two_commands_do_not_mix_the_files_of_a_run(copy, purpose, write):
    with locked_folder(copy, purpose):
        with pytest.raises(LockedError) as info:
            write(copy)
        assert info.value.file == copy
        assert f"process {os.getpid()}" in str(info.value)
    write(copy)
    assert not [path for path in copy.iterdir() if path.name.startswith(".")]


def test_reading_needs_no_lock(copy):
    with locked_folder(copy, "train"), locked_folder(copy, "evaluate"):
        read_run(copy)
        read_trained_run(copy)


def test_a_restored_file_is_read_again(copy):
    path = copy / "model.safetensors"
    with restored(path):
        path.write_bytes(b"")
        with pytest.raises(DamagedFileError):
            DepressionModel.from_pretrained(copy)
    DepressionModel.from_pretrained(copy)


def test_an_enormous_file_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "inference.json"
    with path.open("wb") as file:
        file.truncate(1 << 36)
    with pytest.raises(DepmmError) as caught:
        read_inference_facts(path)
    assert caught.value.file == path
