"""depmm steps --by turns: the three sources, the choice of the participant, and the index."""

import pandas as pd
import pytest
from conversations import TURNS, conversation, crosstalk, write_sound, write_speaker_model

from depmm.corpora.manifest import read_manifest
from depmm.schemas.steps import STEP_TABLE
from depmm.steps.participant_choices import Choice, read_choices, write_choices

SPEC = """
name: interviews
recordings:
  - pattern: "{subject}/interview.wav"
    modalities: [audio]
title: Interviews
citation: none
licence: none
access: none
session: "{subject}"
tables:
  - file: labels.csv
    join: {subject: subject}
    fields: {score: score}
label: {instrument: BDI-II, score: score}
"""
TRANSCRIPT = "start\tspeaker\ttext\n" + "".join(
    f"{start}\t{'IP'[1 - speaker]}\tturn {index}\n"
    for index, (start, _, speaker) in enumerate(TURNS)
)


@pytest.fixture
def interviews(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # without a speaker model
    monkeypatch.delenv("DEPMM_VOICE_MODEL", raising=False)
    root = tmp_path / "root"
    sound = crosstalk(conversation(), -14)
    write_sound(root / "p1" / "interview.wav", sound)
    (root / "p1" / "notes.tsv").write_text(TRANSCRIPT, encoding="utf-8")
    (root / "labels.csv").write_text("subject,score\np1,3\np2,30\n", encoding="utf-8")
    return root


def steps(depmm, root, *options):
    return depmm(
        "steps", root, "--by", "turns", "--detector", "energy", "--out", root / "turns.csv",
        *options,
    )  # fmt: skip


def read(root):
    table = pd.read_csv(root / "turns.csv")
    STEP_TABLE.check(table)
    return table


def test_channels_and_the_spec_that_reads_the_table(interviews, tmp_path, depmm):
    result = steps(depmm, interviews, "--speakers", "channels", "--participant", "channel_0")
    assert result.code == 0, result.err
    table = read(interviews)
    assert table["speaker"].tolist() == ["other", "participant"] * 4
    assert table["start_s"].to_numpy() == pytest.approx([t[0] for t in TURNS], abs=0.1)
    assert table["end_s"].to_numpy() == pytest.approx([t[1] for t in TURNS], abs=0.1)
    assert not (interviews / "turns.listen.html").exists()
    lines = result.out[result.out.index("steps:\n") :]
    (tmp_path / "spec.yaml").write_text(SPEC + lines, encoding="utf-8")
    (interviews / "p1" / "notes.tsv").unlink()
    out = tmp_path / "manifest"
    depmm("index", tmp_path / "spec.yaml", interviews, "--out", out)
    rows = read_manifest(out).steps
    own = table[table["speaker"] == "participant"]
    assert rows["start_s"].tolist() == pytest.approx(own["start_s"].tolist())
    latencies = rows["start_s"] - rows["previous_end_s"]
    assert latencies.to_numpy() == pytest.approx([0.5, 0.6, 0.5, 0.5], abs=0.15)


def test_a_transcript_without_ends(interviews, depmm):
    options = ("--speakers", "transcript", "--transcripts", "*.tsv")
    result = steps(depmm, interviews, *options)
    assert result.code == 1
    assert read(interviews)["speaker"].unique().tolist() == ["I", "P"]
    result = steps(depmm, interviews, *options, "--participant", "P")
    assert result.code == 0, result.err
    table = read(interviews)
    assert table["text"].tolist() == [f"turn {i}" for i in range(len(TURNS))]
    assert table["speaker"].tolist() == ["other", "participant"] * 4
    assert table["end_s"].to_numpy() == pytest.approx([t[1] for t in TURNS], abs=0.1)


@pytest.mark.slow
def test_voices_are_chosen_on_the_page_and_the_choice_is_kept(interviews, tmp_path, depmm):
    root = interviews
    mono = write_sound(root / "p1" / "interview.wav", conversation().sum(axis=0))
    result = steps(depmm, root, "--speakers", "voices")  # by MFCC and pitch
    assert "depmm download identity" in result.err
    assert read(root)["speaker"].tolist() == ["speaker_1", "speaker_2"] * 4
    voices = ("--speakers", "voices", "--speaker-model", write_speaker_model(tmp_path / "model"))
    result = steps(depmm, root, *voices)
    assert result.code == 1, result.err
    assert read(root)["speaker"].tolist() == ["speaker_1", "speaker_2"] * 4
    page = (root / "turns.listen.html").read_text(encoding="utf-8")
    assert "--participant participants.csv" in page
    digests = [
        page.split(f'data-{name}="')[1].split('"')[0] for name in ("recording", "file", "turns")
    ]
    choices = tmp_path / "participants.csv"
    write_choices([Choice(digests[0], "speaker_2", *digests[1:])], choices)
    result = steps(depmm, root, *voices, "--participant", choices)
    assert result.code == 0, result.err
    table = read(root)
    assert table["speaker"].tolist() == ["other", "participant"] * 4
    assert table["confidence"].between(0, 1).all()
    assert not (root / "turns.listen.html").exists()
    # a second recording needs a choice; that of the first is kept
    write_sound(root / "p2" / "interview.wav", conversation(noise=2e-4).sum(axis=0))
    result = steps(depmm, root, *voices)
    assert result.code == 1
    assert read(root)["speaker"].value_counts().to_dict() == {
        "other": 4, "participant": 4, "speaker_1": 4, "speaker_2": 4,
    }  # fmt: skip
    assert 'data-recording="p1' not in (root / "turns.listen.html").read_text(encoding="utf-8")
    # the recording is replaced: its choice does not hold for the new one
    write_sound(mono, conversation(noise=3e-4).sum(axis=0))
    for _ in range(2):
        result = steps(depmm, root, *voices)
        assert result.code == 1
        problems = pd.read_csv(root / "turns.problems.csv")
        assert "recording has changed" in problems.set_index("path")["problem"]["p1/interview.wav"]
    assert [c.recording for c in read_choices(root / "turns.participants.csv").values()] == [
        "p1/interview"
    ]


@pytest.mark.parametrize(
    ("options", "setting"),
    [
        ((), "--speakers"),
        (("--speakers", "transcript"), "--transcripts"),
        (("--speakers", "channels", "--transcripts", "*.tsv"), "--transcripts"),
        (("--speakers", "channels", "--speaker-model", "m"), "--speaker-model"),
        (("--speakers", "voices", "--participant", "speaker_1"), "--participant"),
        (("--speakers", "channels", "--participant", "gone.csv"), "gone.csv"),
    ],
)
def test_options_that_contradict(interviews, depmm, options, setting):
    result = steps(depmm, interviews, *options)
    assert result.code == 2
    assert setting in result.err
    assert not (interviews / "turns.csv").exists()


def test_channels_of_one_mixture_are_a_problem(interviews, depmm):
    sound = conversation().sum(axis=0)
    write_sound(interviews / "p2" / "interview.wav", pd.Series(sound).to_numpy())
    result = steps(depmm, interviews, "--speakers", "channels", "--participant", "channel_0")
    assert result.code == 1
    assert read(interviews)["path"].unique().tolist() == ["p1/interview.wav"]
    problems = pd.read_csv(interviews / "turns.problems.csv")
    assert problems["path"].tolist() == ["p2/interview.wav"]
    assert "channel 1 does not exist" in problems["problem"][0]
