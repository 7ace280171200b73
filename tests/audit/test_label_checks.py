"""Checks of labels against scores, cut-offs, original labels and splits."""

import pytest
from audit_manifests import balanced_manifest, find_all, find_one, manifest_of, run_audit

from depmm.corpora.manifest import concat_manifests


def test_labels_are_compared_with_scores_at_the_cut_off_of_the_spec():
    manifest = balanced_manifest()
    manifest.sessions.loc[3, "label"] = 0
    finding = find_one(manifest, "label_score_mismatch")
    assert finding.severity == "error"
    assert finding.sessions == (("toy", "P03", "P03-1"),)
    assert "1 of 16" in finding.message
    assert "BDI-II 20, cut-off 14, label 0" in finding.message
    manifest.sessions["cut_off"] = 20.0
    assert find_one(manifest, "label_score_mismatch").sessions == (("toy", "P03", "P03-1"),)
    manifest.sessions["cut_off"] = 21.0
    assert len(find_one(manifest, "label_score_mismatch").sessions) == 7


@pytest.mark.parametrize(
    ("corpus", "scores", "wrong"),
    [
        ("daic_woz", {"408": (0, 0), "409": (10, 0), "410": (12, 1), "411": (9, 0)}, ["409"]),
        ("edaic", {"300": (2, 1), "301": (10, 1), "302": (17, 0), "303": (9, 0)}, ["300", "302"]),
    ],
)
def test_published_labels_that_contradict_the_phq_8_are_found(corpus, scores, wrong):
    rows = [
        {"subject": name, "instrument": "PHQ-8", "score": float(score), "label": label}
        for name, (score, label) in scores.items()
    ]
    manifest = manifest_of(rows, corpus)
    assert not run_audit(manifest).passed
    finding = find_one(manifest, "label_score_mismatch")
    assert [subject for _, subject, _ in finding.sessions] == wrong


def test_original_labels_that_contradict_the_score_are_a_warning():
    manifest = balanced_manifest()
    manifest.sessions["original_label"] = manifest.sessions["label"]
    assert find_all(manifest, "original_label_mismatch") == []
    manifest.sessions.loc[[2, 3], "original_label"] = [1, None]
    finding = find_one(manifest, "original_label_mismatch")
    assert finding.severity == "warning"
    assert finding.sessions == (("toy", "P02", "P02-1"),)
    assert "1 of 15" in finding.message


def test_unusual_and_different_cut_offs_are_a_warning():
    assert find_all(balanced_manifest(), "cut_off_mismatch") == []
    manifest = balanced_manifest()
    manifest.sessions["cut_off"] = 20.0
    finding = find_one(manifest, "cut_off_mismatch")
    assert len(finding.sessions) == 16
    assert "20 (toy)" in finding.message
    assert "is 14" in finding.message
    both = concat_manifests([manifest, balanced_manifest(corpus="other")])
    finding = find_one(both, "cut_off_mismatch")
    assert finding.severity == "warning"
    assert "14 (other) and 20 (toy)" in finding.message


def test_a_class_missing_in_a_split_is_an_error():
    manifest = balanced_manifest()
    is_test = manifest.sessions["split"] == "test"
    manifest.sessions.loc[is_test, ["label", "score"]] = [0, 5.0]
    finding = find_one(manifest, "missing_class")
    assert finding.severity == "error"
    assert finding.subjects == tuple(("toy", f"P{k:02}") for k in range(8, 12))
