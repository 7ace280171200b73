"""Training on one corpus and testing on another, through the command line."""

from pathlib import Path

import pandas as pd
import pytest
import yaml
from simulated_layouts import shipped_spec, simulate_and_index
from typer.testing import CliRunner

from depmm.cli import app
from depmm.config import ConfigError, ExtractConfig
from depmm.corpora.manifest import write_manifest
from depmm.data.joined_store import join_stores
from depmm.files.checksums import read_json, read_table, write_table
from depmm.schemas.manifest import PSEUDO_SUBJECTS, SESSION_KEY
from depmm.schemas.store import FAILURES
from depmm.store.errors import StoreError
from depmm.store.extract import extract
from depmm.store.index import read_failures, read_index
from depmm.store.sessions import SessionStore
from depmm.training.cross_corpus import (
    CorpusLocation,
    CrossCorpusError,
    TrainingSet,
    cross_corpus,
    plan_rows,
)

CORPORA = ("eatd", "indic_bengali")


@pytest.fixture(scope="module")
def corpora(tmp_path_factory) -> Path:
    """Simulate two small corpora with different instruments."""
    folder = tmp_path_factory.mktemp("corpora")
    for name in CORPORA:
        _, manifest, _ = simulate_and_index(
            shipped_spec(name), folder / name, subjects=10, words=1, seed=1, effect=3.0
        )
        write_manifest(manifest, folder / "corpora" / name / "manifest")
        extract(
            manifest, folder / name, folder / "stores" / name, ExtractConfig(), workers=0,
        )  # fmt: skip
    config = {
        "name": "across", "split": {"folds": 2, "validation": 0.4},
        "data": {"manifest": "corpora/eatd/manifest", "store": "stores/eatd",
                 "modalities": ["audio"]},
        "classical": {"model": {"kind": "svm"}}, "evaluation": {"n_bootstrap": 200},
    }  # fmt: skip
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def run(folder: Path, *arguments: str):
    return CliRunner().invoke(app, ["cross-corpus", "config.yaml", *arguments])


@pytest.mark.slow
def test_all_pairs_give_a_matrix_and_finished_runs_are_kept(corpora, monkeypatch):
    monkeypatch.chdir(corpora)
    result = run(corpora, "--all-pairs", ",".join(CORPORA))
    assert result.exit_code == 0, result.output
    out = corpora / "runs" / "across"
    table = pd.read_csv(out / "cross_corpus.csv")
    cells = table[table["metric"] == "auroc"].set_index(["train", "test"])
    assert set(cells.index) == {(a, b) for a in CORPORA for b in CORPORA}
    assert (cells["subjects"] == 10).all()
    assert cells.loc[("eatd", "eatd"), "kind"] == "within"
    assert cells["ci_low"].notna().all()
    assert (cells["ci_low"] <= cells["value"]).all()
    assert (cells["baseline_value"] == 0.5).all()
    content = read_json(out / "metrics.json")
    assert len(content["labels"]) == 2
    assert len(content["differences"]) == 4  # two test corpora, two metrics
    crossed = read_table(out / "train-eatd" / "predictions.parquet")
    # nothing but the test uses the test corpus
    assert set(crossed.loc[crossed["split"] != "test", "corpus"]) == {"eatd"}
    assert set(crossed.loc[crossed["split"] == "test", "corpus"]) == {"indic_bengali"}
    assert crossed.loc[crossed["split"] == "validation", "subject"].nunique() >= 2
    page = (out / "cross_corpus.html").read_text()
    assert page.count('data-test="indic_bengali"') == 4
    before = (out / "train-eatd" / "seed-0-fold-0" / "predictions.parquet").stat().st_mtime_ns
    again = run(corpora, "--all-pairs", ",".join(CORPORA))
    assert again.exit_code == 0, again.output
    after = (out / "train-eatd" / "seed-0-fold-0" / "predictions.parquet").stat().st_mtime_ns
    assert before == after


def test_one_training_set_with_given_locations(corpora, monkeypatch):
    monkeypatch.chdir(corpora)
    place = [
        f"{name}={corpora}/corpora/{name}/manifest:{corpora}/stores/{name}" for name in CORPORA
    ]
    result = run(
        corpora, "--train", "eatd", "--test", "indic_bengali", "--corpus", place[0],
        "--corpus", place[1], "--unit", "subject", "name=one",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    content = read_json(corpora / "runs" / "one" / "metrics.json")
    assert [(cell["train"], cell["test"]) for cell in content["cells"]] == [
        (["eatd"], "indic_bengali")
    ]
    assert content["differences"] == []


def test_experiments_that_cannot_be_are_refused(corpora, monkeypatch):
    monkeypatch.chdir(corpora)
    rows = plan_rows(["eatd"], ["indic_bengali"])
    with pytest.raises(ConfigError) as config_error:
        cross_corpus("config.yaml", rows, overrides=["split={kind: file, file: x.csv}"])
    assert config_error.value.setting == "split.kind"
    with pytest.raises(CrossCorpusError) as error:
        cross_corpus("config.yaml", plan_rows(["eatd"], ["modma"]))
    assert error.value.value == "modma"
    places = {"modma": CorpusLocation(Path("corpora/eatd/manifest"), "stores/eatd")}
    with pytest.raises(CrossCorpusError) as error:
        cross_corpus("config.yaml", plan_rows(["indic_bengali"], ["modma"]), places)
    assert error.value.file == Path("corpora/eatd/manifest")
    with pytest.raises(StoreError) as store_error:
        cross_corpus("config.yaml", rows, overrides=["name=other", "extract.face.jpeg_quality=80"])
    assert store_error.value.setting == "extract.face.jpeg_quality"


@pytest.mark.parametrize(
    ("train", "test", "pairs"),
    [((), ("a",), ()), (("a",), ("a",), ()), (("a",), (), ("b", "c")), ((), (), ("a",))],
)
def test_incomplete_or_repeated_corpora_are_refused(train, test, pairs):
    with pytest.raises(CrossCorpusError):
        plan_rows(train, test, pairs)


def test_every_row_has_the_settings_of_the_split(corpora, monkeypatch):
    monkeypatch.chdir(corpora)
    configs = []
    monkeypatch.setattr(
        "depmm.training.cross_corpus.cross_validate",
        lambda config, **arguments: configs.append(config),
    )
    for name in CORPORA:
        sessions = pd.read_parquet(f"corpora/{name}/manifest/sessions.parquet")[SESSION_KEY]
        clusters = sessions.assign(pseudo_subject=sessions["subject"])
        write_table(corpora / "corpora" / name / "manifest" / PSEUDO_SUBJECTS.file, clusters)
    split = {"validation": 0.3, "seed": 7, "group_by": "pseudo_subject", "stratify_by": ["gender"]}
    cross_corpus(
        "config.yaml", plan_rows((), (), CORPORA),
        overrides=["name=settings", *(f"split.{k}={v}" for k, v in split.items())],
    )  # fmt: skip
    assert {config.split.kind for config in configs} == {"file", "k_fold"}
    for config in configs:
        assert config.split.model_dump() | split == config.split.model_dump()
        joined = read_table(config.data.manifest / PSEUDO_SUBJECTS.file)
        assert set(joined["corpus"]) <= set(CORPORA)
        assert len(joined) == 10 * joined["corpus"].nunique()


def test_rows_of_all_pairs():
    assert plan_rows((), (), ("a", "b", "c"))[:2] == [
        TrainingSet(("a",), ("a",)),
        TrainingSet(("a",), ("b", "c")),
    ]
    assert plan_rows(["a", "b"], ["c"])[0].name == "train-a-b"


def test_a_joined_store_contains_the_sessions_of_both(corpora, tmp_path):
    places = {name: str(corpora / "stores" / name) for name in CORPORA}
    lost = {"corpus": "eatd", "subject": "x", "session": "x", "stage": "audio", "file": "x.wav"}
    failures = FAILURES.build([{**lost, "cause": "it is empty", "remedy": ""}])
    write_table(corpora / "stores" / "eatd" / FAILURES.file, failures)
    for _ in range(2):  # links are replaced
        location = join_stores(places, ExtractConfig(), tmp_path / "joined")
    store = SessionStore(location, ExtractConfig())
    index = read_index(store)
    assert index.groupby("corpus").size().to_dict() == {"eatd": 10, "indic_bengali": 10}
    with store.read(*index.iloc[0][["corpus", "subject", "session"]]) as reader:
        assert reader.summary["n_steps"] == 3
    assert read_failures(store)["corpus"].tolist() == ["eatd"]
    one = dict.fromkeys(("eatd",), places["eatd"])
    assert join_stores(one, ExtractConfig(), tmp_path / "x") == places["eatd"]
