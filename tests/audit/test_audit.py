"""The audit: every planted problem is caught, a clean corpus passes, and a run records both."""

import itertools
import json
import re
import shutil
from collections.abc import Callable
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from recordings import write_video

from depmm.audit import shortcuts
from depmm.audit.audit import (
    NAMES,
    Audit,
    audit_manifest,
    find_current_audit,
    format_audit,
    write_audit,
)
from depmm.audit.findings import AuditInput, Finding, RecordingStatistics
from depmm.audit.recording_statistics import compute_recording_statistics
from depmm.config import load_config
from depmm.corpora.errors import ManifestError
from depmm.corpora.index import index_corpus
from depmm.corpora.index_report import IndexReport, Missing, PatternCount
from depmm.corpora.manifest import (
    Manifest,
    build_manifest,
    concat_manifests,
    read_manifest,
    write_manifest,
)
from depmm.corpora.spec import load_spec
from depmm.media.borders import black_border, measure_recording
from depmm.multiple_testing import holm
from depmm.runs.contents import read_run
from depmm.runs.folder import RunFolder
from depmm.schemas.manifest import STEPS

EVIL = '<script>alert("1")</script>&'
ROOT = Path(__file__).parents[2]


def make(rows: list[dict], corpus: str = "toy", steps: int = 2) -> Manifest:
    """A manifest; each row says what differs from an unlabelled session ``<subject>-1``."""
    base = dict.fromkeys(("instrument", "score", "label", "split", "gender", "age"))
    sessions = pd.DataFrame(
        [{"corpus": corpus, **base, "session": f"{row['subject']}-1", **row} for row in rows]
    )
    return build_manifest(sessions, steps_of(sessions, steps))


def steps_of(sessions: pd.DataFrame, number: int = 2) -> pd.DataFrame:
    """Steps of a second each, in one sound file a session."""
    return pd.DataFrame(
        [
            {**key, "step": step, "start_s": float(step), "end_s": step + 1.0,
             "audio": f"{key['session']}.wav", "face_aligned": False}
            for key in sessions[["corpus", "subject", "session"]].to_dict("records")
            for step in range(number)
        ],
        columns=STEPS.names,
    )  # fmt: skip


def balanced(people: int = 16, corpus: str = "toy") -> Manifest:
    """People with alternating label, gender in pairs, one session each: nothing to find."""
    return make(
        [
            {
                "subject": f"P{k:02}", "instrument": "BDI-II", "label": k % 2,
                "score": 20.0 if k % 2 else 5.0, "gender": "female" if k // 2 % 2 else "male",
                "split": ("train", "validation", "test", "train")[k * 4 // people],
            }
            for k in range(people)
        ],
        corpus,
    )  # fmt: skip


def audit(manifest: Manifest, allow: tuple[str, ...] = (), **inputs) -> Audit:
    return audit_manifest(AuditInput(manifest, **inputs), allow)


def only(manifest: Manifest, name: str, **inputs) -> Finding:
    """The one finding of a name."""
    found = [f for f in audit(manifest, **inputs).findings if f.name == name]
    assert len(found) == 1, found
    assert found[0].remedy
    return found[0]


def test_a_clean_manifest_passes_with_information_only():
    files = RecordingStatistics(black_border={("toy", f"P{k:02}-1.wav"): 0.0 for k in range(16)})
    manifest = balanced()
    manifest.steps["face"] = manifest.steps["audio"]
    result = audit(manifest, recordings=files, index_reports=(report(),))
    assert result.passed
    assert {finding.severity for finding in result.findings} == {"info"}
    assert {f.name for f in result.findings} == {one.name for one in shortcuts.SHORTCUTS}
    assert result.not_checked == ()
    assert result.verdict.startswith("PASS: nothing was found")


# ---- people and splits -------------------------------------------------------------------------


def test_people_in_two_official_splits_are_named():
    manifest = balanced()
    extra = manifest.sessions.iloc[[0, 5]].assign(session=["x", "y"], split=["test", "validation"])
    both = build_manifest(
        pd.concat([manifest.sessions, extra]), pd.concat([manifest.steps, steps_of(extra)])
    )
    finding = only(both, "split_overlap")
    assert finding.severity == "error"
    assert finding.subjects == (("toy", "P00"),)  # P05 has both sessions in validation
    assert "1 of 16 people" in finding.message
    assert "1 of 5 test people" in finding.message
    assert "toy/P00 (test and train)" in finding.message
    assert audit(both).findings[0] == finding


def test_the_official_split_of_avec2014_fails_and_names_17_of_42():
    """150 sessions of 83 people, 50 in each part; 42 people are tested, 17 of them also trained."""
    tested = [f"{number}" for number in range(300, 342)]
    others = [f"{number}" for number in range(200, 241)]
    parts = {
        "test": tested + tested[:8],
        "train": [*tested[:17], *others[:33]],
        "validation": [*others[33:], *others[:33], *others[33:], "200"],
    }
    rows = [
        {
            "subject": subject, "session": f"{subject}_{split}_{k}", "split": split,
            "instrument": "BDI-II", "label": k % 2, "score": 30.0 * (k % 2),
        }
        for split, people in parts.items()
        for k, subject in enumerate(people)
    ]  # fmt: skip
    manifest = make(rows, "avec2014")
    assert manifest.sessions["split"].value_counts().to_dict() == dict.fromkeys(parts, 50)
    assert manifest.sessions["subject"].nunique() == 83
    result = audit(manifest)
    finding = next(f for f in result.findings if f.name == "split_overlap")
    assert not result.passed
    assert "(17 of 42 test people are also in train or validation)" in finding.message
    assert {("avec2014", subject) for subject in tested[:17]} <= set(finding.subjects)
    assert not {("avec2014", subject) for subject in tested[17:]} & set(finding.subjects)


def test_a_class_missing_in_a_split():
    manifest = balanced()
    is_test = manifest.sessions["split"] == "test"
    manifest.sessions.loc[is_test, ["label", "score"]] = [0, 5.0]
    finding = only(manifest, "missing_class")
    assert finding.severity == "error"
    assert "test has 4 labelled sessions, none of class 1" in finding.message


def test_balance_counts_people_and_sessions_by_split():
    manifest = balanced(8)
    more = manifest.sessions.iloc[[0, 0]].assign(session=["a", "b"], label=[1, None], split=None)
    both = build_manifest(
        pd.concat([manifest.sessions, more]), pd.concat([manifest.steps, steps_of(more)])
    )
    rows = {row["split"]: row for row in audit(both).balance}
    assert list(rows) == ["train", "validation", "test", "none"]
    assert [rows["train"][f"subjects_{name}"] for name in ("positive", "negative")] == [2, 2]
    assert rows["none"] == {
        "corpus": "toy", "split": "none",
        "subjects_positive": 1, "subjects_negative": 0, "subjects_unlabelled": 0,
        "sessions_positive": 1, "sessions_negative": 0, "sessions_unlabelled": 1,
    }  # fmt: skip


# ---- corpora that share people -----------------------------------------------------------------


def numbered(corpus: str, sides: dict[str, str | None]) -> Manifest:
    return make([{"subject": name, "split": side} for name, side in sides.items()], corpus)


def test_daic_woz_inside_edaic_on_another_side_fails_and_names_the_people():
    daic = numbered("daic_woz", {"300": "test", "301": "train", "302": "test"})
    edaic = numbered("edaic", {"300_P": "train", "301_P": "train", "302_P": "test", "600_P": None})
    finding = only(concat_manifests([daic, edaic]), "related_corpora")
    assert finding.severity == "error"
    assert "3 subjects have the same id in both. 1 of them" in finding.message
    assert "300 (daic_woz: test, edaic: train)" in finding.message
    assert "301 (" not in finding.message
    assert finding.subjects == (("daic_woz", "300"), ("edaic", "300_P"))


def test_people_without_split_would_be_parted_by_a_new_one():
    one = numbered("avec2013", {"203": None, "205": "test"})
    two = numbered("avec2014", {"203": None, "205": "test"})
    finding = only(concat_manifests([one, two]), "related_corpora")
    assert finding.severity == "error"
    assert "203 (avec2013: no official split, avec2014: no official split)" in finding.message
    assert "205 (" not in finding.message


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ("avec2014", "avec2013", "nearly the same sessions. 1 subjects have the same id"),
        ("mpdd_2025", "mpdd_2026", "not known whether"),
        ("ewre", "ewre_raw", "one experiment"),
    ],
)
def test_related_corpora_without_a_parted_person_are_a_warning(first, second, words):
    pair = [numbered(corpus, {"7": "train"}) for corpus in (first, second)]
    finding = only(concat_manifests(pair), "related_corpora")
    assert finding.severity == "warning"
    assert words in finding.message
    assert "neither is an external test of the other" in finding.remedy


def test_unrelated_corpora_with_equal_ids_are_no_finding():
    pair = [
        numbered(corpus, {"7": side}) for corpus, side in (("modma", "train"), ("eatd", "test"))
    ]
    assert audit(concat_manifests(pair)).findings == ()


def test_corpora_without_person_ids_cannot_prove_disjoint_people():
    finding = only(numbered("dvlog", {"0": "train", "1": "test"}), "missing_subject_ids")
    assert finding.severity == "warning"
    assert "cannot be proved" in finding.message
    joined = make([{"subject": "0"}, {"subject": "0", "session": "0-2"}], "lmvd")
    assert audit(joined).findings == ()
    assert audit(numbered("daic_woz", {"300": "train", "301": "test"})).findings == ()


# ---- labels ------------------------------------------------------------------------------------


def test_labels_are_compared_with_scores_at_the_cut_off_of_the_spec():
    manifest = balanced()
    manifest.sessions.loc[3, "label"] = 0
    finding = only(manifest, "label_score_mismatch")
    assert finding.severity == "error"
    assert finding.sessions == (("toy", "P03", "P03-1"),)
    assert "BDI-II 20, cut-off 14, label 0" in finding.message
    manifest.sessions["cut_off"] = 20.0
    assert only(manifest, "label_score_mismatch").sessions == (("toy", "P03", "P03-1"),)
    manifest.sessions["cut_off"] = 21.0
    assert len(only(manifest, "label_score_mismatch").sessions) == 7


@pytest.mark.parametrize(
    ("corpus", "scores", "wrong"),
    [
        ("daic_woz", {"408": (0, 0), "409": (10, 0), "410": (12, 1), "411": (9, 0)}, ["409"]),
        ("edaic", {"300": (2, 1), "301": (10, 1), "302": (17, 0), "303": (9, 0)}, ["300", "302"]),
    ],
)
def test_delivered_classes_that_contradict_the_phq_8(corpus, scores, wrong):
    rows = [
        {"subject": name, "instrument": "PHQ-8", "score": float(score), "label": label}
        for name, (score, label) in scores.items()
    ]
    result = audit(make(rows, corpus))
    (finding,) = [f for f in result.findings if f.name == "label_score_mismatch"]
    assert not result.passed
    assert [subject for _, subject, _ in finding.sessions] == wrong


def test_unusual_and_different_cut_offs_are_a_warning():
    assert not [f for f in audit(balanced()).findings if f.name == "cut_off_mismatch"]
    manifest = balanced()
    manifest.sessions["cut_off"] = 20.0
    assert "at 20 (toy); the usual cut-off is 14" in only(manifest, "cut_off_mismatch").message
    both = concat_manifests([manifest, balanced(corpus="other")])
    finding = only(both, "cut_off_mismatch")
    assert finding.severity == "warning"
    assert "at 14 (other) and at 20 (toy)" in finding.message


def test_repeated_rows():
    manifest = balanced()
    double = Manifest(manifest.sessions, pd.concat([manifest.steps, manifest.steps.iloc[[4]]]))
    messages = [f.message for f in audit(double).findings if f.severity == "error"]
    assert len(messages) == 2
    assert all("toy/P02/P02-1" in message for message in messages)
    manifest.steps.loc[1, ["start_s", "end_s"]] = [0.0, 1.0]
    assert "same time in the same file" in only(manifest, "duplicate_rows").message


# ---- files -------------------------------------------------------------------------------------


def test_a_file_of_two_people_but_not_steps_of_one_session():
    manifest = balanced()
    manifest.steps.loc[manifest.steps["subject"] == "P03", "audio"] = "P02-1.wav"
    finding = only(manifest, "shared_files")
    assert finding.severity == "error"
    assert finding.subjects == (("toy", "P02"), ("toy", "P03"))
    assert "P02-1.wav by P02/P02-1 and P03/P03-1" in finding.message
    assert "1 of them to several people" in finding.message


def test_a_file_of_two_sessions_of_one_person_also_across_modalities():
    manifest = make([{"subject": "01", "session": "a"}, {"subject": "01", "session": "b"}])
    manifest.steps.loc[manifest.steps["session"] == "b", "face"] = "a.wav"
    finding = only(manifest, "shared_files")
    assert finding.sessions == (("toy", "01", "a"), ("toy", "01", "b"))
    assert "0 of them to several people" in finding.message


def sized(path: Path, as_video: bool) -> tuple[float | None, float | None]:
    """Look at a text as if it were a recording of a second for each letter."""
    text = path.read_text()
    if text == "broken":
        raise ValueError(f"{path.name}: is broken")
    return float(len(text)), 0.25 if as_video else None


def lay_out(root: Path, manifest: Manifest, **texts: str) -> Path:
    root.mkdir(exist_ok=True)
    for name in manifest.steps["audio"].unique():
        (root / name).write_text(name)
    for name, text in texts.items():
        (root / f"{name}-1.wav").write_text(text)
    return root


def test_same_content_under_two_names(tmp_path):
    manifest = balanced()
    root = lay_out(tmp_path, manifest, P02="same", P05="same", P06="emas")
    files = compute_recording_statistics([(manifest, root)], sized)
    assert files.duplicates == ((("toy", "P02-1.wav"), ("toy", "P05-1.wav")),)
    finding = only(manifest, "duplicate_files", recordings=files)
    assert finding.severity == "error"
    assert finding.subjects == (("toy", "P02"), ("toy", "P05"))
    assert "toy/P02-1.wav = toy/P05-1.wav" in finding.message
    assert "1 of them for several people" in finding.message


def test_copies_within_a_session_are_no_leak(tmp_path):
    manifest = balanced()
    manifest.steps["face"] = manifest.steps["audio"].str.replace("wav", "mp4")
    root = lay_out(tmp_path, manifest)
    for name in manifest.steps["face"].unique():
        (root / name).write_text(name.replace("mp4", "wav"))
    files = compute_recording_statistics([(manifest, root)], sized)
    assert len(files.duplicates) == 16
    assert audit(manifest, recordings=files).passed
    assert files.duration_s["toy", "P00-1.mp4"] == len("P00-1.wav")
    assert set(files.black_border) == {("toy", name) for name in manifest.steps["face"]}


def test_files_of_features_are_compared_but_not_decoded(tmp_path):
    recorded = balanced()
    features = pd.DataFrame(
        [
            {**key, "name": "landmarks", "modality": "face", "path": f"{key['session']}.npy",
             "reader": "{}"}
            for key in recorded.steps[["corpus", "subject", "session", "step"]].to_dict("records")
        ]
    )  # fmt: skip
    manifest = Manifest(
        recorded.sessions, recorded.steps.assign(audio=None, end_s=np.nan), features
    )
    for name in features["path"].unique():
        (tmp_path / name).write_text("same" if name[:3] in ("P02", "P05") else f"x{name}")
    (tmp_path / "P07-1.npy").unlink()

    def refuse(path: Path, as_video: bool) -> tuple[None, None]:
        raise AssertionError(f"{path} is no recording")

    files = compute_recording_statistics([(manifest, tmp_path)], refuse)
    assert only(manifest, "missing_files", recordings=files).files == (("toy", "P07-1.npy"),)
    finding = only(manifest, "duplicate_files", recordings=files)
    assert finding.subjects == (("toy", "P02"), ("toy", "P05"))
    features.loc[features["subject"] == "P03", "path"] = "P04-1.npy"
    assert only(manifest, "shared_files").subjects == (("toy", "P03"), ("toy", "P04"))


def test_the_same_recording_in_two_corpora(tmp_path):
    one, two = balanced(corpus="one"), balanced(corpus="two")
    roots = [lay_out(tmp_path / "one", one, P02="same"), lay_out(tmp_path / "two", two, P05="same")]
    for name in two.steps["audio"].unique():
        if "P05" not in name:
            (roots[1] / name).write_text("two " + name)
    files = compute_recording_statistics(list(zip((one, two), roots, strict=True)), sized)
    finding = only(concat_manifests([one, two]), "duplicate_files", recordings=files)
    assert finding.subjects == (("one", "P02"), ("two", "P05"))


def test_missing_empty_and_broken_files(tmp_path):
    manifest = balanced()
    root = lay_out(tmp_path, manifest, P03="", P04="broken")
    (root / "P01-1.wav").unlink()
    files = compute_recording_statistics([(manifest, root)], sized)
    finding = only(manifest, "missing_files", recordings=files)
    assert finding.severity == "error"
    assert finding.files == (("toy", "P01-1.wav"), ("toy", "P03-1.wav"))
    assert finding.sessions == (("toy", "P01", "P01-1"), ("toy", "P03", "P03-1"))
    finding = only(manifest, "unreadable_files", recordings=files)
    assert finding.severity == "warning"
    assert "1 files cannot be decoded: P04-1.wav: is broken" in finding.message
    (tmp_path / "other").mkdir()
    with pytest.raises(ManifestError, match=r"holds none of 16 files .* example P00-1\.wav"):
        compute_recording_statistics([(manifest, tmp_path / "other")], sized)


def test_black_borders_of_frames():
    frame = np.full((100, 200, 3), 5, np.uint8)  # black as compression leaves it
    assert black_border(frame) == 1
    frame[20:70, 40:140] = 90
    assert black_border(frame) == pytest.approx(1 - 50 * 100 / 20_000)
    frame[0, 0] = 255  # a speck is no picture
    assert black_border(frame) == pytest.approx(0.75)
    assert black_border(np.full((4, 4, 3), 200, np.uint8)) == 0


def test_a_video_is_looked_at_where_it_is_lit(tmp_path):
    path = write_video(tmp_path / "v.mp4")  # its first frame of a second is black
    duration_s, border = measure_recording(path, True)
    assert duration_s == pytest.approx(2, abs=0.1)
    assert border == 0
    assert measure_recording(path, False)[1] is None
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match="cannot be opened"):
        measure_recording(path, True)


def report(**lists) -> IndexReport:
    counts = dict.fromkeys(("subjects", "sessions", "steps"), 0)
    empty = {"missing": (), "unused": (), "superseded": (("a", "b"),), "excluded": ()}
    patterns = (PatternCount("{subject}.wav", "audio", False, 3),)
    return IndexReport(
        corpus="toy", patterns=patterns, unrelated_folders={"x": 1}, ignored=0, hidden=0,
        counts=counts, **{**empty, **lists},
    )  # fmt: skip


def test_the_index_report_is_taken_up():
    missing = (
        *(Missing("file", f"f{k}.wav", "is gone") for k in range(12)),
        Missing("row", "S9.wav", "no row in labels.csv"),
    )
    reports = (report(missing=missing, unused=("notes.txt",)),)
    finding = only(balanced(), "incomplete_corpus", index_reports=reports)
    assert finding.severity == "warning"
    assert "13 things that the spec promises are missing (12 file, 1 row)" in finding.message
    assert "f0.wav: is gone" in finding.message
    assert finding.message.endswith("and 3 more")
    finding = only(balanced(), "unmatched_files", index_reports=reports)
    assert (finding.severity, finding.files) == ("warning", (("toy", "notes.txt"),))
    assert IndexReport.from_json(reports[0].to_json()) == reports[0]
    with pytest.raises(ValueError, match="Index the corpus again"):
        IndexReport.from_json('{"patterns": []}')


# ---- shortcuts ---------------------------------------------------------------------------------


def test_gender():
    manifest = balanced(24)
    # of 12 women 10 positive, of 12 men 2: phi = (10 * 10 - 2 * 2) / 144
    gender = ["female" if label else "male" for label in manifest.sessions["label"]]
    gender[:4] = "female", "male", "female", "male"
    manifest.sessions["gender"] = gender
    finding = only(manifest, "gender_shortcut")
    assert finding.severity == "warning"
    assert finding.effect_size == pytest.approx(2 / 3)
    assert finding.p_value == pytest.approx(2 * (66 * 66 + 12 * 12 + 1) / 2704156)  # Fisher by hand
    assert finding.p_adjusted == pytest.approx(5 * finding.p_value)  # the smallest of five
    assert "10 of 12 women and 2 of 12 men" in finding.message


def test_number_of_steps_and_their_duration():
    manifest = balanced()
    negative = manifest.sessions.loc[manifest.sessions["label"] == 0, "subject"]
    cut = (manifest.steps["step"] == 1) & manifest.steps["subject"].isin(negative)
    shorter = Manifest(manifest.sessions, manifest.steps[~cut])
    for name, words in (("step_count", "2 steps"), ("duration", "2 seconds")):
        finding = only(shorter, f"{name}_shortcut")
        assert finding.severity == "error"
        assert finding.effect_size == pytest.approx(1.0)
        assert f"median of {words} a session in 8 positive people, 1 in 8" in finding.message
        assert only(manifest, f"{name}_shortcut").effect_size == pytest.approx(0, abs=1e-9)
    assert not audit(shorter).passed


def test_duration_of_whole_files_comes_from_the_recordings(tmp_path):
    manifest = balanced()
    manifest.steps["end_s"] = np.nan
    result = audit(manifest)
    assert "duration_shortcut" not in [f.name for f in result.findings]
    assert result.not_checked[0][0] == "duration_shortcut"
    assert "give --root" in result.not_checked[0][1]
    lengths = {f"P{k:02}": "x" * (10 + (k % 2) * 5) + f"{k:02}" for k in range(16)}
    files = compute_recording_statistics(
        [(manifest, lay_out(tmp_path, manifest, **lengths))], sized
    )
    finding = only(manifest, "duration_shortcut", recordings=files)
    assert finding.effect_size == pytest.approx(1.0)
    # a file of 17 s: its two steps last from second 0 and 1 to the end
    assert "median of 33 seconds a session in 8 positive people, 23 in 8" in finding.message


def labelled(labels: list[int]) -> Manifest:
    return make(
        [{"subject": f"V{k}", "label": y, "instrument": "group"} for k, y in enumerate(labels, 1)],
        steps=1,
    )


def test_label_as_order_of_the_files():
    manifest = labelled([1] * 12 + [0] * 12)
    finding = only(manifest, "id_order_shortcut")  # V2 comes before V10
    assert (finding.severity, finding.effect_size) == ("error", pytest.approx(-1.0))
    assert "place 6.5 of 24 in order of the ids in 12 positive people, 18.5" in finding.message
    mixed = np.random.default_rng(0).permutation([0, 1] * 12).tolist()
    assert audit(labelled(mixed)).passed


def test_label_in_blocks_of_files_that_order_alone_does_not_show():
    """As in LMVD: the label neither rises nor falls with the index, and yet follows from it."""
    manifest = labelled([1] * 15 + [0] * 15 + [0] * 15 + [1] * 15)
    assert only(manifest, "id_order_shortcut").effect_size == pytest.approx(0, abs=1e-9)
    finding = only(manifest, "id_runs_shortcut")
    assert finding.severity == "error"
    assert finding.effect_size == pytest.approx((31 - 3) / (31 - 2))
    assert "the 60 people form 3 blocks of one label, 31.0 are expected" in finding.message


def test_exact_runs_test_against_all_orders():
    for positive, negative in ((3, 5), (4, 4), (1, 6)):
        labels = [1] * positive + [0] * negative
        orders = set(itertools.permutations(labels))
        runs = [1 + sum(a != b for a, b in itertools.pairwise(order)) for order in orders]
        for most in range(2, max(runs) + 1):
            expected = sum(number <= most for number in runs) / len(orders)
            assert shortcuts._fewer_runs(most, positive, negative) == pytest.approx(expected)


def test_black_borders():
    manifest = balanced()
    manifest.steps["face"] = manifest.steps["audio"]
    borders = {("toy", f"P{k:02}-1.wav"): 0.2 * (k % 2) for k in range(16)}
    finding = only(
        manifest, "black_border_shortcut", recordings=RecordingStatistics(black_border=borders)
    )
    assert (finding.severity, finding.effect_size) == ("error", pytest.approx(1.0))
    assert "20 per cent of the picture as black border" in finding.message


def test_people_not_sessions_are_the_unit():
    manifest = balanced(4)
    sessions = pd.concat(
        [manifest.sessions.assign(session=lambda t, k=k: t["session"] + f"-{k}") for k in range(20)]
    )
    sessions["gender"] = np.where(sessions["label"] == 1, "female", "male")
    finding = only(build_manifest(sessions, steps_of(sessions)), "gender_shortcut")
    assert finding.effect_size == pytest.approx(1.0)
    assert finding.severity == "info"  # 4 people prove nothing, 80 sessions of theirs do not either
    assert finding.p_value == pytest.approx(1 / 3)


@pytest.mark.slow
def test_a_warning_is_honest():
    """Of 200 groups of people without any shortcut, few are warned of after all the tests."""
    rng = np.random.default_rng(0)
    alarms = {"raw": 0, "corrected": 0}
    for _ in range(200):
        people = pd.DataFrame(
            {
                "label": rng.permutation([0, 1] * 15),
                "gender": rng.choice(["female", "male"], 30),
                **{name: rng.normal(size=30) for name in ("steps", "seconds", "black_border")},
            }
        )
        found = [one.measure(people) for one in shortcuts.SHORTCUTS]
        p_values = [one.p_value for one in found]
        alarms["raw"] += min(p_values) < shortcuts.ALPHA
        alarms["corrected"] += min(holm(p_values)) < shortcuts.ALPHA
    assert alarms["corrected"] <= 16  # 10 are expected at most, with a standard deviation of 3
    assert alarms["raw"] > 30


# ---- what may be allowed, and what is written --------------------------------------------------


def test_an_error_that_is_allowed_stays_visible():
    manifest = labelled([1] * 12 + [0] * 12)
    result = audit(manifest, allow=("id_order_shortcut",))
    assert not result.passed  # the blocks are an error of their own
    allow = ("id_order_shortcut", "id_runs_shortcut", "gender_shortcut")
    result = audit(manifest, allow=allow)
    assert result.passed
    assert "2 allowed by name" in result.verdict
    assert [f.severity for f in result.findings][:2] == ["allowed", "allowed"]
    assert result.allow == allow
    assert "allowed  id_order_shortcut" in format_audit(result)


def test_names_to_allow_are_those_of_the_findings():
    with pytest.raises(ValueError, match="Did you mean 'split_overlap'") as caught:
        audit(balanced(), allow=("split_overlaps",))
    assert str(caught.value).startswith("--allow split_overlaps: no finding has this name")
    assert len(set(NAMES)) == len(NAMES) == 20
    assert set(NAMES) >= {one.name for one in shortcuts.SHORTCUTS}


class Page(HTMLParser):
    """Tags and text of a page."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text += data


def test_page_and_file_say_the_same_and_escape_everything(tmp_path):
    manifest = balanced()
    manifest.sessions.loc[3, "label"] = 0
    write_manifest(manifest, tmp_path / "m")
    evil = Manifest(
        manifest.sessions.replace({"P03": f"P03{EVIL}", "toy": f"toy{EVIL}"}),
        manifest.steps.replace({"P03": f"P03{EVIL}", "toy": f"toy{EVIL}"}),
    )
    result = audit(evil, allow=("unmatched_files",), index_reports=(report(unused=(EVIL,)),))
    write_audit(result, tmp_path / "out", [tmp_path / "m"])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "audit.html",
        "audit.json",
    ]
    content = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert (content["schema_version"], content["passed"]) == (1, False)
    assert content["allow"] == ["unmatched_files"]
    first = content["findings"][0]
    assert (first["name"], first["severity"]) == ("label_score_mismatch", "error")
    assert first["sessions"] == [[f"toy{EVIL}", f"P03{EVIL}", "P03-1"]]
    assert content["balance"] == list(result.balance)
    html = (tmp_path / "out" / "audit.html").read_text()
    page = Page(html)
    assert result.verdict in page.text
    assert result.verdict.startswith("FAIL: 1 finding makes")
    for finding in content["findings"]:
        assert finding["message"] in page.text
        if finding["effect_size"] is not None:
            shown = f"{finding['effect_size']:+.2f}".replace("-", "\N{MINUS SIGN}")
            assert shown in page.text
    assert "Not checked:" in page.text
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert not re.search(r"https?:|@import|url\(", html)


def test_nothing_found_is_said():
    result = audit(make([{"subject": "1"}]))
    assert result.findings == ()
    assert format_audit(result).splitlines()[0].startswith("PASS")
    assert "no session has a label" in format_audit(result)


# ---- the command, and what a run keeps ---------------------------------------------------------


@pytest.fixture
def command(depmm) -> Callable[..., tuple[int, str, str]]:
    """Run ``depmm audit`` in this process: exit status, output, errors."""
    return partial(depmm, "audit")


def test_recordings_are_looked_at_on_request(corpus, tmp_path, command):
    folder = tmp_path / "manifest"
    shutil.copytree(corpus.folder, folder)
    code, out, _ = command(folder, "--root", corpus.recordings)
    assert code == 0
    assert "not checked" not in out.replace("not checked: incomplete_corpus", "")
    assert "black_border_shortcut" in out
    recordings = tmp_path / "recordings"
    shutil.copytree(corpus.recordings, recordings)
    videos = sorted((recordings / "videos").iterdir())
    shutil.copy(videos[0], videos[3])
    videos[5].unlink()
    code, out, _ = command(folder, "--root", recordings)
    assert code == 1
    assert out.startswith("FAIL: 2 findings")
    assert "duplicate_files: 1 recordings" in out
    gone = f"ewre_simulated/videos/{videos[5].name}"
    assert f"missing_files: 1 files of the manifest are not there or empty: {gone}" in out


def test_several_manifests_have_one_report(tmp_path, command):
    sides = {"daic_woz": "test", "edaic": "train"}
    for name, side in sides.items():
        write_manifest(numbered(name, {"300": side}), tmp_path / name)
    code, out, _ = command(tmp_path / "daic_woz", tmp_path / "edaic", "--out", tmp_path / "both")
    assert code == 1
    assert "300 (daic_woz: test, edaic: train)" in out
    content = json.loads((tmp_path / "both" / "audit.json").read_text())
    assert [Path(entry["folder"]).name for entry in content["manifests"]] == list(sides)
    assert not (tmp_path / "edaic" / "audit.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("{one} {one}", "give its folder with --out FOLDER"),
        ("{one} --root a --root b", "--root is given 2 times for 1 manifests"),
        ("{one} --root {one}", "holds none of 1 files"),
        ("{one} --allow split_overlp", "Did you mean 'split_overlap'?"),
        ("{damaged}", "index.json: not a report of depmm index"),
    ],
)
def test_mistakes_are_messages(tmp_path, command, arguments, message):
    for name in ("one", "damaged"):
        write_manifest(numbered("toy", {"1": "train"}), tmp_path / name)
    (tmp_path / "damaged" / "index.json").write_text("{}")
    places = {name: tmp_path / name for name in ("one", "damaged")}
    code, _, err = command(*arguments.format(**places).split())
    assert code == 2
    assert message in err


def open_run(corpus, manifest: Path, out: Path) -> RunFolder:
    run = RunFolder(out)
    run.open(load_config(corpus.config, [f"data.manifest={manifest}"]))
    return run


def test_a_run_records_what_was_allowed(corpus, tmp_path, command):
    manifest = read_manifest(corpus.folder)
    manifest.sessions.loc[0, "label"] = 0  # with a score of 34
    write_manifest(manifest, tmp_path / "m")
    run = open_run(corpus, tmp_path / "m", tmp_path / "unaudited")
    assert json.loads(run.environment.read_text())["audit"] == "none: run depmm audit"
    assert not run.audit.exists()

    assert command(tmp_path / "m")[0] == 1
    run = open_run(corpus, tmp_path / "m", tmp_path / "failed")
    assert json.loads(run.environment.read_text())["audit"] == "failed: label_score_mismatch"

    assert command(tmp_path / "m", "--allow", "label_score_mismatch")[0] == 0
    run = open_run(corpus, tmp_path / "m", tmp_path / "allowed")
    assert (
        json.loads(run.environment.read_text())["audit"] == "passed; allowed: label_score_mismatch"
    )
    kept = run.audit.read_bytes()
    assert json.loads(kept)["allow"] == ["label_score_mismatch"]

    assert command(tmp_path / "m")[0] == 1
    open_run(corpus, tmp_path / "m", tmp_path / "allowed")  # goes on
    assert run.audit.read_bytes() == kept
    manifest.sessions.loc[1, "age"] = 30.0
    write_manifest(manifest, tmp_path / "m")
    assert find_current_audit(tmp_path / "m") == (
        None,
        "of an earlier manifest: run depmm audit again",
    )
    (tmp_path / "m" / "audit.json").write_text('{"schema_version": 9}')
    with pytest.raises(ManifestError, match="version 9 of the format"):
        find_current_audit(tmp_path / "m")


def test_the_report_of_a_run_shows_what_was_allowed(corpus, tmp_path, command):
    from depmm.evaluation.reports.report import write_report

    manifest = read_manifest(corpus.folder)
    manifest.sessions.loc[0, "label"] = 0
    write_manifest(manifest, tmp_path / "m")
    command(tmp_path / "m", "--allow", "label_score_mismatch")
    run = open_run(corpus, tmp_path / "m", tmp_path / "run")
    table = manifest.sessions[["corpus", "subject", "session", "split", "label"]]
    table = table.rename(columns={"label": "y_true"}).assign(fold=0, seed=0, y_prob=0.5)
    table.to_parquet(run.predictions)
    content = read_run(run.path)
    write_report(
        content.predictions,
        run.path,
        title="t",
        audit=content.audit,
        n_bootstrap=50,
        confidence=0.95,
    )
    page = Page((run.path / "report.html").read_text())
    assert (
        "found an error that was allowed (label_score_mismatch): 1 labels contradict" in page.text
    )
    assert "PASS: nothing was found" in page.text


# ---- real recordings ---------------------------------------------------------------------------


def test_real_recordings_are_whole_and_different(real_data):
    folder = real_data / "emodb_4emo"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    manifest, found = index_corpus(load_spec(ROOT / "data_specs" / "emodb.yaml"), folder)
    files = compute_recording_statistics([(manifest, folder)], measure_recording)
    assert (files.missing, files.unreadable, files.duplicates) == ((), {}, ())
    assert len(files.duration_s) == len(manifest.sessions)
    assert 1 < np.median(list(files.duration_s.values())) < 5
    result = audit(manifest, recordings=files, index_reports=(found,))
    assert result.passed
