"""Shortcuts: effect sizes and p values by hand, and the rate of false warnings."""

import itertools
import time
from fractions import Fraction
from math import comb
from statistics import NormalDist

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

from depmm.audit import shortcuts
from depmm.audit.findings import AuditInput, RecordingStatistics, recordings_table
from depmm.corpora.manifest import Manifest, build_manifest
from depmm.multiple_testing import holm


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
    assert finding.p_adjusted == pytest.approx(5 * finding.p_value)  # the smallest of five
    assert "10 of 12 women and 2 of 12 men" in finding.message


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
    seconds = shortcuts.step_durations(AuditInput(manifest, statistics))
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


@pytest.mark.parametrize(("n_positive", "n_negative"), [(3, 5), (4, 4), (1, 6)])
def test_exact_runs_test_against_all_orders(n_positive, n_negative):
    labels = [1] * n_positive + [0] * n_negative
    orders = set(itertools.permutations(labels))
    runs = [1 + sum(a != b for a, b in itertools.pairwise(order)) for order in orders]
    for most in range(2, max(runs) + 1):
        expected = sum(count <= most for count in runs) / len(orders)
        computed = shortcuts._runs_p_value(most, n_positive, n_negative)
        assert computed == pytest.approx(expected)


def test_exact_runs_test_against_sums_of_integers():
    def probability(runs: int, n_positive: int, n_negative: int) -> float:
        orders = 0
        for count in range(2, runs + 1):
            first, second = (count + 1) // 2 - 1, count // 2 - 1
            orders += comb(n_positive - 1, first) * comb(n_negative - 1, second)
            orders += comb(n_positive - 1, second) * comb(n_negative - 1, first)
        return float(Fraction(orders, comb(n_positive + n_negative, n_positive)))

    for n_positive, n_negative in itertools.product((1, 2, 3, 7, 30, 200), (1, 5, 30, 150)):
        for runs in range(2, 2 * min(n_positive, n_negative) + 2):
            computed = shortcuts._runs_p_value(runs, n_positive, n_negative)
            expected = probability(runs, n_positive, n_negative)
            assert computed == pytest.approx(expected, rel=1e-10, abs=1e-300)


def test_the_runs_test_of_25_000_subjects_is_fast_and_symmetric():
    n = 12_500  # the number of runs is close to normal, with this mean and variance
    mean, variance = 1 + n, n * (n - 1) / (2 * n - 1)
    began = time.perf_counter()
    for z in (-3.0, -1.0, 0.0, 2.0):
        runs = round(mean + z * np.sqrt(variance))
        normal = NormalDist(mean, np.sqrt(variance)).cdf(runs + 0.5)
        assert shortcuts._runs_p_value(runs, n, n) == pytest.approx(normal, rel=0.01)
    assert shortcuts._runs_p_value(2 * n, n, n) == pytest.approx(1.0)
    assert shortcuts._runs_p_value(2, n, n) == 0  # 2 orders of 10^7,500
    assert time.perf_counter() - began < 5


def test_black_borders():
    manifest = balanced_manifest()
    manifest.steps["face"] = manifest.steps["audio"]
    borders = {("toy", f"P{k:02}-1.wav"): {"black_border": 0.2 * (k % 2)} for k in range(16)}
    statistics = RecordingStatistics(table=recordings_table(borders))
    finding = find_one(manifest, "black_border_shortcut", recordings=statistics)
    assert (finding.severity, finding.effect_size) == ("error", pytest.approx(1.0))
    assert "20 %" in finding.message


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
    for shortcut in shortcuts.SHORTCUTS:
        assert find_all(manifest, shortcut.name) == []


@pytest.mark.slow
def test_the_rate_of_false_warnings():
    """Of 200 samples without any shortcut, at most 5 % have a warning after adjustment."""
    rng = np.random.default_rng(0)
    warnings = {"raw": 0, "adjusted": 0}
    for _ in range(200):
        subjects = pd.DataFrame(
            {
                "label": rng.permutation([0, 1] * 15),
                "gender": rng.choice(["female", "male"], 30),
                **{name: rng.normal(size=30) for name in ("steps", "duration_s", "black_border")},
            }
        )
        results = [shortcut.test(subjects) for shortcut in shortcuts.SHORTCUTS]
        p_values = [result.p_value for result in results]
        warnings["raw"] += min(p_values) < shortcuts.ALPHA
        warnings["adjusted"] += min(holm(p_values)) < shortcuts.ALPHA
    assert warnings["adjusted"] <= 16  # 10 are expected at most, with a standard deviation of 3
    assert warnings["raw"] > 30
