"""Extraction of feature streams, and failures of damaged files."""

from pathlib import Path

import numpy as np
import pytest
from feature_corpus import (
    SPEC,
    make_feature_corpus,
    read_rows,
    write_feature_corpus,
)

from depmm.config import ExtractConfig
from depmm.corpora.index import index_corpus
from depmm.corpora.spec import parse_spec
from depmm.store.extract import extract
from depmm.store.index import read_index
from depmm.store.sessions import SessionStore

STORED = ExtractConfig()


@pytest.fixture(scope="module")
def feature_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_feature_corpus(tmp_path_factory.mktemp("features"))


def test_the_store_contains_the_rows_of_each_step(feature_corpus):
    store = SessionStore(feature_corpus / "store", STORED)
    index = read_index(store)
    assert index["streams"].map(list).tolist() == [["units", "voice"]] * len(index)
    with store.read("toy", "300", "300") as reader:
        assert reader.summary["streams"]["voice"] == {
            "rate_hz": 100.0,
            "columns": ["f0", "vuv", "energy"],
            "file": "300_voice.csv",
            "n_features": 3,
        }
        assert reader.step_rows("voice").tolist() == [[0, 100], [100, 200]]
        assert reader.step_rows("voice") is reader.step_rows("voice")  # every step needs them
        assert reader.step_rows("units").tolist() == [[0, 10], [10, 20]]
        _, voice = read_rows(
            feature_corpus / "toy/300_voice.csv", parse_spec(SPEC, "toy").recordings[0].features
        )
        np.testing.assert_array_equal(reader.read_features("voice", 100, 200), voice[250:350])
        times = reader.read_tensor("feature.units.time_s")
        np.testing.assert_allclose(times, np.r_[10:20, 25:35] / 10)


def test_a_broken_stream_is_a_failure_and_other_streams_are_stored(tmp_path):
    root = write_feature_corpus(tmp_path / "toy", subjects=2)
    manifest, _ = index_corpus(parse_spec(SPEC, "toy"), root)
    (root / "300_voice.csv").write_text("1,2,3\n1,x,3\n")
    lines = (root / "301_face.txt").read_text().splitlines()
    (root / "301_face.txt").write_text("\n".join(lines[:20]))
    report = extract(manifest, root, tmp_path / "store", STORED, workers=0)
    assert report.failures[["session", "stage"]].to_numpy().tolist() == [
        ["300", "voice"],
        ["301", "units"],
    ]
    assert "'x'" in report.failures["cause"][0]
    assert "1 of 2 steps" in report.failures["cause"][1]
    assert report.warnings[["session", "name"]].to_numpy().tolist() == [["301", "short_features"]]
    assert all(report.failures["remedy"])
    index = read_index(SessionStore(tmp_path / "store", STORED)).set_index("session")
    assert index["streams"].map(list).to_dict() == {"300": ["units"], "301": ["units", "voice"]}
    with SessionStore(tmp_path / "store", STORED).read("toy", "301", "301") as reader:
        assert reader.step_rows("units").tolist() == [[0, 9], [0, 0]]
    # repaired files are read again
    write_feature_corpus(root, subjects=2)
    again = extract(manifest, root, tmp_path / "store", STORED, workers=0)
    assert (again.extracted, len(again.failures)) == (2, 0)
    last = extract(manifest, root, tmp_path / "store", STORED, workers=0)
    assert (last.extracted, last.skipped) == (0, 2)
