"""One file, row or turn never ends an index: it is named, and the other sessions go on."""

import json
import struct
import unicodedata

import layouts
import numpy as np
import pytest
import soundfile
from corpus_samples import HEAD, TOY, TOY_FILES, replace_text
from typer.testing import CliRunner

from depmm.cli import app
from depmm.corpora.errors import ManifestError
from depmm.corpora.index import index_corpus
from depmm.corpora.index_report import IndexReport
from depmm.corpora.spec import parse_spec
from depmm.media.duration import duration_s

TURNS = (
    HEAD
    + """\
recordings:
  - {pattern: "{subject}.wav", modalities: [audio]}
session: "{subject}"
steps:
  table:
    file: "{subject}_words.csv"
    join: {subject: subject}
    fields: {start: start, end: end, text: text}
    order: [start]
"""
)
GOOD = "start,end,text\n0.1,0.9,a\n1.0,1.5,b\n2.0,2.5,c\n"
LABELS = (
    TURNS[: TURNS.index("steps:")]
    + """\
tables:
  - file: "labels/{subject}.csv"
    join: {subject: subject}
    fields: {phq: score, gender: gender}
codes: {gender: {names: {f: female, m: male}}}
label: {instrument: PHQ-8, score: phq}
"""
)


def index(spec, root, files, **options):
    return index_corpus(parse_spec(spec, "toy.yaml"), layouts.write(root, files), **options)


def sessions(manifest):
    return manifest.sessions["session"].tolist()


@pytest.mark.parametrize(
    ("row", "column", "value"),
    [
        ("1.0,0.5,x", "end", "0.5"),
        ("1.0,1.0,x", "end", "1.0"),
        ("-1.0,0.5,x", "start", "-1.0"),
        ("nan,0.5,x", "start", "nan"),
        ("1.0,inf,x", "end", "inf"),
        ("one,1.5,x", "start", "one"),
        ("1_0,11,x", "start", "1_0"),
        (",1.5,x", "start", None),
        ("0:01,1.5,x", "start", "0:01"),
        ('"1,0",1.5,x', "start", "1,0"),
    ],
)
def test_a_turn_with_impossible_times_is_left_out(tmp_path, row, column, value):
    bad = GOOD.replace("1.0,1.5,b", row)
    files = {"P1.wav": "", "P1_words.csv": bad, "P2.wav": "", "P2_words.csv": GOOD}
    manifest, report = index(TURNS, tmp_path, files)
    steps = manifest.steps
    assert steps[steps["subject"] == "P1"]["text"].tolist() == ["a", "c"]
    assert steps[steps["subject"] == "P1"]["step"].tolist() == [0, 1]
    assert steps[steps["subject"] == "P2"]["text"].tolist() == ["a", "b", "c"]
    (failure,) = report.failures
    assert (failure.file, failure.line) == ("P1_words.csv", 3)
    assert (failure.column, failure.value) == (column, value)
    assert failure.left_out == "1 of 3 steps of session P1"
    assert not report.complete


def test_a_turn_of_a_table_of_all_sessions_is_left_out_too(tmp_path):
    spec = replace_text(TURNS, ("{subject}_words.csv", "words.csv"), ("{subject: s", "{id: s"))
    words = "id,start,end,text\nP1,0,1,a\nP1,3,2,b\nP2,0,1,c\n"
    manifest, report = index(spec, tmp_path, {"P1.wav": "", "P2.wav": "", "words.csv": words})
    assert manifest.steps["text"].tolist() == ["a", "c"]
    assert [(item.file, item.line, item.value) for item in report.failures] == [
        ("words.csv", 3, "2")
    ]


VISITS = replace_text(
    TURNS,
    ("{subject}.wav", "{subject}_{visit}.wav"),
    ('session: "{subject}"', 'session: "{subject}_{visit}"'),
)


@pytest.mark.parametrize(
    ("pattern", "options", "column"),
    [
        ("{subject}_{visit}_words.csv", "", "visit"),
        ("{subject}_{v}_words.csv", "", "v"),
        ("{subject}_{v}_words.csv", "\n    drop: {v: [3]}", "v"),
        ("{subject}_*_words.csv", "", None),
    ],
)
def test_the_steps_of_two_visits_are_not_pooled(tmp_path, pattern, options, column):
    spec = replace_text(
        VISITS, ("{subject}_words.csv", pattern), ("order: [start]", f"order: [start]{options}")
    )
    files = {f"P1_{visit}{end}": GOOD for visit in "12" for end in ("_words.csv", ".wav")}
    with pytest.raises(ManifestError) as raised:
        index(spec, tmp_path, files)
    assert raised.value.column == column
    assert (raised.value.value in files) == (column != "visit")
    # the other subjects are indexed
    files |= {"P2_1.wav": "", "P2_1_words.csv": GOOD}
    manifest, report = index(spec, tmp_path, files)
    assert sessions(manifest) == ["P2_1"]
    assert [item.column for item in report.failures] == [column] * 2


def test_the_steps_of_another_visit_are_not_used(tmp_path):
    spec = replace_text(VISITS, ("{subject}_words.csv", "{subject}_{visit:int}_words.csv"))
    files = {"P1_01.wav": "", "P1_02.wav": "", "P1_1_words.csv": GOOD}
    manifest, report = index(spec, tmp_path, files)
    assert sessions(manifest) == ["P1_01"]
    assert [(item.column, item.value) for item in report.failures] == [("visit", "1")]


@pytest.mark.parametrize(
    "use", [("order: [start]", "order: [part, start]"), ("text: text}", "text: text, task: part}")]
)
def test_the_files_of_one_recording_differ_in_a_field_of_the_steps(tmp_path, use):
    spec = replace_text(TURNS, ("{subject}_words.csv", "{subject}_{part}_words.csv"), use)
    files = {"P1.wav": "", "P1_b_words.csv": GOOD, "P1_a_words.csv": GOOD}
    manifest, report = index(spec, tmp_path, files)
    assert len(manifest.steps) == 6
    assert report.complete


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (GOOD.replace(",c", ',"c'), 4),
        (GOOD.replace("a\n", '"a\n').replace("c\n", 'c"\n'), 2),
        (GOOD.replace("2.5,c", "2.5,c,d"), 4),
        (GOOD.replace("end", "ende"), 1),
        (GOOD.replace("text", "start"), 1),
        (GOOD.replace(",", ";"), 1),
        (GOOD.replace("b", "é").encode("latin-1"), 3),
        (GOOD.encode("utf-16"), 1),
        (GOOD.replace("b", "\0"), 3),
        ("", None),
    ],
)
def test_an_unreadable_transcript_leaves_out_its_session(tmp_path, content, line):
    files = {"P1.wav": "", "P1_words.csv": content, "P2.wav": "", "P2_words.csv": GOOD}
    manifest, report = index(TURNS, tmp_path, files)
    assert sessions(manifest) == ["P2"]
    assert report.missing == ()
    (failure,) = report.failures
    assert (failure.file, failure.line) == ("P1_words.csv", line)
    assert failure.left_out == "session P1"
    assert IndexReport.from_json(report.to_json()) == report
    with pytest.raises(ManifestError) as info:  # no other session
        index(TURNS, tmp_path / "alone", {"P1.wav": "", "P1_words.csv": content})
    assert (str(info.value.file), info.value.line) == ("P1_words.csv", line)


@pytest.mark.parametrize(
    ("content", "line", "value"),
    [
        ("score,gender\n25,f\n", 2, "25.0"),
        ("score,gender\n1_0,f\n", 2, "1_0"),
        ("score,gender\n10,F\n", 2, "F"),
        ("score,gender\n10,f\n11,f\n", 3, "11"),
        ("score,score,gender\n10,3,f\n", 1, None),
    ],
)
def test_a_label_file_of_one_session_concerns_this_session(tmp_path, content, line, value):
    files = {"P1.wav": "", "labels/P1.csv": content, "P2.wav": ""}
    files["labels/P2.csv"] = "score,gender\n10,f\n"
    manifest, report = index(LABELS, tmp_path, files)
    assert sessions(manifest) == ["P2"]
    (failure,) = report.failures
    assert (failure.file, failure.line, failure.value) == ("labels/P1.csv", line, value)


@pytest.mark.parametrize(
    ("content", "line", "value"),
    [
        ("S1,1,13,F\nS1,2,14,F\nS2,1,99,M\n", 4, 99),
        ("S1,1,13,F\nS1,2,14,F\nS2,1,1_0,M\n", 4, "1_0"),
        ("S1,1,13,F\nS1,2,infinity,F\nS2,1,3,M\n", 3, "infinity"),
        ("S1,1,13,f\nS1,2,14,F\nS2,1,3,M\n", 2, "f"),
        ('S1,1,13,"F\nS1,2,14,F"\nS2,1,3,M\n', 2, None),
    ],
)
def test_an_error_in_a_table_of_all_sessions_refuses_the_index(tmp_path, content, line, value):
    files = {**TOY_FILES, "labels.csv": "subject,visit,score,gender\n" + content}
    with pytest.raises(ManifestError) as info:
        index(TOY, tmp_path, files)
    assert (str(info.value.file), info.value.line) == ("labels.csv", line)
    assert value is None or info.value.value == value


def test_an_unsafe_file_name_leaves_out_its_file(tmp_path):
    manifest, report = index(TOY, tmp_path, {**TOY_FILES, "S 1_1.wav": "", "a\\b_1.wav": ""})
    assert len(manifest.sessions) == 3
    assert [(item.file, item.value) for item in report.failures] == [("S 1_1.wav", "S 1")]
    assert "a\\b_1.wav" in {item.where for item in report.missing}


def test_two_files_for_one_step_leave_out_their_session(tmp_path):
    spec = TOY.replace('session: "{subject}_{visit}"', 'session: "{subject}"')
    manifest, report = index(spec, tmp_path, TOY_FILES)
    assert sessions(manifest) == ["S2"]
    (failure,) = report.failures
    assert (failure.file, failure.left_out) == ("S1_2.wav", "session S1")
    alone = {path: text for path, text in TOY_FILES.items() if path != "S2_1.wav"}
    with pytest.raises(ManifestError) as info:
        index(spec, tmp_path / "alone", alone)
    assert (info.value.setting, info.value.session) == ("steps.order", "S1")


def broken_wav() -> bytes:
    """Make a WAV file whose header states a length of 0 bytes."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16)
    return b"RIFF" + struct.pack("<I", 36) + b"WAVE" + form + b"data" + struct.pack("<I", 0)


@pytest.mark.parametrize("content", [broken_wav(), b"", b"RIFF", b"no sound"])
def test_a_broken_recording_among_good_ones_is_named(tmp_path, content):
    spec = TURNS[: TURNS.index("  table:")] + "  windows: {length_s: 1.0}\n"
    root = layouts.write(tmp_path / "rec", {"P2.wav": content})
    soundfile.write(root / "P1.wav", np.full(24000, 0.1), 8000)
    (tmp_path / "spec.yaml").write_text(spec)
    manifest, report = index_corpus(parse_spec(spec, "toy"), root, duration_s)
    assert sessions(manifest) == ["P1"]
    assert manifest.steps["end_s"].tolist() == [1, 2, 3]
    (failure,) = report.failures
    assert (failure.file, failure.left_out) == ("P2.wav", "session P2")
    out = tmp_path / "man"
    command = ["index", str(tmp_path / "spec.yaml"), str(root), "--out", str(out)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    assert "P2.wav" in result.output
    assert json.loads((out / "index.json").read_text())["failures"][0]["file"] == "P2.wav"


@pytest.mark.parametrize("seconds", [0.0, float("nan"), float("inf"), 1e12])
def test_an_absurd_duration_is_named(tmp_path, seconds):
    spec = TURNS[: TURNS.index("  table:")] + "  windows: {length_s: 1.0}\n"

    def measure(path, stream):
        return seconds if path.name == "P2.wav" else 2.0

    files = {"P1.wav": "", "P2.wav": ""}
    manifest, report = index(spec, tmp_path, files, duration=measure)
    assert sessions(manifest) == ["P1"]
    assert [item.file for item in report.failures] == ["P2.wav"]


@pytest.mark.parametrize("error", [EOFError("end"), OSError(5, "I/O"), MemoryError(), KeyError(1)])
def test_any_exception_of_a_decoder_concerns_one_session(tmp_path, error):
    spec = TURNS[: TURNS.index("  table:")] + "  windows: {length_s: 1.0}\n"

    def measure(path, stream):
        if path.name == "P2.wav":
            raise error
        return 2.0

    manifest, report = index(spec, tmp_path, {"P1.wav": "", "P2.wav": ""}, duration=measure)
    assert sessions(manifest) == ["P1"]
    assert [item.file for item in report.failures] == ["P2.wav"]


def test_what_keep_leaves_out_is_counted_per_value(tmp_path):
    spec = TURNS.replace("    order:", "    keep: {by: [Participant]}\n    order:")
    rows = [f"{k},{k}.5,t{k},Participant" for k in range(52)]
    rows += ["60,61,x,PARTICIPANT", "70,71,y,Ellie", "71,72,z,Ellie"]
    words = "start,end,text,by\n" + "\n".join(rows)
    manifest, report = index(spec, tmp_path, {"P1.wav": "", "P1_words.csv": words})
    assert len(manifest.steps) == 52
    (counts,) = report.left_out
    assert (counts.unit, counts.kept, counts.left_out) == ("steps", 52, 3)
    assert counts.values == {"by 'Ellie'": 2, "by 'PARTICIPANT'": 1}
    (hint,) = counts.hints
    assert "'PARTICIPANT'" in hint
    assert "'Participant'" in hint
    assert (
        "52 of 55 steps kept; 3 left out: by 'Ellie' (2), by 'PARTICIPANT' (1)" in report.summary()
    )
    assert report.complete
    assert IndexReport.from_json(report.to_json()) == report


def test_a_kept_value_that_resembles_a_dropped_one_is_named(tmp_path):
    spec = TURNS.replace("    order:", "    drop: {text: [noise]}\n    order:")
    words = GOOD.replace(",a\n", ",noise\n").replace(",c\n", ",Noise\n")
    manifest, report = index(spec, tmp_path, {"P1.wav": "", "P1_words.csv": words})
    assert manifest.steps["text"].tolist() == ["b", "Noise"]
    assert report.left_out[0].values == {"text 'noise'": 1}
    assert "'Noise'" in report.left_out[0].hints[0]


def test_steps_outside_the_recording_are_counted(tmp_path):
    spec = TURNS + "  windows: {length_s: 10.0}\n"
    words = GOOD + "5,,late\n"
    files = {"P1.wav": "", "P1_words.csv": words}
    manifest, report = index(spec, tmp_path, files, duration=lambda path, stream: 4.0)
    assert manifest.steps["text"].tolist() == ["a", "b", "c"]
    (counts,) = report.left_out
    assert counts.values == {"after the end of the recording": 1}
    assert (counts.kept, counts.left_out) == (3, 1)


def test_files_that_keep_leaves_out_are_counted(tmp_path):
    spec = TOY.replace(
        "    modalities: [audio]", "    modalities: [audio]\n    keep: {visit: [1]}"
    ).replace("gender: gender}", "gender: gender}\n    required: false")
    _, report = index(spec, tmp_path, TOY_FILES)
    assert [(item.unit, item.kept, item.values) for item in report.left_out] == [
        ("files", 2, {"visit '2'": 1})
    ]


NFC, NFD = (unicodedata.normalize(form, "Müller") for form in ("NFC", "NFD"))


def test_decomposed_names_are_composed_in_ids_and_stay_on_disk(tmp_path):
    files = {f"{NFD}.wav": "", f"labels/{NFD}.csv": "score,gender\n10,f\n"}
    manifest, report = index(LABELS, tmp_path, files)
    assert manifest.sessions["subject"].tolist() == [NFC]
    assert manifest.sessions["score"].tolist() == [10]
    assert manifest.steps["audio"].tolist() == [f"{NFD}.wav"]
    assert report.complete


@pytest.mark.parametrize(("name", "cell"), [(NFC, NFD), (NFD, NFC)])
def test_cells_and_names_are_joined_in_composed_form(tmp_path, name, cell):
    files = {f"{name}_1.wav": "", "labels.csv": f"subject,visit,score,gender\n{cell},1,20,F\n"}
    manifest, report = index(TOY, tmp_path, files)
    assert manifest.sessions["label"].tolist() == [1]
    assert report.complete


def test_two_names_that_look_the_same_are_named(tmp_path):
    files = {**TOY_FILES, f"{NFC}_1.wav": "", f"{NFD}_1.wav": ""}
    layouts.write(tmp_path, files)
    if len(list(tmp_path.iterdir())) < 6:
        pytest.skip("this file system composes names")
    manifest, report = index(TOY, tmp_path, files)
    assert len(manifest.sessions) == 3
    assert {item.where for item in report.missing} == {f"{NFC}_1.wav", f"{NFD}_1.wav"}


def test_vowel_signs_are_part_of_ids(tmp_path):
    name = "क्षितिज"
    files = {f"{name}_1.wav": "", "labels.csv": f"subject,visit,score,gender\n{name},1,20,F\n"}
    manifest, _ = index(TOY, tmp_path, files)
    assert manifest.sessions["subject"].tolist() == [name]


def test_a_cell_that_contradicts_the_file_name_is_refused(tmp_path):
    words = "subject," + GOOD.replace("\n", "\nP2,").removesuffix("P2,")
    files = {"P1.wav": "", "P1_words.csv": words, "P2.wav": "", "P2_words.csv": words}
    manifest, report = index(TURNS, tmp_path, files)
    assert sessions(manifest) == ["P2"]
    assert [(item.file, item.line, item.value) for item in report.failures] == [
        ("P1_words.csv", 2, "P2")
    ]


def test_times_sort_as_numbers(tmp_path):
    words = "start,end,text\n1e1,11,d\n.5,.9,b\n+2,3,c\n1e-3,.4,a\n"
    manifest, _ = index(TURNS, tmp_path, {"P1.wav": "", "P1_words.csv": words})
    assert manifest.steps["text"].tolist() == ["a", "b", "c", "d"]
    assert manifest.steps["start_s"].tolist() == [0.001, 0.5, 2, 10]


@pytest.mark.parametrize(
    ("keys", "rows"),
    [
        ("times: clock", "0:10.5;0:11;b\n0:02,25;0:03;a\n"),
        ("times: milliseconds", "10500;11000;b\n2250;3000;a\n"),
        ('decimal: ","', "10,5;11;b\n2,25;3;a\n"),
        ('decimal: ","\n    times: 10', "105;110;b\n22,5;30;a\n"),
    ],
)
def test_times_in_other_forms_are_read_and_sorted(tmp_path, keys, rows):
    spec = TURNS.replace("    order:", f'    sep: ";"\n    {keys}\n    order:')
    files = {"P1.wav": "", "P1_words.csv": "start;end;text\n" + rows}
    manifest, report = index(spec, tmp_path, files)
    assert manifest.steps["text"].tolist() == ["a", "b"]
    assert manifest.steps["start_s"].tolist() == [2.25, 10.5]
    assert manifest.steps["end_s"].tolist() == [3, 11]
    assert report.complete
