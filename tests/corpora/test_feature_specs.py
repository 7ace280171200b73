"""Data specs of corpora that ship features, each on a small folder in its layout."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from feature_layouts import CLNF, DAIC_SUBJECTS, daic_woz, dvlog, edaic, ewre, lmvd, mpdd
from typer.testing import CliRunner

from depmm.audit.audit import audit_manifest
from depmm.audit.findings import AuditInput
from depmm.cli import app
from depmm.config import ExtractConfig, load_config
from depmm.corpora.index import index_corpus
from depmm.corpora.index_report import IndexReport
from depmm.corpora.manifest import Manifest
from depmm.corpora.spec import Spec, load_spec, specs_folder
from depmm.media.duration import duration_s
from depmm.media.features.feature_files import feature_names, read_features
from depmm.store.extract import extract
from depmm.store.session_file import SessionReader
from depmm.store.sessions import SessionStore

CONFIGS = Path(__file__).parents[2] / "experiments" / "configs"
STORED = ExtractConfig()
LAYOUTS: dict[str, Callable[[Path], Path]] = {
    "daic_woz": daic_woz,
    "edaic": edaic,
    "dvlog": dvlog,
    "lmvd": lmvd,
    "mpdd": mpdd,
    "ewre": ewre,
}


class Indexed:
    """A small corpus in the layout of a spec, indexed once."""

    def __init__(self, name: str, root: Path, build: Callable[[Path], Path] | None = None):
        self.name, self.root = name, (build or LAYOUTS[name])(root)
        self.spec: Spec = load_spec(name)
        self.manifest: Manifest
        self.report: IndexReport
        self.manifest, self.report = index_corpus(self.spec, self.root, duration_s)

    @property
    def sessions(self) -> pd.DataFrame:
        return self.manifest.sessions.set_index("session")

    def column(self, name: str) -> dict[str, object]:
        return self.sessions[name].fillna("-").to_dict()

    def starts(self, session: str) -> list[float]:
        steps = self.manifest.steps
        return steps.loc[steps["session"] == session, "start_s"].round(4).tolist()

    def streams(self) -> dict[str, str]:
        """Stream -> modality."""
        features = self.manifest.features
        return dict(zip(features["name"], features["modality"], strict=True))

    def values(self, stream: str, path: str) -> np.ndarray:
        """All rows of one file as the spec reads them."""
        config = next(
            entry.features
            for entry in self.spec.recordings
            if entry.features and entry.features.name == stream
        )
        return np.concatenate([rows for _, rows in read_features(self.root / path, config)])

    def stored(self, folder: Path, session: str) -> SessionReader:
        subject = self.sessions.loc[session, "subject"]
        return SessionStore(folder, STORED).read(self.name, str(subject), session)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Indexed]:
    """Return corpora by name; each is created on first use."""
    base, made = tmp_path_factory.mktemp("layouts"), {}

    def get(name: str) -> Indexed:
        if name not in made:
            made[name] = Indexed(name, base / name)
        return made[name]

    return get


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_file_has_a_role(name, corpora):
    corpus = corpora(name)
    assert [(item.where, item.message) for item in corpus.report.missing] == []
    assert (corpus.report.unused, corpus.report.superseded) == ((), ())
    assert corpus.report.counts["unlabelled"] == 0
    assert not corpus.report.unrelated_folders
    assert corpus.spec.citation
    assert corpus.spec.unverified


def test_daic_woz_subjects_labels_and_split(corpora):
    corpus = corpora("daic_woz")
    assert corpus.column("subject") == {str(n): str(n) for n in DAIC_SUBJECTS}
    assert corpus.column("split") == {
        "300": "train", "318": "validation", "373": "test",
        "409": "train", "444": "test", "451": "validation",
    }  # fmt: skip
    assert corpus.column("score") == {str(n): row[2] for n, row in DAIC_SUBJECTS.items()}
    assert corpus.column("gender") == {
        str(n): ("female", "male")[row[3]] for n, row in DAIC_SUBJECTS.items()
    }
    # 409: the label comes from the score, and the original class is kept
    labels = {"300": 0, "318": 0, "373": 1, "409": 1, "444": 0, "451": 1}
    assert corpus.column("label") == labels
    assert corpus.column("phq8_binary")["409"] == "0"
    findings = audit_manifest(AuditInput(corpus.manifest)).findings
    assert "label_score_mismatch" not in {item.name for item in findings}
    (differs,) = [item for item in findings if item.name == "original_label_mismatch"]
    assert "409 (score 10, original label 0, label 1)" in differs.message
    assert [subject[1] for subject in differs.subjects] == ["409"]
    assert set(corpus.sessions["instrument"]) == {"PHQ-8"}
    assert corpus.report.ignored == len(DAIC_SUBJECTS) + 1  # HOG files, test split without scores


def test_daic_woz_turns_are_the_participants(corpora):
    corpus = corpora("daic_woz")
    steps = corpus.manifest.steps
    assert not steps["text"].str.contains("how are you|that's good|sync", regex=True).any()
    turns = steps[steps["session"] == "300"]
    assert turns[["start_s", "end_s"]].to_numpy().tolist() == [[1.0, 2.0], [2.5, 3.5]]
    assert turns["text"].tolist() == ["i'm good", 'he said "fine" <laughter>']
    assert set(turns["audio"]) == {"300_P/300_AUDIO.wav"}
    assert turns["face"].isna().all()
    assert corpus.starts("451") == [1.0, 2.5]


def test_daic_woz_excludes_interruptions_and_shifts_transcripts(corpora):
    corpus = corpora("daic_woz")
    assert corpus.starts("373") == [1.0, 2.5, 350.0, 420.0]
    assert corpus.starts("444") == [1.0, 2.5, 387.0]
    assert sorted(corpus.report.excluded) == [
        ("373_P/373_AUDIO.wav", "a step at 351.000 s, inside steps.excluded_intervals"),
        ("373_P/373_AUDIO.wav", "a step at 419.500 s, inside steps.excluded_intervals"),
        ("444_P/444_AUDIO.wav", "a step at 280.000 s, inside steps.excluded_intervals"),
        ("444_P/444_AUDIO.wav", "a step at 300.000 s, inside steps.excluded_intervals"),
    ]
    assert corpus.starts("318") == [35.3199, 36.8199]
    flags = dict.fromkeys(map(str, DAIC_SUBJECTS), "-")
    assert corpus.column("out_of_sync") == flags | {"318": "yes"}
    assert corpus.column("interviewer_missing") == flags | {"451": "yes"}


def test_daic_woz_streams_have_invalid_values(corpora):
    corpus = corpora("daic_woz")
    voices = dict.fromkeys(("covarep", "formants"), "audio")
    faces = ("action_units", "gaze", "pose", "landmarks", "landmarks_3d")
    assert corpus.streams() == voices | dict.fromkeys(faces, "face")
    voice = corpus.values("covarep", "300_P/300_COVAREP.csv")
    assert voice.shape == (400, 74)
    glottal = [0, 2, 3, 4, 5, 6, 7, 8, 9]  # F0, NAQ ... Rd_conf
    assert np.isnan(voice[::3, glottal]).all()
    assert np.isfinite(voice[1::3][:, glottal]).all()
    assert np.isfinite(voice[:, [1, *range(10, 73)]]).all()
    assert np.flatnonzero(np.isnan(voice[:, 73])).tolist() == [101]  # -inf
    for (kind, width), stream in zip(CLNF.items(), ("action_units", *faces[1:]), strict=True):
        rows = corpus.values(stream, f"300_P/300_CLNF_{kind}.txt")
        assert rows.shape == (120, width)
        assert np.flatnonzero(np.isnan(rows).all(axis=1)).tolist() == [40]


def test_daic_woz_gaps_are_reported(tmp_path):
    root = daic_woz(tmp_path, [300, 409])
    (root / "300_P/300_TRANSCRIPT.csv").unlink()
    (root / "409_P/409_CLNF_gaze.txt").unlink()
    table = root / "train_split_Depression_AVEC2017.csv"
    table.write_text(table.read_text().replace("409,", "302,"))
    manifest, report = index_corpus(load_spec("daic_woz"), root)
    assert manifest.sessions["session"].tolist() == ["409"]
    messages = [item.message for item in report.missing]
    assert [message.split(" in ")[0] for message in messages] == [
        "no steps",
        "no file of gaze features for this step",
        "session 409: no phq8",
        "no recording for Participant_ID=302",
    ]


def test_daic_woz_is_extracted(tmp_path):
    corpus = Indexed("daic_woz", tmp_path / "corpus", partial(daic_woz, subjects=[300]))
    report = extract(corpus.manifest, corpus.root, tmp_path / "store", STORED, workers=0)
    assert (report.extracted, len(report.failures)) == (1, 0), report.failures
    voice = corpus.values("covarep", "300_P/300_COVAREP.csv")
    with corpus.stored(tmp_path / "store", "300") as reader:
        assert reader.step_rows("covarep").tolist() == [[0, 100], [100, 200]]
        np.testing.assert_array_equal(reader.read_features("covarep", 0, 100), voice[100:200])
        np.testing.assert_array_equal(reader.read_features("covarep", 100, 200), voice[250:350])
        assert reader.step_rows("landmarks").tolist() == [[0, 30], [30, 60]]
        assert len(reader.read_waveform(0)) == 16000
        # frame 40, which is in the first turn, has no face: 1 s is frame 30
        missing = np.isnan(reader.read_features("action_units", 0, 30)).all(axis=1)
        assert np.flatnonzero(missing).tolist() == [10]


def test_edaic_contains_daic_woz_and_labels_come_from_the_score(corpora):
    corpus = corpora("edaic")
    assert corpus.column("subject") == {"300": "300", "320": "320", "600": "600"}
    assert corpus.column("daic_woz") == {"300": "yes", "320": "yes", "600": "no"}
    assert corpus.column("split") == {"300": "validation", "320": "train", "600": "test"}
    assert corpus.column("label") == {"300": 0, "320": 1, "600": 1}
    assert corpus.column("phq_binary") == {"300": "0", "320": "0", "600": "1"}
    findings = audit_manifest(AuditInput(corpus.manifest)).findings
    (differs,) = [item for item in findings if item.name == "original_label_mismatch"]
    original, label = corpus.column("phq_binary"), corpus.column("label")
    assert {subject[1] for subject in differs.subjects} == {
        name for name in original if int(original[name]) != label[name]
    }
    assert corpus.column("gender") == {"300": "male", "320": "female", "600": "female"}
    assert corpus.starts("300") == [0.5, 10.0]
    assert corpus.manifest.steps["text"].tolist()[:2] == ["well, yes", "no"]


def test_edaic_streams(corpora):
    corpus = corpora("edaic")
    start = "600_P/features/600"
    widths = {"egemaps": 23, "mfcc": 39}
    for name, width in widths.items():
        path = f"{start}_OpenSMILE2.3.0_{name}.csv"
        assert corpus.values(name, path).shape == (400, width)
    face = corpus.values("openface", f"{start}_OpenFace2.1.0_Pose_gaze_AUs.csv")
    assert face.shape == (120, 49)
    assert np.flatnonzero(np.isnan(face).all(axis=1)).tolist() == [40]
    assert corpus.values("cnn_resnet", f"{start}_CNN_ResNet.mat").shape == (8, 2048)
    assert corpus.values("cnn_vgg", f"{start}_CNN_VGG.mat").shape == (8, 4096)
    assert corpus.report.ignored == 6  # a bag of words and a deep spectrum of each


def test_dvlog_minutes_end_with_the_shorter_file(corpora, tmp_path):
    corpus = corpora("dvlog")
    assert corpus.column("label") == {"0": 1, "1": 0, "17": 0}
    assert corpus.column("split") == {"0": "train", "1": "validation", "17": "test"}
    assert corpus.column("gender") == {"0": "female", "1": "male", "17": "female"}
    assert corpus.column("duration")["0"] == "90.5"
    assert corpus.starts("0") == [0.0, 60.0]
    ends = corpus.manifest.steps.groupby("session")["end_s"].max()
    assert ends.to_dict() == {"0": 90.0, "1": 130.0, "17": 150.0}
    report = extract(corpus.manifest, corpus.root, tmp_path, STORED, workers=0)
    assert (report.extracted, len(report.failures)) == (3, 0), report.failures
    visual = np.load(corpus.root / "17/17_visual.npy").astype(np.float32)
    with corpus.stored(tmp_path, "17") as reader:
        assert reader.step_rows("landmarks").tolist() == [[0, 60], [60, 120], [120, 150]]
        assert reader.step_rows("acoustic").tolist() == [[0, 60], [60, 120], [120, 150]]
        np.testing.assert_array_equal(reader.read_features("landmarks", 60, 120), visual[60:120])


def test_lmvd_file_numbers_are_subjects(corpora):
    corpus = corpora("lmvd")
    assert corpus.column("subject") == {"1": "1", "602": "602"}
    assert corpus.column("label") == {"1": 1, "602": 0}
    assert corpus.column("split") == {"1": "-", "602": "-"}
    assert corpus.streams() == {"openface": "face", "vggish": "audio"}
    # the label is a function of the file number, which is not a column
    assert set(corpus.spec.columns) == set()
    config = corpus.spec.recordings[1].features
    path = corpus.root / "Video_feature/602.csv"
    assert feature_names(path, config) == ["gaze_0_x", "pose_Tx", "x_0", "AU01_r"]
    face = corpus.values("openface", "Video_feature/602.csv")
    assert np.flatnonzero(np.isnan(face).all(axis=1)).tolist() == [40]
    # 4 rows of VGGish are 3.84 s; the face has 4 s
    assert corpus.manifest.steps["end_s"].round(2).tolist() == [3.84, 3.84]


def test_mpdd_subjects_of_two_cohorts_with_one_number_differ(corpora):
    corpus = corpora("mpdd")
    assert corpus.column("subject") == {
        name: name for name in ("Elderly-1", "Elderly-1178", "Young-1", "Young-2")
    }
    assert corpus.column("label") == {
        "Elderly-1": 1, "Elderly-1178": 0, "Young-1": 0, "Young-2": 1
    }  # fmt: skip
    assert corpus.column("split")["Elderly-1178"] == "test"
    assert set(corpus.sessions.drop(index="Elderly-1178")["split"]) == {"train"}
    assert corpus.column("tri_category")["Young-2"] == "2"
    assert corpus.column("pen_category") == {
        "Elderly-1": "3", "Elderly-1178": "0", "Young-1": "-", "Young-2": "-"
    }  # fmt: skip
    kinds = {"mfccs": "audio", "opensmile": "audio", "wav2vec": "audio"}
    kinds |= dict.fromkeys(("openface", "resnet", "densenet"), "face")
    assert corpus.streams() == {
        f"{kind}_{window}s": modality for kind, modality in kinds.items() for window in (1, 5)
    }
    features = corpus.manifest.features
    one = features[(features["session"] == "Elderly-1178") & (features["name"] == "mfccs_1s")]
    assert one["path"].str[-7:].tolist() == ["A_1.npy", "A_2.npy", "_10.npy"]  # by number
    five = next(e.features for e in corpus.spec.recordings if e.features.name == "mfccs_5s")
    path = corpus.root / "MPDD-Young/Training/5s/Audio/mfccs/001_001.npy"
    assert duration_s(path, five) == pytest.approx(20.0)


def test_mpdd_with_one_cohort_has_no_gap(tmp_path):
    """Young subjects have no five classes, which is not reported as missing."""
    root = mpdd(tmp_path / "all") / "MPDD-Young"
    (tmp_path / "young").mkdir()
    root.rename(tmp_path / "young/MPDD-Young")
    manifest, report = index_corpus(load_spec("mpdd"), tmp_path / "young")
    assert report.missing == ()
    assert manifest.sessions["subject"].tolist() == ["Young-1", "Young-2"]


def test_ewre_rows_are_words(corpora, tmp_path):
    corpus = corpora("ewre")
    assert corpus.column("subject") == {name: name for name in ("D002", "P1D001", "P3H003")}
    assert corpus.column("label") == {"D002": 1, "P1D001": 1, "P3H003": 0}
    n_steps = corpus.manifest.steps.groupby("session").size()
    assert n_steps.to_dict() == {"D002": 26, "P1D001": 24, "P3H003": 25}
    paths = corpus.manifest.features
    assert (paths["path"].str.split("/").str[1] == paths["session"] + ".npy").all()
    report = extract(corpus.manifest, corpus.root, tmp_path, STORED, workers=0)
    assert (report.extracted, len(report.failures)) == (3, 0), report.failures
    face = np.load(corpus.root / "face/P1D001.npy")
    voice = np.load(corpus.root / "voic/P1D001.npy").astype(np.float32)
    with corpus.stored(tmp_path, "P1D001") as reader:
        assert reader.step_rows("face_map").tolist() == [[n, n + 1] for n in range(24)]
        np.testing.assert_array_equal(
            reader.read_features("face_map", 7, 8), face[:, :, 7].reshape(1, -1)
        )
        np.testing.assert_array_equal(reader.read_features("voice_vector", 7, 8), voice[7:8])


@pytest.mark.parametrize("name", ["daic_woz", "dvlog"])
def test_streams_of_configs_fit_their_encoders(name, corpora):
    """The streams of a config are in its corpus and have the size that its encoders expect."""
    config = load_config(CONFIGS / f"{name}_features.yaml")
    features = corpora(name).manifest.features
    assert config.data.manifest.parts[-2:] == (name, "manifest")
    for modality, stream in config.data.features.items():
        row = features[features["name"] == stream].iloc[0]
        assert row["modality"] == modality
        rows = corpora(name).values(stream, row["path"])
        assert rows.shape[1] == config.model.encoders[modality].features


def test_ewre_pickled_arrays_need_the_flag(tmp_path):
    root = ewre(tmp_path / "corpus", pickled=True)
    command = [
        "index",
        str(specs_folder() / "ewre.yaml"),
        str(root),
        "--out",
        str(tmp_path / "manifest"),
    ]
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code == 1
    assert "voic/D002.npy" in refused.output
    assert "give --allow-pickle" in refused.output
    allowed = CliRunner().invoke(app, [*command, "--allow-pickle"])
    assert allowed.exit_code == 0, allowed.output
    assert "a pickled file can run any code" in allowed.output
    assert "3 subjects, 3 sessions, 75 steps" in allowed.output
