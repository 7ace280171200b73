"""Features that a corpus ships: read, cut into steps, kept, standardised, learned from."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from scipy.io import savemat

from depmm.config import ConfigError, ExtractConfig, StreamConfig, ValidityRule, load_config
from depmm.corpora.errors import ManifestError
from depmm.corpora.index import index_corpus
from depmm.corpora.manifest import concat_manifests, read_manifest, validate, write_manifest
from depmm.corpora.spec import SpecError, parse_spec
from depmm.data.errors import DataError
from depmm.data.experiment_data import load_experiment_data
from depmm.media.duration import duration_s
from depmm.media.errors import MediaError
from depmm.media.feature_files import feature_names, read_features
from depmm.models.encoders.feature_cnn import FeatureCnn
from depmm.models.model import DepressionModel
from depmm.runs.folder import RunFolder
from depmm.store.extract import extract
from depmm.store.index import read_index
from depmm.store.sessions import SessionStore
from depmm.training.experiment import build_accelerator
from depmm.training.loop import train_network

SPEC = """
name: toy
title: t
citation: c
licence: l
access: a
recordings:
  - pattern: "{subject}_voice.csv"
    modalities: [audio]
    features: {name: voice, rate_hz: 100, header: false, columns: [f0, vuv, energy],
               valid: [{column: vuv, at_least: 1, columns: [f0]}]}
  - pattern: "{subject}_face.txt"
    modalities: [face]
    features: {name: units, rate_hz: 10, time: timestamp, drop: [frame, timestamp, success],
               valid: [{column: success, at_least: 1}]}
session: "{subject}"
required_modalities: [audio, face]
required_features: [voice, units]
tables:
  - file: labels.csv
    join: {subject: subject}
    fields: {phq: score, split: split}
steps:
  table:
    file: "{subject}_turns.csv"
    sep: "\\t"
    join: {subject: subject}
    fields: {start: start_time, end: stop_time, text: value}
    keep: {speaker: [Participant]}
    order: [start_time]
label: {instrument: PHQ-8, score: phq}
"""
STORED = ExtractConfig()


def lay_out(root: Path, people: int = 12, effect: float = 2.0) -> Path:
    """People of 4 s: the depressed (odd numbers) have less energy and weaker action units."""
    root.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    labels = []
    for number in range(people):
        name, shift = f"{300 + number}", effect * (number % 2)
        voice = rng.normal([120, 1, 60 - shift], [10, 0, 1], (400, 3))
        voice[::7, 1] = 0
        lines = [",".join(f"{x:.4f}" for x in row) for row in voice]
        lines[5] = "-inf," + lines[5].split(",", 1)[1]
        (root / f"{name}_voice.csv").write_text("\n".join(lines) + "\n")
        units = rng.normal(-shift, 1, (40, 2))
        rows = [
            f"{i + 1}, {i / 10:.4f}, {int(i != 3)}, {a:.3f}, {b:.3f}"
            for i, (a, b) in enumerate(units)
        ]
        header = "frame, timestamp, success, AU01_r, AU02_r"
        (root / f"{name}_face.txt").write_text("\n".join([header, *rows]) + "\n")
        turns = ["start_time\tstop_time\tspeaker\tvalue", "0.0\t0.9\tEllie\thow are you"]
        turns += ["1.0\t2.0\tParticipant\tfine", "2.5\t3.5\tParticipant\tthank you"]
        (root / f"{name}_turns.csv").write_text("\n".join(turns) + "\n")
        split = ("train", "train", "validation", "test")[number // 2 % 4]
        labels.append(f"{name},{12 if number % 2 else 3},{split}")
    (root / "labels.csv").write_text("\n".join(["subject,score,split", *labels]) + "\n")
    return root


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with manifest/ and store/ of the toy corpus."""
    base = tmp_path_factory.mktemp("features")
    manifest, report = index_corpus(parse_spec(SPEC, "toy"), lay_out(base / "toy"))
    assert (report.missing, report.unused) == ((), ())
    write_manifest(manifest, base / "manifest")
    done = extract(manifest, base / "toy", base / "store", STORED, workers=1, show_progress=False)
    assert (done.extracted, len(done.failures)) == (12, 0), done.failures
    return base


def table(**changes) -> StreamConfig:
    return StreamConfig(**{"name": "x", "rate_hz": 10.0} | changes)


def rows(path: Path, stream: StreamConfig, **options) -> tuple[np.ndarray, np.ndarray]:
    times, values = zip(*read_features(path, stream, **options), strict=True)
    return np.concatenate(times), np.concatenate(values)


# ---- files ------------------------------------------------------------------------------------


def test_a_table_keeps_numbers_names_times_and_what_is_valid(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text(
        "frame,timestamp, success, F0, AU\n1,0.5, 1, -inf, 2\n2,0.6,0, 4, 5\n3,0.9,1,6,nan\n"
    )
    stream = table(
        time="timestamp",
        drop=["frame", "succ*"],
        valid=[ValidityRule(column="success", at_least=1)],
    )
    times, values = rows(path, stream)
    np.testing.assert_allclose(times, [0.5, 0.6, 0.9])
    np.testing.assert_array_equal(values, np.float32([[np.nan, 2], [np.nan] * 2, [6, np.nan]]))
    assert feature_names(path, stream) == ["F0", "AU"]
    assert duration_s(path, stream) == pytest.approx(1.0)


def test_a_rule_can_spare_columns_and_blocks_change_nothing(tmp_path, monkeypatch):
    path = tmp_path / "x.csv"
    numbers = np.random.default_rng(0).normal(size=(500, 3)).round(4)
    numbers[:, 1] = np.arange(500) % 2
    np.savetxt(path, numbers, "%.4f", delimiter=";")
    stream = table(
        sep=";",
        header=False,
        columns=["f0", "vuv", "e"],
        valid=[ValidityRule(column="vuv", at_least=1, columns=["f0"])],
    )
    times, values = rows(path, stream)
    expected = numbers.astype(np.float32)
    expected[::2, 0] = np.nan
    np.testing.assert_allclose(values, expected)
    np.testing.assert_allclose(times, np.arange(500) / 10)
    monkeypatch.setattr("depmm.media.feature_files.BLOCK_ROWS", 7)
    again = rows(path, stream)
    np.testing.assert_array_equal(again[0], times)
    np.testing.assert_array_equal(again[1], values)


@pytest.mark.parametrize(
    ("text", "changes", "parts"),
    [
        ("a,b\n1,x\n", {}, ["'b'", "'x'", "drop:"]),
        ("a,b\n1,2\n", {"time": "t"}, ["'t' is missing", "a, b"]),
        ("a,b\n1,2\n", {"drop": ["*"]}, ["no column", "drop:"]),
        ("a,b\n1,2,3\n", {}, ["cannot be read as a table"]),
        ("a,b\n", {}, ["no rows"]),
        ("", {}, ["empty"]),
        ("t,b\n1,2\n0,2\n", {"time": "t"}, ["row 1", "0 s", "falls back"]),
    ],
)
def test_a_bad_table_is_named(text, changes, parts, tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(MediaError) as caught:
        rows(path, table(**changes))
    for part in [*parts, str(path)]:
        assert part in str(caught.value)


def test_arrays_lie_along_any_axis_and_matlab_files_name_theirs(tmp_path):
    array = np.arange(24.0).reshape(2, 3, 4)
    np.save(tmp_path / "x.npy", array)
    _, values = rows(tmp_path / "x.npy", table(format="npy", axis=2))
    np.testing.assert_array_equal(values, array.transpose(2, 0, 1).reshape(4, 6))
    savemat(tmp_path / "x.mat", {"feature": array[0]})
    _, values = rows(tmp_path / "x.mat", table(format="mat", variable="feature"))
    np.testing.assert_array_equal(values, array[0])
    with pytest.raises(MediaError, match="no variable 'other', only feature"):
        rows(tmp_path / "x.mat", table(format="mat", variable="other"))
    with pytest.raises(MediaError, match="axis 3"):
        rows(tmp_path / "x.npy", table(format="npy", axis=3))
    (tmp_path / "x.npy").write_bytes(b"no array")
    with pytest.raises(MediaError, match="not a NumPy array"):
        rows(tmp_path / "x.npy", table(format="npy"))


class Payload:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_nothing_is_unpickled_without_the_flag(tmp_path):
    trap = np.empty(1, object)
    trap[0] = Payload(tmp_path / "ran")
    np.save(tmp_path / "trap.npy", trap, allow_pickle=True)
    with pytest.raises(MediaError, match=r"pickled.*--allow-pickle"):
        rows(tmp_path / "trap.npy", table(format="npy"))
    assert not (tmp_path / "ran").exists()
    plain = np.empty(2, object)
    plain[:] = [np.ones(3), np.zeros(3)]
    np.save(tmp_path / "x.npy", plain, allow_pickle=True)
    _, values = rows(tmp_path / "x.npy", table(format="npy"), allow_pickle=True)
    np.testing.assert_array_equal(values, [[1, 1, 1], [0, 0, 0]])


# ---- index ------------------------------------------------------------------------------------


def test_the_index_lists_streams_of_turns_without_the_interviewer(kept):
    manifest = read_manifest(kept / "manifest")
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
    one.loc[0, "reader"] = json.dumps({"name": "units", "rate_hz": 5.0})
    other.loc[0, "path"] = "../300_face.txt"
    for features, message in ((one, "2 ways"), (other, "'\\.\\.'")):
        with pytest.raises(ManifestError, match=message):
            validate(type(manifest)(manifest.sessions, manifest.steps, features))
    with pytest.raises(ManifestError, match="without any file"):
        validate(type(manifest)(manifest.sessions, manifest.steps))
    renamed = [
        table.assign(corpus="other")
        for table in (manifest.sessions, manifest.steps, manifest.features)
    ]
    both = concat_manifests([manifest, type(manifest)(*renamed)])
    assert len(both.features) == 2 * len(manifest.features)


def test_a_missing_stream_is_listed(tmp_path):
    root = lay_out(tmp_path / "toy")
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
    root = lay_out(tmp_path / "toy", people=1)
    for path in root.glob("*_turns.csv"):
        path.unlink()
    manifest, _ = index_corpus(spec, root, duration_s)
    found = manifest.steps[["start_s", "end_s"]].to_numpy().tolist()
    assert found == [[0.0, 1.5], [1.0, 2.5], [2.0, 3.5], [3.0, 4.0]]


def test_windows_of_a_recording(tmp_path):
    text = with_windows(1.0, 1.0).replace("_voice.csv", ".wav")
    text = "\n".join(line for line in text.split("\n") if "features: {name: voice" not in line)
    text = text.replace("               valid: [{column: vuv, at_least: 1, columns: [f0]}]}\n", "")
    text = text.replace("required_features: [voice, units]\n", "")
    spec = parse_spec(text, "toy")
    root = lay_out(tmp_path / "toy", people=1)
    for path in [*root.glob("*_turns.csv"), *root.glob("*_face.txt"), *root.glob("*_voice.csv")]:
        path.unlink()
    soundfile.write(root / "300.wav", np.zeros(8000 * 2 + 3000), 8000)
    manifest, _ = index_corpus(spec, root, duration_s)
    assert manifest.steps["end_s"].tolist() == [1.0, 2.0]  # .375 s are less than half a window
    (root / "300.wav").write_bytes(b"RIFF")
    manifest, report = index_corpus(spec, root, duration_s)
    assert manifest.steps["end_s"].isna().tolist() == [True]
    assert any("no windows" in item.message for item in report.missing)


def test_cut_stretches_and_clock_offsets(tmp_path):
    text = SPEC.replace(
        "label:",
        "  excluded_intervals: [{when: {subject: 301}, start_s: 2.4, end_s: 2.6}]\nlabel:",
    ).replace(
        "steps:\n",
        "  - {rows: \"subject,by\\n302,0.25\\n303,-1.5\\n\", join: {subject: subject},\n"
        "     fields: {offset_s: by}, required: false}\nsteps:\n",
        1,
    )  # fmt: skip
    manifest, report = index_corpus(parse_spec(text, "toy"), lay_out(tmp_path / "toy"))
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
    ("old", "new", "parts"),
    [
        ("modalities: [face]", "modalities: [audio, face]", ["modalities", "one modality"]),
        ("{name: units", "{name: voice", ["name", "'voice'", "another name"]),
        ("rate_hz: 10,", "rate: 10,", ["features.rate", "rate_hz"]),
        ("required_features: [voice,", "required_features: [voic,", ["'voic'", "'voice'"]),
        ("label:", "  windows: {length_s: 1.0, hop_s: 1.0}\nlabel:", ["windows", "not both"]),
        (
            "label:",
            "  excluded_intervals: [{when: {sub: 1}, start_s: 1, end_s: 2}]\nlabel:",
            ["'sub'", "'subject'"],
        ),
        (
            "label:",
            "  excluded_intervals: [{when: {subject: 1}, start_s: 2, end_s: 2}]\nlabel:",
            ["not after"],
        ),
    ],
)
def test_mistakes_in_a_spec_are_named(old, new, parts):
    assert old in SPEC
    with pytest.raises(SpecError) as caught:
        parse_spec(SPEC.replace(old, new, 1), "toy.yaml")
    for part in [*parts, "toy.yaml, line"]:
        assert part in str(caught.value)


# ---- store ------------------------------------------------------------------------------------


def test_the_store_keeps_the_rows_of_each_turn(kept):
    store = SessionStore(kept / "store", STORED)
    index = read_index(store)
    assert index["streams"].map(list).tolist() == [["units", "voice"]] * len(index)
    with store.read("toy", "300", "300") as reader:
        assert reader.summary["streams"]["voice"] == {
            "rate_hz": 100.0,
            "columns": ["f0", "vuv", "energy"],
            "width": 3,
        }
        assert reader.rows("voice").tolist() == [[0, 100], [100, 200]]
        assert reader.rows("units").tolist() == [[0, 10], [10, 20]]
        _, voice = rows(kept / "toy/300_voice.csv", parse_spec(SPEC, "toy").recordings[0].features)
        np.testing.assert_array_equal(reader.features("voice", 100, 200), voice[250:350])
        times = reader.tensor("feature.units.time_s")
        np.testing.assert_allclose(times, np.r_[10:20, 25:35] / 10)


def test_a_broken_stream_is_a_failure_and_the_rest_is_kept(tmp_path):
    root = lay_out(tmp_path / "toy", people=2)
    manifest, _ = index_corpus(parse_spec(SPEC, "toy"), root)
    (root / "300_voice.csv").write_text("1,2,3\n1,x,3\n")
    lines = (root / "301_face.txt").read_text().splitlines()
    (root / "301_face.txt").write_text("\n".join(lines[:20]))
    done = extract(manifest, root, tmp_path / "store", STORED, workers=1, show_progress=False)
    assert done.failures[["session", "stage"]].to_numpy().tolist() == [
        ["300", "voice"],
        ["301", "units"],
    ]
    assert "'x'" in done.failures["cause"][0]
    assert "step 1 starts at 2.500 s" in done.failures["cause"][1]
    index = read_index(SessionStore(tmp_path / "store", STORED)).set_index("session")
    assert index["streams"].map(list).to_dict() == {"300": ["units"], "301": ["units", "voice"]}
    with SessionStore(tmp_path / "store", STORED).read("toy", "301", "301") as reader:
        assert reader.rows("units").tolist() == [[0, 9], [0, 0]]
    # what is repaired is read again, and the rest left alone
    lay_out(root, people=2)
    again = extract(manifest, root, tmp_path / "store", STORED, workers=1, show_progress=False)
    assert (again.extracted, len(again.failures)) == (2, 0)
    last = extract(manifest, root, tmp_path / "store", STORED, workers=1, show_progress=False)
    assert (last.extracted, last.skipped) == (0, 2)


def test_speech_segments_are_relative_to_the_step(tmp_path):
    from depmm.corpora.manifest import build_manifest

    t = np.arange(16000 * 6) / 16000
    loud = ((t > 1) & (t < 2)) | ((t > 4) & (t < 5))
    (tmp_path / "rec").mkdir()
    soundfile.write(tmp_path / "rec/a.wav", 0.3 * np.sin(2 * np.pi * 200 * t) * loud, 16000)
    key = {"corpus": "c", "subject": "s", "session": "x"}
    step = key | {"step": 0, "start_s": 0.5, "end_s": None, "audio": "a.wav", "face_aligned": False}
    manifest = build_manifest(pd.DataFrame([key]), pd.DataFrame([step]))
    extract(manifest, tmp_path / "rec", tmp_path / "s", STORED, workers=1, show_progress=False)
    with SessionStore(tmp_path / "s", STORED).read("c", "s", "x") as reader:
        speech = (reader.speech(0) / 16000).tolist()
        assert np.allclose(speech, [[0.5, 1.5], [3.5, 4.5]], atol=0.02)


# ---- model ------------------------------------------------------------------------------------

CONFIG = """
name: toy
split: {{kind: official}}
data:
  manifest: {base}/manifest
  store: {base}/store
  features: {{audio: voice, face: units}}
  max_rows: 60
model:
  encoders:
    audio: {{kind: feature_cnn, features: 3, channels: [8], embed_dim: 8, dropout: 0.0}}
    face: {{kind: feature_cnn, features: 2, channels: [8], embed_dim: 8, dropout: 0.0}}
  fusion: {{kind: mean_pool, dropout: 0.0}}
training: {{epochs: 12, batch_size: 4, learning_rate: 1.0e-2, patience: 12}}
evaluation: {{n_bootstrap: 100}}
"""


@pytest.fixture
def config(kept, tmp_path) -> Path:
    path = tmp_path / "toy.yaml"
    path.write_text(CONFIG.format(base=kept))
    return path


def test_both_streams_are_learned_from_and_scaled_by_training_people(config, kept, tmp_path):
    settings = load_config(config)
    folder = RunFolder(tmp_path / "run")
    train_network(settings, folder, build_accelerator(settings))
    table = pd.read_parquet(folder.predictions)
    test = table[table["split"] == "test"]
    assert len(test) == 2
    assert (
        test.loc[test["y_true"] == 1, "y_prob"].min()
        > test.loc[test["y_true"] == 0, "y_prob"].max()
    )

    model = DepressionModel.from_pretrained(folder.path)
    data = load_experiment_data(settings)
    chosen = [row for number in data.indices("train") for row in data.dataset[None, number].audio]
    rows = np.concatenate(chosen)
    assert len(rows) == 60 * 2 * len(data.indices("train"))
    np.testing.assert_allclose(model.encoders["audio"].mean, np.nanmean(rows, 0), rtol=1e-4)
    np.testing.assert_allclose(
        model.encoders["audio"].scale[[0, 2]], np.nanstd(rows, 0)[[0, 2]], rtol=1e-3
    )


def test_invalid_values_padding_and_neighbours_change_nothing():
    torch.manual_seed(0)
    encoder = FeatureCnn(3, [8], 8, 0.0).eval()
    encoder.set_scale(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 0.0, 2.0]))
    assert encoder.scale.tolist() == [1.0, 1.0, 2.0]
    rows = torch.randn(1, 9, 3)
    alone = encoder(rows, torch.tensor([9]))
    padded = torch.full((2, 20, 3), torch.inf)
    padded[0, :9] = rows
    padded[1] = 5.0
    together = encoder(padded, torch.tensor([9, 20]))
    torch.testing.assert_close(together[:1], alone, rtol=1e-5, atol=1e-5)
    lost = rows.clone()
    lost[0, 4, 1] = torch.nan
    assert encoder(lost, torch.tensor([9])).isfinite().all()
    assert (encoder(lost, torch.tensor([9])) - alone).abs().max() > 1e-3
    nothing = torch.full((1, 4, 3), torch.nan)
    assert encoder(nothing, torch.tensor([4])).isfinite().all()
    with pytest.raises(ValueError, match="rows have 2 features, feature_cnn expects 3"):
        encoder(rows[..., :2], torch.tensor([9]))


def test_a_session_without_a_stream_is_masked(config, kept):
    settings = load_config(config)
    data = load_experiment_data(settings)
    from depmm.data.batch import collate

    items = [data.dataset[None, 0], data.dataset[None, 1]]
    empty = [row[:0, :0] for row in items[1].audio]
    batch = collate([items[0], type(items[1])(1, empty, items[1].face)])
    assert batch["audio"].shape == (2, 2, 60, 3)
    assert batch["audio_length"].tolist() == [[60, 60], [0, 0]]


@pytest.mark.parametrize(
    ("override", "setting"),
    [
        ("data.features.face=null", "data.features.face"),
        ("data.augment={noise: 0.1}", "data.augment.noise"),
    ],
)
def test_config_and_streams_must_agree(override, setting, config):
    with pytest.raises(ConfigError) as info:
        load_config(config, [override])
    assert info.value.setting == setting


def test_a_stream_that_the_manifest_does_not_have_is_refused(config):
    with pytest.raises(DataError, match=r"'voyce'.*units, voice"):
        load_experiment_data(load_config(config, ["data.features={audio: voyce, face: units}"]))


def test_a_wrong_width_names_the_setting(config, tmp_path):
    settings = load_config(config, ["model.encoders.audio.features=4"])
    with pytest.raises(ValueError, match="set the encoder's features to 3"):
        train_network(settings, RunFolder(tmp_path / "run"), build_accelerator(settings))
