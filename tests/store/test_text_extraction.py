"""The text of steps in session files, without the words of an interviewer."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from recordings import SETTINGS, extract_all, manifest_of, three_subjects
from simulated_layouts import shipped_spec, simulate_and_index

from depmm.config import DataConfig
from depmm.corpora.corpus_facts import CorpusFacts
from depmm.data.dataset import SessionDataset
from depmm.data.errors import DataError
from depmm.data.signals.text import TextSignal
from depmm.data.used_signal import measure_used_signal
from depmm.store.errors import StoreError
from depmm.store.index import read_index
from depmm.store.sessions import SessionStore

TEXTS = ["grün, 中文 and a\ttab ", None, "   ", "e"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Write three subjects with two steps each; one manifest per text of the first step."""
    return three_subjects(tmp_path_factory.mktemp("text") / "root")


def with_texts(manifest, texts: list[str | None]):
    steps = manifest.steps.assign(text=texts)
    return replace(manifest, steps=steps.astype({"text": manifest.steps["text"].dtype}))


def stored_texts(store, manifest) -> list[list[str]]:
    texts = []
    for key in manifest.sessions[["corpus", "subject", "session"]].itertuples(index=False):
        with store.read(*key) as reader:
            texts.append([reader.read_text(step) for step in range(reader.summary["n_steps"])])
    return texts


def test_texts_are_stored_and_read_as_bytes(folder, tmp_path):
    manifest = with_texts(folder[0], [*TEXTS, None, None])
    report = extract_all(manifest, folder[1], tmp_path / "s")
    assert report.failures.empty
    store = SessionStore(tmp_path / "s", SETTINGS)
    assert stored_texts(store, manifest) == [["grün, 中文 and a\ttab", ""], ["", "e"], ["", ""]]
    assert read_index(store)["n_steps_with_text"].tolist() == [1, 1, 0]
    with store.read("c", "p3", "s3") as reader:
        assert not [name for name in reader.names if name.startswith("text")]
    settings = DataConfig(manifest=tmp_path, store=tmp_path / "s", modalities=["text"])
    data = SessionDataset(manifest.sessions, store, settings)
    signals = data[None, 0].signals["text"]
    assert data[None, 0].on_host == {"text"}
    assert [signal.dtype for signal in signals] == [np.uint8, np.uint8]
    assert [signal.tobytes().decode() for signal in signals] == ["grün, 中文 and a\ttab", ""]
    assert data.present_steps(1)["text"].tolist() == [False, True]
    data.step_masks = [np.array([True, False])] * 3
    used = measure_used_signal(data, manifest.steps)["text"]
    assert (used.unit, used.total, used.used) == ("words", 6, 5)


def test_a_changed_transcript_is_extracted_again_and_no_other_session(folder, tmp_path):
    manifest = with_texts(folder[0], ["a", "b", "c", "d", "e", "f"])
    assert extract_all(manifest, folder[1], tmp_path / "s").extracted == 3
    changed = with_texts(folder[0], ["a", "b", "c", "D", "e", "f"])
    report = extract_all(changed, folder[1], tmp_path / "s")
    assert (report.extracted, report.skipped) == (1, 2)
    store = SessionStore(tmp_path / "s", SETTINGS)
    assert stored_texts(store, manifest) == [["a", "b"], ["c", "D"], ["e", "f"]]


def test_the_text_of_an_unknown_speaker_is_not_stored(folder, tmp_path):
    manifest = with_texts(folder[0], ["a", "b", "c", "d", "e", "f"])
    unknown = replace(manifest, facts={"c": CorpusFacts(text_speaker="unknown")})
    extract_all(unknown, folder[1], tmp_path / "s")
    store = SessionStore(tmp_path / "s", SETTINGS)
    assert stored_texts(store, manifest) == [["", ""]] * 3
    settings = DataConfig(manifest=tmp_path, store=tmp_path / "s", modalities=["text"])
    with pytest.raises(DataError) as info:
        TextSignal("text", settings).is_indexed(read_index(store))
    assert (info.value.setting, info.value.value) == ("data.modalities", "text")
    assert shipped_spec("edaic").facts.text_speaker == "unknown"


def test_bytes_that_are_not_utf8_are_damage(folder, tmp_path):
    manifest = manifest_of({"s1": [{"audio": "1.mp4", "text": "a"}]})
    extract_all(manifest, folder[1], tmp_path / "s")
    store = SessionStore(tmp_path / "s", SETTINGS)
    with store.read("c", "p1", "s1") as reader:
        summary = reader.summary
    with store.writer() as writer:
        writer.append("text.utf8", np.array([0xFF], np.uint8))
        writer.append("text.offset", np.array([0, 1]))
        kept = {"n_frames": 0, "n_frames_with_face": 0, "streams": {}}
        store.put(writer.save(summary | kept), store.path("c", "p1", "s1"))
    with store.read("c", "p1", "s1") as reader, pytest.raises(StoreError):
        reader.read_text(0)


def test_words_of_the_interviewer_are_neither_in_the_steps_nor_in_the_store(tmp_path):
    spec, out = shipped_spec("daic_woz"), tmp_path / "c"
    truth, manifest, _ = simulate_and_index(spec, out, subjects=2, words=2)
    transcripts = pd.concat(
        pd.read_csv(path, sep="\t") for path in sorted(out.rglob("*_TRANSCRIPT.csv"))
    )
    asked = set(transcripts.loc[transcripts["speaker"] != "Participant", "value"])
    said = {word for session in truth["sessions"].values() for word in session["words"]}
    assert asked
    assert not asked & said
    assert set(manifest.steps["text"]) == said
    assert extract_all(manifest, out, tmp_path / "s").failures.empty
    store = SessionStore(tmp_path / "s", SETTINGS)
    stored = {text for texts in stored_texts(store, manifest) for text in texts}
    assert stored == said
    for path in (tmp_path / "s").rglob("*.safetensors"):
        content = path.read_bytes()
        assert not [words for words in asked if words.encode() in content]
