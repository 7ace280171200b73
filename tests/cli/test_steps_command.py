"""The command steps on real recordings: the table, the spec that reads it, and bad files."""

import importlib.util
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import soundfile
from html_page import HtmlPage
from media_files import RAVDESS

from depmm.config import ExtractConfig
from depmm.corpora.manifest import read_manifest
from depmm.corpora.step_durations import session_durations
from depmm.measures.timing import TIMING_MEASURES, measure_timing
from depmm.media.sound.audio import decode_audio
from depmm.store.extract import extract
from depmm.store.sessions import SessionStore

CLIPS = ("bbaf2n", "bbas1s", "bbbm3a")
SPEC = """
name: lab
title: Recordings of a laboratory
citation: none
licence: own
access: own
recordings:
  - pattern: "{subject}.mpg"
    modalities: [audio, face]
session: "{subject}"
ignore: ["*.problems.csv"]
"""


def needs(package):
    missing = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(missing, reason=f"{package} is not installed")


@pytest.fixture(scope="session")
def words(real_data):
    """Return the words of GRID clips with their times."""
    rows = []
    for clip in CLIPS:
        text = (real_data / "grid_s1" / "align" / f"{clip}.align").read_text()
        for start, end, word in map(str.split, text.splitlines()):
            if word not in ("sil", "sp"):
                rows.append((f"{clip}.mpg", int(start) / 25000, int(end) / 25000, word))
    return pd.DataFrame(rows, columns=["path", "start_s", "end_s", "text"])


@pytest.fixture
def clips(real_data, tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    for clip in CLIPS:
        shutil.copy(real_data / "grid_s1" / f"{clip}.mpg", folder)
    return folder


@needs("silero_vad")
def test_speech_is_found_and_the_printed_lines_read_the_table(clips, words, tmp_path, depmm):
    (clips / "damaged.mpg").write_bytes(b"no recording")
    out = clips / "speech.csv"
    result = depmm("steps", clips, "--by", "speech", "--out", out)
    assert result.code == 1
    assert pd.read_csv(clips / "speech.problems.csv")["path"].tolist() == ["damaged.mpg"]
    table = pd.read_csv(out)
    assert table["path"].tolist() == [f"{clip}.mpg" for clip in CLIPS]
    spoken = words.groupby("path").agg(start=("start_s", "min"), end=("end_s", "max"))
    np.testing.assert_allclose(table["start_s"], spoken["start"], atol=0.1)
    np.testing.assert_allclose(table["end_s"], spoken["end"], atol=0.25)
    assert table["confidence"].between(0.9, 1).all()
    (clips / "damaged.mpg").unlink()
    lines = re.search(r"^steps:\n(  .*\n)+", result.out, re.MULTILINE)[0]
    spec = tmp_path / "lab.yaml"
    spec.write_text(SPEC + lines)
    assert depmm("index", spec, clips, "--out", tmp_path / "manifest").code == 0
    steps = read_manifest(tmp_path / "manifest").steps
    assert steps["start_s"].tolist() == table["start_s"].tolist()


def test_windows_inside_words_count_their_overlap_once(clips, words, tmp_path, depmm):
    words.to_csv(clips / "words.csv", index=False)
    spec = tmp_path / "lab.yaml"
    columns = "{start: start_s, end: end_s, text: text}"
    table = f"{{file: words.csv, join: {{path: path}}, fields: {columns}}}"
    text = SPEC.replace("[audio, face]", "[audio]")
    spec.write_text(f"{text}steps:\n  table: {table}\n  windows: {{length_s: 0.1, hop_s: 0.05}}\n")
    manifest, store = tmp_path / "manifest", tmp_path / "store"
    assert depmm("index", spec, clips, "--out", manifest).code == 0
    content = read_manifest(manifest)
    steps = content.steps
    lengths = steps["end_s"] - steps["start_s"]
    assert len(steps) > 2 * len(words)
    assert lengths.max() < 0.201  # a remainder of .1 s at most belongs to the window before it
    spoken = words["end_s"] - words["start_s"]
    durations = session_durations(steps)
    assert lengths.sum() > 1.2 * spoken.sum()
    np.testing.assert_allclose(
        durations.to_numpy(), spoken.groupby(words["path"]).sum().to_numpy(), atol=1e-6
    )
    assert len(extract(content, clips, store, ExtractConfig(), workers=0).failures) == 0
    with SessionStore(store, ExtractConfig()).read("lab", "bbaf2n", "bbaf2n") as reader:
        values = dict(zip([m.name for m in TIMING_MEASURES], measure_timing(reader), strict=True))
    assert values["turn_share"] == pytest.approx(1, abs=0.01)
    assert values["speech_time"] <= durations.iloc[0] + 1e-3
    # the option of index replaces the windows of the spec, and 0 leaves the words whole
    assert depmm("index", spec, clips, "--out", manifest, "--window", "0").code == 0
    assert len(read_manifest(manifest).steps) == len(words)
    longer = ("--window", "0.2", "--hop", "0.1")
    assert depmm("index", spec, clips, "--out", manifest, *longer).code == 0
    steps = read_manifest(manifest).steps
    assert len(words) < len(steps) < len(durations) * 100
    np.testing.assert_allclose(session_durations(steps), durations, atol=1e-6)


def test_a_table_may_name_another_file_of_the_step(clips, words, tmp_path, depmm):
    """The video comes first in the spec, and the steps were found in the sound beside it."""
    for clip in CLIPS:
        sound = np.concatenate(list(decode_audio(clips / f"{clip}.mpg")))
        soundfile.write(clips / f"{clip}.wav", sound, 16000)
    words.assign(path=words["path"].str.replace(".mpg", ".wav")).to_csv(
        clips / "w.csv", index=False
    )
    spec = tmp_path / "lab.yaml"
    text = SPEC.replace("[audio, face]", "[face]").replace(
        "session:", '  - {pattern: "{subject}.wav", modalities: [audio]}\nsession:'
    )
    columns = "{start: start_s, end: end_s, text: text}"
    table = f"{{file: w.csv, join: {{path: path}}, fields: {columns}}}"
    spec.write_text(f"{text}steps:\n  table: {table}\n")
    assert depmm("index", spec, clips, "--out", tmp_path / "manifest").code == 0
    assert len(read_manifest(tmp_path / "manifest").steps) == len(words)


@needs("pocketsphinx")
def test_words_of_a_transcript(clips, words, tmp_path, depmm):
    texts = words.groupby("path", as_index=False)["text"].agg(" ".join)
    texts.loc[0, "text"] = texts.loc[0, "text"].replace("bin", '"Bin," moodyness --')
    texts.to_csv(tmp_path / "texts.csv", index=False)
    out, page = clips / "words.csv", tmp_path / "page.html"
    call = ("steps", clips, "--by", "words", "--transcripts", tmp_path / "texts.csv", "--out", out)
    result = depmm(*call, "--page", page)
    assert result.code == 1  # a word that is not in the dictionary is reported
    problems = pd.read_csv(clips / "words.problems.csv")
    assert problems[["path", "text"]].to_numpy().tolist() == [["bbaf2n.mpg", "moodyness"]]
    table = pd.read_csv(out)
    assert table["text"].str.lower().tolist() == words["text"].tolist()
    errors = (table["start_s"] - words["start_s"]).abs()
    assert errors.median() <= 0.04
    assert table["confidence"].median() > 0.7
    content = HtmlPage(page.read_text())
    assert "moodyness" in content.text
    assert page.read_text().count('class="timeline"') == len(CLIPS)
    sounds = tmp_path / "sounds.txt"
    sounds.write_text("moodyness M UW D IY N AH S\n")
    (clips / "words.csv").unlink()
    assert depmm(*call, "--pronunciations", sounds).code == 0
    assert len(pd.read_csv(out)) == len(words) + 1


@needs("pocketsphinx")
def test_a_transcript_of_other_words_has_low_confidence_or_is_reported(clips, tmp_path, depmm):
    rows = [(f"{clip}.mpg", "happy mother grief table hope") for clip in CLIPS]
    pd.DataFrame(rows, columns=["path", "text"]).to_csv(tmp_path / "texts.csv", index=False)
    out = tmp_path / "words.csv"
    depmm("steps", clips, "--by", "words", "--transcripts", tmp_path / "texts.csv", "--out", out)
    confidences = pd.read_csv(out).get("confidence", pd.Series(dtype=float))
    problems = tmp_path / "words.problems.csv"
    n_reported = 5 * len(pd.read_csv(problems)) if problems.exists() else 0
    assert (confidences < 0.5).sum() + n_reported >= 10  # of 15


@needs("silero_vad")
def test_a_word_list_with_another_clock(real_data, words, tmp_path, depmm):
    """Sentences at irregular times, 3 s later on the clock of the recording than in the list."""
    rng = np.random.default_rng(0)
    parts, onsets = [np.zeros(32000, np.float32)], []
    for clip, pause_s in zip(CLIPS, (0.5, 2.0, 1.2), strict=True):
        sound = np.concatenate(list(decode_audio(real_data / "grid_s1" / f"{clip}.mpg")))
        onsets.append(sum(map(len, parts)) / 16000)
        parts += [sound, np.zeros(round(pause_s * 16000), np.float32)]
    sound = np.concatenate(parts) + rng.normal(0, 1e-4, sum(map(len, parts)))
    folder = tmp_path / "session"
    folder.mkdir()
    soundfile.write(folder / "s1.wav", sound, 16000)
    starts = words.groupby("path", sort=False)["start_s"].min().to_numpy()
    shown = np.array(onsets) + starts - 0.4 - 3.0  # a latency of .4 s
    table = pd.DataFrame({"text": CLIPS, "onset_s": shown})
    table.to_csv(tmp_path / "list.csv", index=False)
    out = tmp_path / "words.csv"
    call = ("steps", folder, "--by", "words", "--words", tmp_path / "list.csv", "--out", out)
    given = depmm(*call, "--offset", "3")
    assert given.code == 0
    found = pd.read_csv(out)
    np.testing.assert_allclose(found["start_s"], shown + 3.0, atol=1e-3)
    np.testing.assert_allclose(found["end_s"][:2], found["start_s"][1:], atol=1e-3)
    latency = float(re.search(r"starts (\S+) s after", given.out)[1])
    assert latency == pytest.approx(0.4, abs=0.1)
    estimated = depmm(*call, "--offset", "auto", "--extent", "speech")
    assert estimated.code == 0
    offset = float(re.search(r"median (\S+) s", estimated.out)[1])
    assert offset == pytest.approx(3.4, abs=0.1)
    np.testing.assert_allclose(pd.read_csv(out)["start_s"], np.array(onsets) + starts, atol=0.15)


def test_windows_and_calls_that_cannot_be_carried_out(clips, tmp_path, depmm):
    out = tmp_path / "windows.csv"
    assert depmm("steps", clips, "--by", "windows", "--window", "1", "--out", out).code == 0
    table = pd.read_csv(out)
    assert table.groupby("path").size().eq(3).all()
    for arguments in (
        ("--by", "windows"),
        ("--by", "words"),
        ("--by", "words", "--words", tmp_path / "list.csv", "--offset", "soon"),
        ("--by", "speech", "--root", clips),
        ("--by", "words", "--transcripts", tmp_path / "gone.csv"),
    ):
        assert depmm("steps", clips, *arguments, "--out", out).code == 2, arguments


def test_energy_replaces_silero_with_a_warning(clips, tmp_path, depmm, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    out = tmp_path / "speech.csv"
    result = depmm("steps", clips, "--by", "speech", "--out", out)
    assert (result.code, "depmm[steps]" in result.err) == (0, True)
    assert "confidence" not in pd.read_csv(out)
    refused = depmm("steps", clips, "--by", "speech", "--detector", "silero", "--out", out)
    assert refused.code == 2


@needs("pocketsphinx")
def test_words_of_the_recordings_of_a_manifest(real_data, tmp_path, depmm):
    root = tmp_path / "ravdess"
    root.mkdir()
    shutil.copy(real_data / RAVDESS, root / "kids.mp4")
    (root / "other.mp4").write_bytes(b"not in the manifest")
    spec = tmp_path / "lab.yaml"
    text = SPEC.replace("{subject}.mpg", "{subject}.mp4").replace("ignore: [", 'ignore: ["o*", ')
    spec.write_text(text)
    assert depmm("index", spec, root, "--out", tmp_path / "manifest").code == 0
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "kids.txt").write_text("Kids are talking by the door.\n")
    out = tmp_path / "words.csv"
    call = ("steps", tmp_path / "manifest", "--by", "words", "--transcripts", tmp_path / "texts")
    assert depmm(*call, "--out", out).code == 2  # the folder of the recordings is not known
    result = depmm(*call, "--root", root, "--out", out)
    assert (result.code, f"move the table into {root}" in result.out) == (0, True)
    table = pd.read_csv(out)
    assert table["text"].tolist() == ["Kids", "are", "talking", "by", "the", "door"]
    assert table["confidence"].median() > 0.8
    assert (table["start_s"].iloc[0], table["end_s"].iloc[-1]) == pytest.approx((1.0, 2.4), abs=0.3)
