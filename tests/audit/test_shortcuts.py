"""Shortcuts: findings about properties that predict the label."""

import numpy as np
import pandas as pd
import pytest
from audit_manifests import (
    balanced_manifest,
    find_all,
    find_one,
    labelled_manifest,
    run_audit,
)
from corpus_samples import make_step_table

from depmm.audit.findings import AuditInput, RecordingStatistics, recordings_table
from depmm.audit.session_properties import step_durations
from depmm.audit.shortcut_remedies import SHORTCUT_NAMES
from depmm.corpora.manifest import Manifest, build_manifest


def test_gender_is_tested_with_fishers_exact_test():
    manifest = balanced_manifest(24)
    # 10 of 12 women and 2 of 12 men are positive: phi = (10 * 10 - 2 * 2) / 144
    gender = ["female" if label else "male" for label in manifest.sessions["label"]]
    gender[:4] = "female", "male", "female", "male"
    manifest.sessions["gender"] = gender
    finding = find_one(manifest, "gender_shortcut")
    assert finding.severity == "warning"
    assert finding.effect_size == pytest.approx(2 / 3)
    assert finding.p_value == pytest.approx(2 * (66 * 66 + 12 * 12 + 1) / 2704156)
    assert finding.p_value < finding.p_adjusted < 0.05
    assert "female: 10 of 12" in finding.message
    assert "male: 2 of 12" in finding.message


@pytest.mark.parametrize("name", ["step_count_shortcut", "duration_shortcut"])
def test_number_and_duration_of_steps(name):
    manifest = balanced_manifest()
    assert find_one(manifest, name).effect_size == pytest.approx(0, abs=1e-9)
    negative = manifest.sessions.loc[manifest.sessions["label"] == 0, "subject"]
    removed = (manifest.steps["step"] == 1) & manifest.steps["subject"].isin(negative)
    shorter = Manifest(manifest.sessions, manifest.steps[~removed])
    finding = find_one(shorter, name)
    assert finding.severity == "error"
    assert finding.effect_size == pytest.approx(1.0)
    assert not run_audit(shorter).passed


def test_duration_of_whole_files_comes_from_the_recordings():
    manifest = balanced_manifest()
    manifest.steps["end_s"] = np.nan
    result = run_audit(manifest)
    assert "duration_shortcut" not in [finding.name for finding in result.findings]
    assert result.not_checked[0].checks == ("duration_shortcut",)
    durations = {("toy", f"P{k:02}-1.wav"): {"length_s": 12.0 + 5 * (k % 2)} for k in range(16)}
    statistics = RecordingStatistics(table=recordings_table(durations))
    finding = find_one(manifest, "duration_shortcut", recordings=statistics)
    assert finding.effect_size == pytest.approx(1.0)
    # the two steps of a file of 17 s start at 0 and 1 s and last to its end
    seconds = step_durations(AuditInput(manifest, statistics))
    assert seconds.iloc[:4].tolist() == [12.0, 11.0, 17.0, 16.0]


def test_labels_that_follow_the_order_of_the_ids():
    finding = find_one(labelled_manifest([1] * 12 + [0] * 12), "id_order_shortcut")
    # V2 comes before V10
    assert (finding.severity, finding.effect_size) == ("error", pytest.approx(-1.0))
    mixed = np.random.default_rng(0).permutation([0, 1] * 12).tolist()
    assert run_audit(labelled_manifest(mixed)).passed


def test_labels_in_runs_that_the_order_of_the_ids_does_not_show():
    """As in LMVD: the label neither rises nor falls with the id, but follows from it."""
    manifest = labelled_manifest([1] * 15 + [0] * 15 + [0] * 15 + [1] * 15)
    order = find_one(manifest, "id_order_shortcut")
    assert order.effect_size == pytest.approx(0, abs=1e-9)
    finding = find_one(manifest, "id_runs_shortcut")
    assert finding.severity == "error"
    assert finding.effect_size == pytest.approx((31 - 3) / (31 - 2))
    assert "60 subjects form 3 runs" in finding.message


def test_black_borders():
    manifest = balanced_manifest()
    manifest.steps["face"] = manifest.steps["audio"]
    borders = {("toy", f"P{k:02}-1.wav"): {"black_border": 0.2 * (k % 2)} for k in range(16)}
    statistics = RecordingStatistics(table=recordings_table(borders))
    finding = find_one(manifest, "black_border_shortcut", recordings=statistics)
    assert (finding.severity, finding.effect_size) == ("error", pytest.approx(1.0))
    assert "0.2 in 8 positive" in finding.message


def test_the_unit_of_the_tests_is_the_subject():
    manifest = balanced_manifest(4)
    sessions = pd.concat(
        [manifest.sessions.assign(session=lambda t, k=k: t["session"] + f"-{k}") for k in range(20)]
    )
    sessions["gender"] = np.where(sessions["label"] == 1, "female", "male")
    finding = find_one(build_manifest(sessions, make_step_table(sessions)), "gender_shortcut")
    assert finding.effect_size == pytest.approx(1.0)
    assert finding.severity == "info"  # not significant for 4 subjects with 80 sessions
    assert finding.p_value == pytest.approx(1 / 3)


def test_shortcuts_without_variation_of_the_label_are_not_tested():
    manifest = labelled_manifest([1] * 6)
    for name in SHORTCUT_NAMES:
        assert find_all(manifest, name) == []


def test_a_numeric_site_code_does_not_replace_the_test_of_the_site_name():
    """The score differs between sites, but neither rises nor falls with the number of the site."""
    manifest = labelled_manifest([pd.NA] * 60)
    site = np.arange(60) % 3
    rng = np.random.default_rng(0)
    manifest.sessions["score"] = np.array([5.0, 15.0, 5.0])[site] + rng.integers(-2, 3, 60)
    manifest.sessions["site_id"] = (site + 1).astype(str)  # before the name, and read as a number
    manifest.sessions["site_name"] = np.array(["Berlin", "Ulm", "Bonn"])[site]
    manifest.sessions["site_code"] = np.array(["B", "U", "N"])[site]
    found = {finding.property: finding for finding in find_all(manifest, "column_shortcut")}
    assert found.keys() == {"column.site_id", "column.site_name"}
    assert found["column.site_id"].severity == "info"
    assert found["column.site_name"].severity == "error"
    assert "column.site_code" in found["column.site_name"].message  # its test is the same
    assert not run_audit(manifest).passed
