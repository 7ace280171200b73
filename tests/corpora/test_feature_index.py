"""Indexing of a corpus that ships feature files."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from feature_corpus import (
    SPEC,
    make_feature_corpus,
    write_feature_corpus,
)

from depmm.corpora.errors import ManifestError
from depmm.corpora.index import index_corpus
from depmm.corpora.manifest import concat_manifests, read_manifest, validate
from depmm.corpora.spec import SpecError, parse_spec
from depmm.media.duration import duration_s


@pytest.fixture(scope="module")
def feature_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_feature_corpus(tmp_path_factory.mktemp("features"))


def test_the_index_lists_streams_of_turns_without_the_interviewer(feature_corpus):
    manifest = read_manifest(feature_corpus / "manifest")
    assert set(manifest.steps["text"]) == {"fine", "thank you"}
    assert manifest.steps["audio"].isna().all()
    first = manifest.features[manifest.features["session"] == "300"]
    assert first[["step", "name", "modality", "path"]].to_numpy().tolist() == [
        [0, "units", "face", "300_face.txt"],
        [0, "voice", "audio", "300_voice.csv"],
        [1, "units", "face", "300_face.txt"],
        [1, "voice", "audio", "300_voice.csv"],
    ]
    one, other = manifest.features.copy(), manifest.features.copy()
    one["reader"] = one["reader"].astype("str")
    one.loc[0, "reader"] = json.dumps({"name": "units", "rate_hz": 5.0})
    other.loc[0, "path"] = "../300_face.txt"
    for features, column in ((one, "reader"), (other, "path")):
        with pytest.raises(ManifestError) as info:
            validate(type(manifest)(manifest.sessions, manifest.steps, features))
        assert info.value.column == column
    with pytest.raises(ManifestError) as info:  # no file of a step is left
        validate(type(manifest)(manifest.sessions, manifest.steps))
    assert (info.value.column, info.value.session) == ("audio", "300")
    renamed = [
        table.assign(corpus="other")
        for table in (manifest.sessions, manifest.steps, manifest.features)
    ]
    both = concat_manifests([manifest, type(manifest)(*renamed)])
    assert len(both.features) == 2 * len(manifest.features)


def test_a_missing_stream_is_reported(tmp_path):
    root = write_feature_corpus(tmp_path / "toy")
    (root / "303_face.txt").unlink()
    _, report = index_corpus(parse_spec(SPEC, "toy"), root)
    messages = [item.message for item in report.missing]
    assert messages == [
        "no face file for this step",
        "no file of units features for this step",
    ]


def with_windows(length_s: float, hop_s: float) -> str:
    steps = f"steps: {{windows: {{length_s: {length_s}, hop_s: {hop_s}}}}}\n"
    return SPEC[: SPEC.index("steps:")] + steps + SPEC[SPEC.index("label:") :]


def test_windows_overlap_and_end_with_the_shortest_file(tmp_path):
    spec = parse_spec(with_windows(1.5, 1.0), "toy")
    root = write_feature_corpus(tmp_path / "toy", subjects=1)
    for path in root.glob("*_turns.csv"):
        path.unlink()
    manifest, _ = index_corpus(spec, root, duration_s)
    windows = manifest.steps[["start_s", "end_s"]].to_numpy().tolist()
    assert windows == [[0.0, 1.5], [1.0, 2.5], [2.0, 3.5], [3.0, 4.0]]


def test_windows_of_a_recording(tmp_path):
    text = with_windows(1.0, 1.0).replace("_voice.csv", ".wav")
    text = "\n".join(line for line in text.split("\n") if "features: {name: voice" not in line)
    text = text.replace("               valid: [{column: vuv, at_least: 1, columns: [f0]}]}\n", "")
    text = text.replace("required_features: [voice, units]\n", "")
    spec = parse_spec(text, "toy")
    root = write_feature_corpus(tmp_path / "toy", subjects=1)
    for path in [*root.glob("*_turns.csv"), *root.glob("*_face.txt"), *root.glob("*_voice.csv")]:
        path.unlink()
    soundfile.write(root / "300.wav", np.zeros(8000 * 2 + 3000), 8000)
    manifest, _ = index_corpus(spec, root, duration_s)
    assert manifest.steps["end_s"].tolist() == [1.0, 2.0, 2.375]
    (root / "300.wav").write_bytes(b"RIFF")
    with pytest.raises(ManifestError) as info:  # no other session remains
        index_corpus(spec, root, duration_s)
    assert (info.value.file, info.value.session) == (Path("300.wav"), "300")
    soundfile.write(root / "301.wav", np.zeros(8000), 8000)
    manifest, report = index_corpus(spec, root, duration_s)
    assert manifest.sessions["session"].tolist() == ["301"]
    (failure,) = report.failures
    assert (failure.file, failure.left_out) == ("300.wav", "session 300")
    assert not report.complete


def test_excluded_intervals_and_clock_offsets(tmp_path):
    text = SPEC.replace(
        "label:",
        "  excluded_intervals: [{when: {subject: 301}, start_s: 2.4, end_s: 2.6}]\nlabel:",
    ).replace(
        "steps:\n",
        "  - {rows: \"subject,by\\n302,0.25\\n303,-1.5\\n\", join: {subject: subject},\n"
        "     fields: {offset_s: by}, required: false}\nsteps:\n",
        1,
    )  # fmt: skip
    manifest, report = index_corpus(parse_spec(text, "toy"), write_feature_corpus(tmp_path / "toy"))
    start = manifest.steps.groupby("session")["start_s"].apply(list)
    assert start["300"] == [1.0, 2.5]
    assert start["301"] == [1.0]
    assert start["302"] == [1.25, 2.75]
    assert start["303"] == [1.0]
    assert [(path, reason) for path, reason in report.excluded] == [
        ("301_voice.csv", "a step at 2.500 s, inside steps.excluded_intervals"),
        ("303_voice.csv", "a step at -0.500 s, before the recording starts"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "setting"),
    [
        ("modalities: [face]", "modalities: [audio, face]", "recordings[1].modalities"),
        ("{name: units", "{name: voice", "recordings[1].features.name"),
        ("rate_hz: 10,", "rate: 10,", "recordings[1].features.rate"),
        ("rate_hz: 10,", "rate_hz: 10, decimal: ',',", "recordings[1].features.decimal"),
        (
            "rate_hz: 10, time: timestamp,",
            "rate_hz: 10, units_per_second: 1000.0,",
            "recordings[1].features.units_per_second",
        ),
        (
            "rate_hz: 10,",
            "rate_hz: 10, select: {column: face_id},",
            "recordings[1].features.select.value",
        ),
        (
            "rate_hz: 10, time: timestamp,",
            "rate_hz: 10, select: {column: confidence, keep: largest},",
            "recordings[1].features.select",
        ),
        ("[f0, vuv, energy]", "[f0, vuv, f0]", "recordings[0].features.columns"),
        ("required_features: [voice,", "required_features: [voic,", "required_features"),
        ("label:", "  windows: {length_s: 1.0, hop_s: 0.0}\nlabel:", "steps.windows.hop_s"),
        (
            "label:",
            "  excluded_intervals: [{when: {sub: 1}, start_s: 1, end_s: 2}]\nlabel:",
            "steps.excluded_intervals[0].when",
        ),
        (
            "label:",
            "  excluded_intervals: [{when: {subject: 1}, start_s: 2, end_s: 2}]\nlabel:",
            "steps.excluded_intervals[0].end_s",
        ),
    ],
)
def test_mistakes_in_a_spec_are_reported(old, new, setting):
    assert old in SPEC
    with pytest.raises(SpecError) as info:
        parse_spec(SPEC.replace(old, new, 1), "toy.yaml")
    assert info.value.setting == setting
    assert info.value.line is not None
