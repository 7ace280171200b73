"""Checks of subjects and rows: overlap of official splits, and duplicate rows."""

import pandas as pd
from audit_manifests import (
    balanced_manifest,
    find_all,
    find_one,
    manifest_of,
    run_audit,
)
from corpus_samples import make_step_table

from depmm.audit.checks import FINDING_NAMES
from depmm.audit.shortcut_remedies import SHORTCUT_NAMES
from depmm.corpora.manifest import Manifest, build_manifest


def test_subjects_in_two_official_splits_are_named():
    manifest = balanced_manifest()
    extra = manifest.sessions.iloc[[0, 5]].assign(session=["x", "y"], split=["test", "validation"])
    both = build_manifest(
        pd.concat([manifest.sessions, extra]), pd.concat([manifest.steps, make_step_table(extra)])
    )
    finding = find_one(both, "split_overlap")
    assert finding.severity == "error"
    assert finding.subjects == (("toy", "P00"),)  # both sessions of P05 are in validation
    assert "1 of 16 subjects" in finding.message
    assert "1 of 5 test subjects" in finding.message
    assert "toy/P00 (test and train)" in finding.message
    assert run_audit(both).findings[0] == finding


def test_the_official_split_of_avec2014_has_17_of_42_test_subjects_in_training():
    """150 sessions of 83 subjects, 50 in each split."""
    tested = [f"{number}" for number in range(300, 342)]
    others = [f"{number}" for number in range(200, 241)]
    splits = {
        "test": tested + tested[:8],
        "train": [*tested[:17], *others[:33]],
        "validation": [*others[33:], *others[:33], *others[33:], "200"],
    }
    rows = [
        {
            "subject": subject, "session": f"{subject}_{split}_{k}", "split": split,
            "instrument": "BDI-II", "label": k % 2, "score": 30.0 * (k % 2),
        }
        for split, subjects in splits.items()
        for k, subject in enumerate(subjects)
    ]  # fmt: skip
    manifest = manifest_of(rows, "avec2014")
    assert manifest.sessions["split"].value_counts().to_dict() == dict.fromkeys(splits, 50)
    assert manifest.sessions["subject"].nunique() == 83
    assert not run_audit(manifest).passed
    finding = find_one(manifest, "split_overlap")
    assert "(17 of 42 test subjects" in finding.message
    assert {("avec2014", subject) for subject in tested[:17]} <= set(finding.subjects)
    assert not {("avec2014", subject) for subject in tested[17:]} & set(finding.subjects)


def test_repeated_rows_are_found_by_key_and_by_time_interval():
    manifest = balanced_manifest()
    double = Manifest(manifest.sessions, pd.concat([manifest.steps, manifest.steps.iloc[[4]]]))
    findings = [f for f in run_audit(double).findings if f.severity == "error"]
    assert [finding.name for finding in findings] == ["duplicate_rows"] * 2
    assert {finding.sessions for finding in findings} == {(("toy", "P02", "P02-1"),)}
    assert find_all(manifest, "duplicate_rows") == []
    manifest.steps.loc[1, ["start_s", "end_s"]] = [0.0, 1.0]
    assert find_one(manifest, "duplicate_rows").sessions == (("toy", "P00", "P00-1"),)


def test_names_of_findings_are_unique():
    assert len(set(FINDING_NAMES)) == len(FINDING_NAMES)
    assert set(FINDING_NAMES) >= set(SHORTCUT_NAMES)
