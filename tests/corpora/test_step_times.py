"""Ends of the turns of other speakers, from index to timing measures."""

import layouts
import numpy as np
import pytest
import soundfile
from corpus_samples import HEAD
from recordings import SETTINGS, extract_all

from depmm.corpora.index import index_corpus
from depmm.corpora.spec import SpecError, parse_spec
from depmm.measures.store import read_session_measures
from depmm.store.sessions import SessionStore

INTERVIEW = (
    HEAD
    + """\
recordings:
  - {pattern: "{subject}.wav", modalities: [audio]}
session: "{subject}"
steps:
  table:
    file: "{subject}.csv"
    join: {subject: subject}
    fields: {start: start, end: stop, text: value}
    keep: {speaker: [P]}
    other_turns: {speaker: [E]}
    drop: {value: [scrubbed]}
"""
)
# the second of two questions counts; own pause; overlap; redacted answer; turn of a third speaker
TURNS = """\
start,stop,speaker,value
0.0,0.5,E,hello
0.5,1.0,E,how are you
0.5,1.2,P,scrubbed
1.4,2.0,P,fine
2.2,2.5,P,yes
2.6,3.4,E,and now
3.3,4.0,P,well
4.0,4.5,E,name
4.6,4.8,P,scrubbed
5.0,5.5,P,so
5.6,5.8,E,last
5.8,5.9,X,cough
6.0,6.5,P,end
"""
PREVIOUS = [1.0, None, 3.4, None, None]


def index(tmp_path, text=INTERVIEW, turns=TURNS):
    root = layouts.write(tmp_path, {"S1.wav": "", "S1.csv": turns})
    return index_corpus(parse_spec(text, "interview.yaml"), root, lambda *_: 7.0)


def ends(manifest):
    column = manifest.steps["previous_end_s"].astype(object)
    return column.where(column.notna(), None).tolist()


def test_end_of_the_turn_before_a_step(tmp_path):
    manifest, report = index(tmp_path)
    assert ends(manifest) == PREVIOUS
    assert manifest.steps["text"].tolist() == ["fine", "yes", "well", "so", "end"]
    counts = report.left_out[0]
    expected = {"speaker 'E'": 5, "speaker 'X'": 1, "value 'scrubbed'": 2}
    assert counts.values == expected  # as without other_turns
    without, _ = index(tmp_path / "b", INTERVIEW.replace("    other_turns: {speaker: [E]}\n", ""))
    assert "previous_end_s" not in without.steps


def test_only_the_first_window_of_a_step_follows_the_turn(tmp_path):
    manifest, _ = index(tmp_path, INTERVIEW + "  windows: {length_s: 0.3}\n")
    assert ends(manifest)[:3] == [1.0, None, None]


def test_a_turn_without_a_valid_end_is_reported(tmp_path):
    manifest, report = index(tmp_path, turns=TURNS.replace("0.5,1.0,E", "0.5,0.4,E"))
    assert ends(manifest)[0] is None
    assert [failure.line for failure in report.failures] == [3]


def test_turns_need_an_end(tmp_path):
    with pytest.raises(SpecError):
        parse_spec(INTERVIEW.replace("end: stop, ", ""), "interview.yaml")


def test_latencies_of_an_extracted_interview(tmp_path):
    manifest, _ = index(tmp_path)
    noise = np.random.default_rng(0).normal(0, 0.1, 7 * 16_000)
    soundfile.write(tmp_path / "S1.wav", noise, 16_000)
    extract_all(manifest, tmp_path, tmp_path / "store")
    store = SessionStore(tmp_path / "store", SETTINGS)
    key = tuple(manifest.sessions[["corpus", "subject", "session"]].iloc[0])
    values = read_session_measures(store, [key], ["timing"]).iloc[0]
    assert values["n_responses"] == 2
    assert values["latency_mean"] == pytest.approx((0.4 - 0.1) / 2)
    assert values["latency_std"] == pytest.approx(0.25)
    assert values["overlap_share"] == 0.5
    assert values["n_turns"] == 5
    assert values["turn_share"] == pytest.approx(2.6 / 5.1, abs=1e-3)
    assert values["turns_per_minute"] == pytest.approx(5 * 60 / 5.1, abs=0.05)
