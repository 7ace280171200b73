"""Proposed specs: what they index without an edit, and what they mark as a guess."""

import json

import layouts
import numpy as np
import openpyxl
import pandas as pd
import pytest
from media_files import wav_bytes

from depmm.corpora.errors import ManifestError
from depmm.corpora.index import index_corpus
from depmm.corpora.manifest import read_manifest
from depmm.corpora.spec import load_spec, parse_spec
from depmm.files.limited_yaml import load_yaml
from depmm.media.duration import duration_s
from depmm.new_spec import shapes
from depmm.new_spec.propose import propose_spec
from depmm.new_spec.shapes import group_by_shape
from depmm.new_spec.text import write_value
from depmm.simulation.layout import simulate_layout

SUBJECTS = [3, 5, 7, 11, 12, 20]


def sessions_of(root, spec) -> pd.DataFrame:
    manifest, _ = index_corpus(parse_spec(spec, "own.yaml"), root, duration_s)
    return manifest.sessions.set_index("session")


def test_two_visits_in_folders_and_an_excel_table_are_indexed_without_an_edit(tmp_path, depmm):
    root = tmp_path / "My Study"
    for subject in SUBJECTS:
        for visit in (1, 2):
            suffix = "WAV" if subject == 7 else "wav"
            path = root / f"Rec 2024/P{subject:03}/Visit {visit}/P{subject:03} Talk.{suffix}"
            path.parent.mkdir(parents=True)
            path.write_bytes(b"x")
    book = openpyxl.Workbook()
    book.active.append(["ID", "Visit", "PHQ-9 total", "Sex"])
    for subject in SUBJECTS:
        for visit in (1, 2):
            book.active.append([subject, visit, subject + visit, "F" if subject % 2 else "M"])
    book.save(root / "Labels.xlsx")
    (root / "Protocol.pdf").write_bytes(b"x")

    result = depmm("new-spec", root, "--out", tmp_path / "own.yaml")
    assert result.code == 0, result.err
    assert "Protocol.pdf" in result.out
    assert depmm("index", tmp_path / "own.yaml", root, "--out", tmp_path / "m").code == 0
    sessions = read_manifest(tmp_path / "m").sessions.set_index("session")
    assert len(sessions) == 12
    assert sessions["subject"].nunique() == 6
    assert sessions.loc["7_2", ["score", "label", "gender"]].tolist() == [9, 0, "female"]
    assert depmm("new-spec", root, "--out", tmp_path / "own.yaml").code == 2  # exists


def test_split_folders_classes_and_steps_in_milliseconds(tmp_path):
    sound = wav_bytes(np.zeros(16000))
    files, words = {}, "participant\tonset\toffset\tword\n"
    people = "participant_id\tage\tHAMD\n"
    for number in range(1, 9):
        part, group = ("train", "dev")[number > 4], ("patients", "controls")[number % 2]
        files[f"{part}/{group}/sub-{number:02}_task-story.wav"] = sound
        words += f"sub-{number:02}\t100\t400\tone\nsub-{number:02}\t500\t900\ttwo\n"
        people += f"sub-{number:02}\t{20 + number}\t{3 * number}\n"
    files |= {"words.tsv": words, "people.tsv": people}
    proposal = propose_spec(layouts.write(tmp_path, files))
    manifest, _ = index_corpus(parse_spec(proposal.text, "own.yaml"), tmp_path, duration_s)
    sessions = manifest.sessions.set_index("session")
    assert sessions["split"].value_counts().to_dict() == {"train": 4, "validation": 4}
    assert sessions["label"].sum() == 4
    assert sessions.loc["sub-08", ["instrument", "score", "age"]].tolist() == ["HAMD-17", 24, 28]
    assert manifest.steps["end_s"].unique().tolist() == [0.4, 0.9]
    assert "GUESS" in proposal.text


def test_letters_of_ids_give_the_class_and_features_are_described(tmp_path):
    files = {}
    for subject in ("D01", "D02", "H03", "H04"):
        files[f"{subject}/openface.csv"] = (
            "frame,timestamp,success,AU01_r,AU02_r,AU04_r\n"
            + "".join(f"{i},{i / 30:.3f},1,0,0,0\n" for i in range(30))
        )
    proposal = propose_spec(layouts.write(tmp_path, files))
    spec = parse_spec(proposal.text, "own.yaml")
    stream = spec.recordings[0].features
    assert stream is not None
    assert (stream.rate_hz, stream.time, spec.recordings[0].modalities) == (
        30,
        "timestamp",
        ["face"],
    )
    sessions = sessions_of(tmp_path, proposal.text)
    assert sessions["label"].to_dict() == {"D01": 1, "D02": 1, "H03": 0, "H04": 0}


@pytest.mark.parametrize(
    ("n_rows", "rate"),
    [
        (1 + 60 * 16000 // 512, 31.25),
        (60 * 100 - 2, 100),
        (60 * 98, 98),
        (int(60 * 29.4), 29.4),
        (60 * 30, 30),
        (1 + 60 * 22050 // 512, 43.0664),
        (2600, 43.3333),
    ],
)
def test_the_rate_of_features_is_that_of_their_hop(tmp_path, n_rows, rate):
    sound = wav_bytes(np.zeros(60 * 16000))
    (tmp_path / "mel").mkdir()
    for subject in ("P01", "P02", "P03"):
        (tmp_path / f"{subject}.wav").write_bytes(sound)
        np.save(tmp_path / "mel" / f"{subject}.npy", np.zeros((n_rows, 4), np.float32))
    text = propose_spec(tmp_path).text
    (stream,) = [e.features for e in parse_spec(text, "own.yaml").recordings if e.features]
    assert stream.rate_hz == rate
    assert "GUESS: rate" in text


@pytest.mark.parametrize("header", ["", "c1,c2,c3,c4,c5\n"])
def test_all_rows_of_long_text_files_count_for_the_rate(tmp_path, header):
    sound = wav_bytes(np.zeros(60 * 16000))
    for subject in ("P01", "P02", "P03"):
        (tmp_path / f"{subject}.wav").write_bytes(sound)
        (tmp_path / f"{subject}_mfcc.csv").write_text(header + "0.5,1,2,3,4\n" * 6000)
    spec = parse_spec(propose_spec(tmp_path).text, "own.yaml")
    (stream,) = [entry.features for entry in spec.recordings if entry.features]
    assert stream.rate_hz == 100


@pytest.mark.parametrize(
    ("n_rows", "hz", "decimals", "rate"),
    [(300, 30, 3, 30), (3000, 30, 2, 30), (3000, 30000 / 1001, 3, 29.97), (3000, 98, 3, 98),
     (3000, 31.25, 5, 31.25), (3000, 33.7, 6, 33.7)],
)  # fmt: skip
def test_the_rate_of_a_time_column(tmp_path, n_rows, hz, decimals, rate):
    times = [k / hz + (k > n_rows // 2) for k in range(n_rows)]  # with a gap
    rows = "".join(f"{time:.{decimals}f},0,0,0\n" for time in times)
    files = {f"P{k}.csv": f"timestamp,AU01_r,AU02_r,AU04_r\n{rows}" for k in range(3)}
    spec = parse_spec(propose_spec(layouts.write(tmp_path, files)).text, "own.yaml")
    assert spec.recordings[0].features.rate_hz == pytest.approx(rate, rel=1e-4)


@pytest.mark.parametrize(
    "name", ["eatd", "dvlog", pytest.param("daic_woz", marks=pytest.mark.slow)]
)
def test_layouts_of_published_corpora_are_indexed_without_an_edit(tmp_path, name):
    root = tmp_path / "corpus"
    simulate_layout(root, load_spec(name), subjects=6, seed=0, words=1, workers=1)
    expected, _ = index_corpus(load_spec(name), root, duration_s)
    found, _ = index_corpus(parse_spec(propose_spec(root).text, name), root, duration_s)
    assert len(found.sessions) == len(expected.sessions)
    assert found.sessions["subject"].nunique() == expected.sessions["subject"].nunique()
    assert labels_by_file(found) == labels_by_file(expected)


def labels_by_file(manifest) -> dict[str, int]:
    files = pd.concat([manifest.steps[["session", "audio"]].rename(columns={"audio": "path"}),
                       manifest.features[["session", "path"]]]).dropna()  # fmt: skip
    labels = manifest.sessions.set_index("session")["label"]
    return dict(zip(files["path"], files["session"].map(labels), strict=True))


def test_links_are_not_followed_and_names_cannot_become_yaml(tmp_path):
    outside = layouts.write(tmp_path / "outside", {"S9_secret.wav": "x"})
    root = layouts.write(tmp_path / "in", {"S1 'a: #b.wav": "x", "S2 'a: #b.wav": "x", "e.txt": ""})
    (root / "link").symlink_to(outside, target_is_directory=True)
    (root / "S3 'a: #b.wav").symlink_to(outside / "S9_secret.wav")
    proposal = propose_spec(root)
    assert proposal.content.n_links == 2
    assert "secret" not in proposal.text
    spec = parse_spec(proposal.text, "own.yaml")
    assert spec.ignore == ["e.txt"]
    assert proposal.coverage.counts[0] == 2


def test_the_sample_of_a_shape_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(shapes, "MAX_SAMPLE", 20)
    for number in range(60):
        (tmp_path / f"P{number}_1.wav").write_bytes(b"x")
    content = group_by_shape(tmp_path)
    assert [shape.n_files for shape in content.shapes] == [60]
    assert len(content.shapes[0].sample) == 20


def test_folders_without_recordings_are_refused(tmp_path, depmm):
    result = depmm(
        "new-spec", layouts.write(tmp_path, {"a.txt": "some words", "t.json": json.dumps([])})
    )
    assert result.code == 2
    assert "Traceback" not in result.err


def test_a_folder_with_two_studies_gives_a_spec_of_the_larger_one(tmp_path):
    files = {f"one/P{i:02}_a.wav": "x" for i in range(6)}
    files |= {
        f"two/{part}/patients/x{i}/r.mp4": "x" for i in range(2) for part in ("train", "test")
    }
    proposal = propose_spec(layouts.write(tmp_path, files))
    spec = parse_spec(proposal.text, "own.yaml")
    assert proposal.coverage.counts[0] == 6
    assert not {"part", "group"} & set(spec.codes)


def test_extensions_in_two_cases_are_one_pattern(tmp_path):
    names = ["p1.WAV", "p2.wav", "p3.Wav", "p4.wav"]
    root = layouts.write(tmp_path / "root", {f"rec/{name}": "x" for name in names})
    proposal = propose_spec(root)
    assert len(proposal.draft.recordings) == 1
    assert (proposal.coverage.counts, proposal.coverage.n_unmatched) == ([4], 0)
    assert proposal.draft.fields.order == []


def test_formats_of_disjoint_sessions_are_not_told_apart(tmp_path):
    names = ["v/P01 2024-03-05.mpg", "v/p02 2024-03-06.mpg", "v/P03 2024-03-07.mp4",
             "v/P04 2024-03-08.mp4", "s/P01 2024-03-05.wav", "s/P03 2024-03-07.wav"]  # fmt: skip
    root = layouts.write(tmp_path / "root", dict.fromkeys(names, "x"))
    draft = propose_spec(root).draft
    assert len(draft.recordings) == 3
    assert draft.fields.order == []
    assert not any("fields" in entry.keys for entry in draft.recordings)


def test_damaged_files_and_any_names_of_columns_give_a_spec_that_can_be_read(tmp_path):
    root = tmp_path / "corpus"
    root.mkdir()
    for index in range(8):
        (root / f"P{index:02}.wav").write_bytes(wav_bytes(np.zeros(160)))
    (root / "new.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(99))
    (root / "deep.json").write_text("[" * 200_000)
    name = "PHQ\x7f8 \u2028\x85 total: #"
    rows = "".join(f"P{index:02},{index * 2}\n" for index in range(8))
    (root / "labels.csv").write_text(f'id,"{name}"\n{rows}', encoding="utf-8")
    assert propose_spec(root).text
    for text in (name, "\x1b[31m", "- a", "{b}", "'", "\U0001f600", "null", "a: b #c", "\ufeffa"):
        value = write_value({text: [text]})
        assert load_yaml(value) == {text: [text]}


def write_voices(root, n_subjects=8):
    (root / "audio").mkdir(parents=True)
    for number in range(1, n_subjects + 1):
        (root / "audio" / f"S{number:02}.wav").write_bytes(wav_bytes(np.zeros(1600)))
    rows = [f"S{n:02},{2 * n},{'mf'[n % 2]}" for n in range(1, n_subjects + 1)]
    return ["id,phq8,gender", *rows]


def test_an_empty_recording_is_part_of_the_corpus(tmp_path):
    rows = write_voices(tmp_path / "c")
    (tmp_path / "c" / "labels.csv").write_text("\n".join(rows))
    (tmp_path / "c" / "audio" / "S08.wav").write_bytes(b"")
    (tmp_path / "c" / "notes.txt").write_bytes(b"")
    text = propose_spec(tmp_path / "c").text
    assert load_yaml(text)["ignore"] == ["notes.txt"]
    manifest, _ = index_corpus(parse_spec(text, "c.yaml"), tmp_path / "c", duration_s)
    assert len(manifest.sessions) == 8


@pytest.mark.parametrize("n_doubled", [1, 6])
def test_a_table_with_a_few_contradictory_rows_is_proposed(tmp_path, n_doubled):
    rows = write_voices(tmp_path / "c")
    doubled = [f"S{n:02},{2 * n + 1},m" for n in range(1, n_doubled + 1)]
    (tmp_path / "c" / "labels.csv").write_text("\n".join([*rows, *doubled]))
    text = propose_spec(tmp_path / "c").text
    spec = load_yaml(text)
    assert "labels.csv has several different rows for S01" in " ".join(text.split())
    assert ("Correct the table" in text) == (n_doubled == 1)
    assert "no part of the paths agrees" not in text
    assert ("tables" in spec) == (n_doubled == 1)
    assert ("label" in spec) == ("codes" in spec) == (n_doubled == 1)
    if n_doubled == 1:
        with pytest.raises(ManifestError, match="S01"):
            index_corpus(parse_spec(text, "c.yaml"), tmp_path / "c", duration_s)


@pytest.mark.parametrize("sep", [",", ";"])
def test_codes_of_unknown_values_are_left_out_of_their_column_only(tmp_path, sep):
    root = tmp_path / "c"
    write_voices(root)
    rows = [f"S{n:02},{'mf'[n % 2]},{3 * n},{n},{20 + n}" for n in range(1, 9)]
    rows[2], rows[3] = "S03,m,999,3,23", "S04,f,12,4,n/a"
    table = "\n".join(["id,sex,PHQ9,PHQ_items,age", *rows])
    if sep == ";":
        table = table.replace(",", ";").replace(";15;", ";15,0;").replace("999", "999,0")
    (root / "labels.csv").write_text(table)
    proposal = propose_spec(root)
    spec = parse_spec(proposal.text, "c.yaml")
    assert [item.drop for item in spec.tables] == [
        {}, {"PHQ9": ["999,0" if sep == ";" else "999"]}, {"age": ["n/a"]}
    ]  # fmt: skip
    assert {item.decimal for item in spec.tables} == {"," if sep == ";" else "."}
    assert proposal.coverage.counts == [8, 1, 1, 1]
    manifest, _ = index_corpus(spec, root, duration_s)
    sessions = manifest.sessions.set_index("session")
    assert sessions["score"].isna().sum() == sessions["age"].isna().sum() == 1
    assert sessions.loc[["S04", "S05"], "score"].tolist() == [12, 15]
    assert sessions.loc["S03", ["gender", "age"]].tolist() == ["male", 23]


def test_columns_of_instruments_that_are_not_used_are_listed(tmp_path):
    root = tmp_path / "c"
    write_voices(root)
    rows = [f"S{n:02},{10 * n},{'HC' if n % 2 else 'MDD'}" for n in range(1, 9)]
    (root / "labels.csv").write_text("\n".join(["id,BDI,group", *rows]))
    (root / "notes.csv").write_text("\n".join(["id,room", *(f"S{n:02},a" for n in range(1, 9))]))
    text = " ".join(propose_spec(root).text.replace("#", "").split())
    assert "not used: BDI (2 of 8 values are not scores of BDI-II" in text
    assert "no part of the paths agrees" not in text
    assert "no column with a score, class or property: notes.csv" in text


@pytest.mark.parametrize("has_sum", [True, False])
def test_an_item_is_not_the_score(tmp_path, has_sum):
    root = tmp_path / "c"
    write_voices(root)
    items = {n: [n * k % 4 for k in range(1, 9)] for n in range(1, 9)}
    rows = [[f"S{n:02}", *items[n], *([sum(items[n])] if has_sum else [])] for n in items]
    header = ["id", *(f"PHQ8_{k}" for k in range(1, 9)), *(["PHQ8_sum"] if has_sum else [])]
    lines = [",".join(map(str, row)) for row in (header, *rows)]
    (root / "labels.csv").write_text("\n".join(lines))
    text = propose_spec(root).text
    label = load_yaml(text).get("label")
    assert (label and label["score"]) == ("phq8_sum" if has_sum else None)
    assert not label or "original" not in label
    assert "GUESS: items of PHQ-8" in " ".join(text.replace("#", "").split())


def test_the_traits_are_those_of_the_subject(tmp_path):
    root = tmp_path / "c"
    write_voices(root)
    rows = [f"S{n:02},{'fm'[n % 2]},{15 + n},{30 + n},m,{n},{2 * n}" for n in range(1, 9)]
    header = "id,Sex,Age_at_onset,Age,Gender of partner,BDI-II,BDI II"
    (root / "labels.csv").write_text("\n".join([header, *rows]))
    text = propose_spec(root).text
    (table,) = load_yaml(text)["tables"]
    assert table["fields"] == {
        "gender_code": "Sex", "age": "Age", "bdi_ii": "BDI-II", "bdi_ii_other": "BDI II"
    }  # fmt: skip
    assert "not used: Age_at_onset" in text
    assert "not used: Gender of partner" in text


def test_a_trait_that_may_be_of_something_else_is_a_guess(tmp_path):
    root = tmp_path / "c"
    write_voices(root)
    rows = [f"S{n:02},{15 + n},{n}" for n in range(1, 9)]
    (root / "labels.csv").write_text("\n".join(["id,Age_at_onset,PHQ9", *rows]))
    assert "GUESS: Age_at_onset is that of the subject" in propose_spec(root).text


def test_one_label_for_all_visits_is_a_guess(tmp_path):
    for number in range(1, 9):
        for visit in (0, 1):
            path = tmp_path / "c" / f"P{number:02}_T{visit}.wav"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(wav_bytes(np.zeros(1600)))
    rows = [f"P{n:02},{20 + n},{n}" for n in range(1, 9)]
    (tmp_path / "c" / "labels.csv").write_text("\n".join(["id,BDI_T0,BDI_T1", *rows]))
    text = propose_spec(tmp_path / "c").text
    assert load_yaml(text)["session"] == "{subject}_{visit}"
    assert "GUESS: the label of a subject is that of all its sessions" in text


def test_columns_without_a_name_do_not_hide_the_header(tmp_path):
    rows = [f"{row},,,".replace(",", ";") for row in write_voices(tmp_path / "c")]
    (tmp_path / "c" / "labels.csv").write_text("\n".join(rows))
    text = propose_spec(tmp_path / "c").text
    assert load_yaml(text)["label"]["score"] == "phq8"
    assert sessions_of(tmp_path / "c", text).loc["S03", "score"] == 6


def propose_visits(root, header, visits):
    """Write recordings of visits and the table of their scores; index them by the proposal."""
    root.mkdir()
    for name, _ in visits:
        (root / f"{name}.wav").write_bytes(wav_bytes(np.zeros(1600)))
    (root / "labels.csv").write_text("\n".join([header, *(row for _, row in visits)]))
    return sessions_of(root, propose_spec(root).text)


def test_german_dates_without_zeros_are_those_of_visits(tmp_path):
    visits = [
        (f"P{n:02}_{20 - n:02}.{month:02}.2024", f"P{n:02};{20 - n}.{month}.2024;{n + month}")
        for n in range(1, 9)
        for month in (5, 6)
    ]
    sessions = propose_visits(tmp_path / "c", "Code;Datum;BDI", visits)
    assert sessions.loc[["P07_1", "P07_2"], "score"].tolist() == [12, 13]


@pytest.mark.parametrize(("column", "letter"), [("Visit", "V"), ("Zeitpunkt", "T")])
def test_a_letter_before_the_visit_joins_the_table(tmp_path, column, letter):
    visits = [
        (f"P{n:02}_{letter}{visit}", f"P{n:02},{letter}{visit},{10 * visit + n}")
        for n in range(1, 9)
        for visit in (1, 2)
    ]
    sessions = propose_visits(tmp_path / "c", f"id,{column},BDI", visits)
    assert sessions.loc[["P07_1", "P07_2"], "score"].tolist() == [17, 27]
