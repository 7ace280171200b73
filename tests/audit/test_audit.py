"""The audit of a manifest: severities, allowed findings, class counts and skipped checks."""

import numpy as np
import pandas as pd
import pytest
from audit_manifests import (
    balanced_manifest,
    index_report,
    labelled_manifest,
    manifest_of,
    run_audit,
)
from corpus_samples import make_step_table

from depmm.audit.audit import ClassCounts, format_audit
from depmm.audit.findings import AuditError, RecordingStatistics, recordings_table
from depmm.audit.identity.identity_checks import IDENTITY_NAMES
from depmm.audit.shortcut_remedies import SHORTCUT_NAMES
from depmm.corpora.manifest import build_manifest


def test_a_manifest_without_problems_passes():
    borders = {("toy", f"P{k:02}-1.wav"): {"black_border": 0.0} for k in range(16)}
    manifest = balanced_manifest()
    manifest.steps["face"] = manifest.steps["audio"]
    result = run_audit(
        manifest,
        recordings=RecordingStatistics(table=recordings_table(borders)),
        index_reports=(index_report(),),
    )
    assert result.passed
    assert {finding.severity for finding in result.findings} == {"info"}
    names = {finding.name for finding in result.findings}
    assert names >= {
        "gender_shortcut", "step_count_shortcut", "duration_shortcut", "id_order_shortcut",
        "id_runs_shortcut", "black_border_shortcut",
    }  # fmt: skip
    assert [entry.checks for entry in result.not_checked] == [IDENTITY_NAMES]
    assert result.verdict.startswith("PASS")


def test_class_counts_of_subjects_and_sessions_by_split():
    manifest = balanced_manifest(8)
    more = manifest.sessions.iloc[[0, 0]].assign(session=["a", "b"], label=[1, None], split=None)
    both = build_manifest(
        pd.concat([manifest.sessions, more]), pd.concat([manifest.steps, make_step_table(more)])
    )
    counts = {entry.split: entry for entry in run_audit(both).class_counts}
    assert list(counts) == ["train", "validation", "test", "none"]
    assert (counts["train"].subjects_positive, counts["train"].subjects_negative) == (2, 2)
    assert counts["none"] == ClassCounts(
        corpus="toy", split="none",
        subjects_positive=1, subjects_negative=0, subjects_unlabelled=0,
        sessions_positive=1, sessions_negative=0, sessions_unlabelled=1,
    )  # fmt: skip


def test_allowed_errors_are_kept_as_findings():
    manifest = labelled_manifest([1] * 12 + [0] * 12)
    assert not run_audit(manifest, allow=("id_order_shortcut",)).passed  # the runs are an error too
    allow = ("id_order_shortcut", "id_runs_shortcut", "gender_shortcut")
    result = run_audit(manifest, allow=allow)
    assert result.passed
    assert [finding.severity for finding in result.findings][:2] == ["allowed", "allowed"]
    assert result.allow == allow
    assert "allowed  id_order_shortcut" in format_audit(result)


def test_one_property_of_a_shortcut_can_be_allowed():
    manifest = balanced_manifest(40)
    sites = ["clinic" if label else "university" for label in manifest.sessions["label"]]
    manifest.sessions["site"], manifest.sessions["age"] = sites, 30.0 + np.arange(40) % 2 * 20
    allowed = run_audit(manifest, allow=("column_shortcut:column.age",))
    (site,) = (f for f in allowed.findings if f.property == "column.age")
    assert site.severity == "allowed"
    assert "site" in site.message  # has the same values for every subject
    assert allowed.passed


def test_an_allowed_property_without_a_finding_is_named():
    manifest = balanced_manifest(40)
    manifest.sessions["age"] = 30.0 + np.arange(40) % 2 * 20
    allow = ("column_shortcut:column.age", "column_shortcut:age", "column_shortcut:")
    lines = format_audit(run_audit(manifest, allow=allow)).splitlines()
    unused = [line.split()[3] for line in lines if line.startswith("not used")]
    assert unused == ["column_shortcut:age", "column_shortcut:"]


def test_associations_are_listed_and_the_others_counted():
    manifest = balanced_manifest(40)
    manifest.sessions["site"] = [f"s{label}" for label in manifest.sessions["label"]]
    lines = format_audit(run_audit(manifest)).splitlines()
    assert [line.split()[1] for line in lines if line.startswith("error")] == ["column_shortcut"]
    assert sum(line.startswith("info") for line in lines) == 1


def test_an_unknown_name_to_allow_is_an_error():
    with pytest.raises(AuditError) as info:
        run_audit(balanced_manifest(), allow=("split_overlaps",))
    assert (info.value.setting, info.value.value) == ("allow", "split_overlaps")
    assert "'split_overlap'" in info.value.remedy


def test_checks_without_input_are_listed():
    result = run_audit(manifest_of([{"subject": "1"}]))
    assert result.findings == ()
    skipped = {name for entry in result.not_checked for name in entry.checks}
    assert skipped == {
        "label_score_mismatch", "missing_class", *SHORTCUT_NAMES,
        "duplicate_files", "copied_recordings", "missing_files", "unreadable_files",
        "recording_warnings", "incomplete_corpus", "unmatched_files", *IDENTITY_NAMES,
    }  # fmt: skip
    lines = format_audit(result).splitlines()
    assert lines[0].startswith("PASS")
    assert len(lines) == 1 + len(result.not_checked)
