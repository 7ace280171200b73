"""Common sources of invalid results: each is simulated, and must be prevented or reported.

Errors in metrics (AUC of hard labels, mean of batch errors, one kind of F1 for another) are covered
by the tests of metrics. A scaler that is fitted on all data is also covered by the tests of
classical models.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from recordings import write_session

from depmm.audit.audit import audit_manifest
from depmm.audit.findings import AuditInput
from depmm.audit.related_corpora import shared_subjects
from depmm.config import ExtractConfig, SplitConfig, load_config
from depmm.corpora.corpus_facts import CorpusFacts, RelatedCorpus
from depmm.corpora.index import index_corpus
from depmm.corpora.manifest import Manifest, concat_manifests
from depmm.corpora.spec import load_spec, parse_spec
from depmm.corpora.splits import SplitError, make_folds, make_split
from depmm.data.experiment_data import load_experiment_data
from depmm.store.extract import extract
from depmm.store.session_file import SessionReader

SPEC = """
name: {name}
title: t
citation: c
licence: l
access: a
recordings:
  - {{pattern: "{{subject}}_{{visit}}.wav", modalities: [audio]}}
  - {{pattern: "video/{{subject}}_{{visit}}.mp4", modalities: [face]}}
session: "{{subject}}_{{visit}}"
tables:
  - {{file: labels.csv, join: {{subject: subject, visit: visit}},
     fields: {{phq: score, gender: gender, split: split}}}}
label: {{instrument: PHQ-8, score: phq}}
"""


def index(root: Path, rows: list[tuple], name: str = "toy", video: bool = False) -> Manifest:
    """Index a folder with the recordings of (subject, visit, score, gender, split)."""
    (root / "video").mkdir(parents=True)
    for subject, visit, *_ in rows:
        (root / f"{subject}_{visit}.wav").touch()
        if video:
            (root / f"video/{subject}_{visit}.mp4").touch()
    lines = [",".join(map(str, row)) for row in rows]
    (root / "labels.csv").write_text("\n".join(["subject,visit,score,gender,split", *lines]))
    return index_corpus(parse_spec(SPEC.format(name=name), name), root)[0]


def make_rows(
    count: int = 24, visits: int = 1, gender=None, splits=("train", "validation", "test")
):
    return [
        (
            f"{300 + k}",
            visit,
            15 if k % 2 else 2,
            gender(k) if gender else ("female", "male")[k // 2 % 2],
            splits[k // 2 % len(splits)],
        )
        for k in range(count)
        for visit in range(1, visits + 1)
    ]


def errors(manifest: Manifest) -> dict[str, str]:
    audit = audit_manifest(AuditInput(manifest))
    return {f.name: f.message for f in audit.findings if f.severity == "error"}


def test_trap_1_sessions_of_a_subject_on_both_sides(tmp_path):
    rows = make_rows(visits=2)
    overlapping = [(*row[:4], "test") if row[:2] == ("300", 2) else row for row in rows]
    manifest = index(tmp_path / "toy", overlapping)
    assert "toy/300 (test and train)" in errors(manifest)["split_overlap"]
    with pytest.raises(SplitError) as info:
        make_split(manifest.sessions, SplitConfig(kind="official"))
    assert info.value.subject == "300"
    for config in (SplitConfig(), SplitConfig(kind="leave_one_subject_out")):
        folds = make_folds(manifest.sessions, config)
        assert folds.groupby(["fold", "subject"])["split"].nunique().max() == 1
        tested = folds[folds["split"] == "test"]
        assert sorted(tested["subject"]) == sorted({row[0] for row in rows})


def test_trap_2_and_7_test_subjects_do_not_affect_selection_or_scaling(corpus, tmp_path):
    """Other media of the test subjects change neither other predictions nor the threshold.

    Predictions are compared within a tolerance: weights that do not change any prediction, such as
    the biases of keys, depend on rounding alone.
    """
    from depmm.evaluation.thresholds import apply_threshold
    from depmm.runs.folder import RunFolder
    from depmm.training.experiment import build_accelerator
    from depmm.training.loop import train_network

    predictions = []
    for name, noise in (("as-is", 0.0), ("changed", 0.5)):
        config = load_config(corpus.config, ["training.epochs=1"])
        folder = RunFolder(tmp_path / name)
        if noise:
            config = _add_noise_to_test_audio(config, corpus, tmp_path, noise)
        train_network(config, folder, build_accelerator(config))
        predictions.append(apply_threshold(pd.read_parquet(folder.predictions)))
    before, after = predictions
    np.testing.assert_allclose(after["threshold"], before["threshold"], atol=1e-5)
    change = (after["y_prob"] - before["y_prob"]).abs()
    tested = before["split"] == "test"
    assert change[tested].max() > 1e-3
    assert change[~tested].max() < 1e-5


def _add_noise_to_test_audio(config, corpus, tmp_path, noise):
    """Return the experiment with noise in place of the audio of the test subjects."""
    import shutil

    store = tmp_path / "noisy"
    shutil.copytree(corpus.store, store)
    data = load_experiment_data(config)
    rng = np.random.default_rng(0)
    for index in data.indices("test"):
        row = data.sessions.iloc[index]
        path = Path(data.dataset.store.path(row["corpus"], row["subject"], row["session"]))
        path = store / path.relative_to(corpus.store)
        with SessionReader(path) as file:
            summary, names = {**file.summary, "streams": {}}, file.names  # without derived ones
            tensors = {name: file.read_tensor(name) for name in names}
        waveform = tensors["audio.waveform"]
        tensors["audio.waveform"] = (noise * 3e4 * rng.uniform(-1, 1, waveform.shape)).astype(
            "int16"
        )
        path.unlink()
        write_session(path, tensors, **summary)
    return config.model_copy(update={"data": config.data.model_copy(update={"store": str(store)})})


def test_trap_5_turns_of_the_interviewer_are_not_steps(tmp_path):
    text = SPEC.format(name="toy") + (
        'steps:\n  table: {file: "{subject}_turns.csv", sep: "\\t", join: {subject: subject},\n'
        "    fields: {start: start, end: stop, text: value}, keep: {speaker: [Participant]}}\n"
    )
    root = tmp_path / "toy"
    index(root, make_rows(2))
    for subject in ("300", "301"):
        (root / f"{subject}_turns.csv").write_text(
            "start\tstop\tspeaker\tvalue\n0\t1\tEllie\thow are you\n1\t2\tParticipant\tfine\n"
            "2\t3\tEllie\tgood\n"
        )
    manifest, _ = index_corpus(parse_spec(text, "toy"), root)
    assert manifest.steps[["start_s", "text"]].to_numpy().tolist() == [[1.0, "fine"]] * 2


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("gender_shortcut", make_rows(gender=lambda k: "female" if k % 2 else "male")),
        ("id_order_shortcut", [(f"{300 + k}", 1, 15 * (k > 11), "", "train") for k in range(24)]),
    ],
)
def test_trap_6_shortcuts_are_found_with_their_effect(name, rows, tmp_path):
    audit = audit_manifest(AuditInput(index(tmp_path / "toy", rows)))
    findings = [f for f in audit.findings if f.name == name]
    assert len(findings) == 1
    assert findings[0].severity in ("warning", "error")
    assert abs(findings[0].effect_size) > 0.9
    assert findings[0].p_adjusted < 0.01


def test_trap_9_only_training_copies_are_changed(corpus):
    config = load_config(corpus.config, ["data.augment={relative_noise: 0.5, gain_db: 6.0}"])
    data = load_experiment_data(config)
    plain = load_experiment_data(load_config(corpus.config))
    for index in range(len(data.sessions)):
        waveforms, original = (
            data.dataset[None, index].signals["audio"],
            plain.dataset[None, index].signals["audio"],
        )
        assert all(np.array_equal(a, b) for a, b in zip(waveforms, original, strict=True))
    augmented = data.dataset[0, 0].signals["audio"]
    assert not np.array_equal(augmented[0], plain.dataset[None, 0].signals["audio"][0])
    assert len(data.sessions) == data.sessions["session"].nunique()  # augmentation adds no rows


def test_trap_10_corpora_that_share_subjects_cannot_test_each_other(tmp_path):
    daic = index(tmp_path / "daic", make_rows(splits=("test",)), "daic_woz")
    edaic = index(tmp_path / "edaic", make_rows(splits=("train",)), "edaic")
    messages = errors(concat_manifests([daic, edaic]))
    assert "300" in messages["related_corpora"]


def test_trap_11_unreadable_files_are_named_and_counted(tmp_path):
    root = tmp_path / "toy"
    manifest = index(root, make_rows(3))
    for subject in ("300", "301"):
        soundfile.write(root / f"{subject}_1.wav", np.full(1600, 0.1), 16000)
    (root / "301_1.wav").write_bytes((root / "301_1.wav").read_bytes()[:1000])
    report = extract(manifest, root, tmp_path / "s", ExtractConfig(), workers=0)
    assert (report.extracted, report.lost) == (1, 2)
    assert sorted(report.failures["subject"]) == ["301", "302"]
    assert set(pd.read_parquet(tmp_path / "s/failures.parquet")["subject"]) == {"301", "302"}


def test_trap_12_face_and_voice_are_joined_by_name_not_by_order(tmp_path):
    root = tmp_path / "toy"
    index(root, make_rows(4), video=True)
    (root / "video/301_1.mp4").unlink()  # one gap, which would shift a list by one
    manifest, _ = index_corpus(parse_spec(SPEC.format(name="toy"), "toy"), root)
    for _, step in manifest.steps.iterrows():
        assert step["audio"] == f"{step['session']}.wav"
        if step["subject"] == "301":
            assert pd.isna(step["face"])
        else:
            assert step["face"] == f"video/{step['session']}.mp4"


def test_original_labels_that_contradict_their_score_are_named(tmp_path):
    """The label rule of E-DAIC (20 subjects) and of DAIC-WOZ 409."""
    text = SPEC.format(name="edaic").replace("phq: score,", "phq: score, binary: binary,")
    text = text.replace(
        "score: phq}", 'score: phq, field: binary, positive: ["1"], negative: ["0"]}'
    )
    root = tmp_path / "edaic"
    index(root, make_rows(4))
    (root / "labels.csv").write_text(
        "subject,visit,score,gender,split,binary\n300,1,10,female,train,0\n301,1,15,male,train,1\n"
        "302,1,2,female,train,0\n303,1,15,male,test,1\n"
    )
    manifest, _ = index_corpus(parse_spec(text, "edaic"), root)
    assert "300" in errors(manifest)["label_score_mismatch"]
    assert "303" not in errors(manifest)["label_score_mismatch"]


def test_the_demo_has_no_audit_error(corpus):
    manifest, _ = index_corpus(load_spec("ewre_simulated"), corpus.recordings)
    assert errors(manifest) == {}


def test_subjects_of_two_corpora_with_the_same_ids_are_found():
    def keys(*names: str) -> pd.DataFrame:
        return pd.DataFrame([name.split("/") for name in names], columns=["corpus", "subject"])

    others = keys("daic_woz/300", "daic_woz/301", "toy/1", "mpdd_2025/7")
    subjects = keys("edaic/300_P", "edaic/302", "toy/1", "toy/01", "other/300", "mpdd_2026/7")
    shared = shared_subjects(subjects, others)
    assert shared.to_numpy().tolist() == [["edaic", "300_P"], ["toy", "1"]]


def test_subjects_of_corpora_that_a_manifest_relates_are_found():
    related = RelatedCorpus(corpus="second", same_ids=True, reason="the same study")
    facts = {"first": CorpusFacts(related_corpora=[related])}
    subjects = pd.DataFrame({"corpus": ["second"] * 2, "subject": ["S1", "S2"]})
    others = pd.DataFrame({"corpus": ["first"], "subject": ["01"]})
    assert shared_subjects(subjects, others).empty
    assert shared_subjects(subjects, others, facts)["subject"].tolist() == ["S1"]
