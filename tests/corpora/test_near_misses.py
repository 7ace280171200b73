"""Files that nearly match a pattern, and counts of codes that are not used."""

import layouts
import pytest

from depmm.corpora.errors import ManifestError
from depmm.corpora.index import index_corpus
from depmm.corpora.index_report import IndexReport
from depmm.corpora.near_misses import find_near_misses
from depmm.corpora.spec import load_spec, parse_spec

SPEC = """\
name: toy
recordings: [{pattern: "rec/{subject}_talk-{visit:int}.wav", modalities: [audio]}]
session: "{subject}_{visit}"
"""


@pytest.mark.parametrize(
    ("path", "difference"),
    [
        ("rec/P1_TALK-1.WAV", "case"),
        ("Rec/P1_Talk-1.wav", "case"),
        ("rec/P1_talk-1.mp3", "the extension"),
        ("rec/P1_Talk-1.FLAC", "the extension"),
        ("rec/P1 talk 1.wav", "blanks, hyphens and underscores"),
        ("rec/P1talk1.wav", "blanks, hyphens and underscores"),
        ("rec/P1_talk-1.mp4", None),
        ("rec/P1_walk-1.wav", None),
    ],
)
def test_differences_of_a_path_and_a_pattern(path, difference):
    found = find_near_misses(parse_spec(SPEC, "toy.yaml"), [path])
    assert [miss.difference for miss in found] == ([] if difference is None else [difference])


def test_near_misses_are_counted_in_the_report(tmp_path):
    files = ["rec/P1_talk-1.WAV", "rec/P2_TALK-1.wav", "rec/P3_Talk-1.wav", "rec/P4_walk.wav"]
    root = layouts.write(tmp_path, dict.fromkeys(files, ""))
    _, report = index_corpus(parse_spec(SPEC, "toy.yaml"), root)
    (miss,) = report.near_misses
    assert (miss.files, miss.example) == (2, "rec/P2_TALK-1.wav")
    assert str(miss) in report.summary()
    assert IndexReport.from_json(report.to_json()) == report


def test_a_folder_without_matches_names_the_near_miss(tmp_path):
    root = layouts.write(tmp_path, {"rec/P1_Talk-1.wav": ""})
    with pytest.raises(ManifestError, match="only in case"):
        index_corpus(parse_spec(SPEC, "toy.yaml"), root)


def test_an_ignored_file_is_a_near_miss_of_a_table_without_files(tmp_path):
    files = {"LibriSpeech/dev-clean/84/1/84-1-0000.flac": "", "LibriSpeech/SPEAKERS.TXT": "; x\n"}
    _, report = index_corpus(load_spec("librispeech"), layouts.write(tmp_path, files))
    assert [(miss.pattern, miss.example) for miss in report.near_misses] == [
        ("**/speakers.txt", "LibriSpeech/SPEAKERS.TXT")
    ]


CODED = """\
name: toy
recordings: [{pattern: "{subject}.wav", modalities: [audio]}]
session: "{subject}"
tables:
  - {file: people.csv, join: {id: subject}, fields: {sex: sex}}
codes: {gender: {of: sex, names: {F: female, M: male, X: null}}}
"""


def test_codes_without_a_meaning_are_counted_with_an_example(tmp_path):
    sexes = "FXMX"
    files = {f"P{i}.wav": "" for i in range(4)}
    files["people.csv"] = "id,sex\n" + "".join(f"P{i},{sex}\n" for i, sex in enumerate(sexes))
    _, report = index_corpus(parse_spec(CODED, "toy.yaml"), layouts.write(tmp_path, files))
    (left_out,) = report.left_out
    assert (left_out.kept, left_out.left_out, left_out.example) == (2, 2, "P1.wav")
    assert left_out.values == {"sex 'X'": 2}


def test_a_code_that_is_not_listed_is_refused_with_its_number_of_files(tmp_path):
    files = {f"P{i}.wav": "" for i in range(4)}
    files["people.csv"] = "id,sex\nP0,F\nP1,w\nP2,w\nP3,D\n"
    with pytest.raises(ManifestError) as info:
        index_corpus(parse_spec(CODED, "toy.yaml"), layouts.write(tmp_path, files))
    assert (info.value.setting, info.value.value) == ("codes.gender", "w")
    assert "2 of 4 files" in str(info.value)


def test_left_out_files_and_rows_have_an_example_and_modalities_a_count(tmp_path):
    spec = parse_spec(
        "name: toy\nrecordings:\n"
        "  - {pattern: '{subject}_{task}.wav', modalities: [audio], drop: {task: [test]}}\n"
        "  - {pattern: '{subject}_{task}.npy', modalities: [gait], "
        "features: {name: steps, rate_hz: 1, format: npy}}\n"
        "session: '{subject}'\nsteps: {order: [task]}\n",
        "toy.yaml",
    )
    files = dict.fromkeys(["P1_a.wav", "P1_test.wav", "P1_a.npy", "P1_b.npy"], "")
    _, report = index_corpus(spec, layouts.write(tmp_path, files))
    (left_out,) = report.left_out
    assert left_out.example == "P1_test.wav"
    assert report.counts["steps_with_any_gait"] == 2
    assert "modality gait: 2 of 2 steps" in report.summary()
