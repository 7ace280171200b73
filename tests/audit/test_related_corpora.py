"""Corpora that share subjects, and corpora without subject ids."""

import pandas as pd
import pytest
from audit_manifests import find_all, find_one, manifest_of, run_audit, split_manifest

from depmm.audit.related_corpora import shared_subjects
from depmm.corpora.manifest import concat_manifests


def test_daic_woz_subjects_in_another_split_of_edaic_are_an_error():
    daic = split_manifest("daic_woz", {"300": "test", "301": "train", "302": "test"})
    edaic = split_manifest(
        "edaic", {"300_P": "train", "301_P": "train", "302_P": "test", "600_P": None}
    )
    finding = find_one(concat_manifests([daic, edaic]), "related_corpora")
    assert finding.severity == "error"
    assert finding.subjects == (("daic_woz", "300"), ("edaic", "300_P"))
    assert "3 subjects" in finding.message
    assert "300 (daic_woz: test, edaic: train)" in finding.message
    assert "301 (" not in finding.message


def test_shared_subjects_without_official_split_are_an_error():
    one = split_manifest("avec2013", {"203": None, "205": "test"})
    two = split_manifest("avec2014", {"203": None, "205": "test"})
    finding = find_one(concat_manifests([one, two]), "related_corpora")
    assert finding.severity == "error"
    assert finding.subjects == (("avec2013", "203"), ("avec2014", "203"))


@pytest.mark.parametrize(
    ("first", "second", "same_ids"),
    [
        ("avec2014", "avec2013", True),
        ("mpdd_2025", "mpdd_2026", False),
        ("ewre", "ewre_raw", False),
    ],
)
def test_related_corpora_with_agreeing_splits_are_a_warning(first, second, same_ids):
    pair = [split_manifest(corpus, {"7": "train"}) for corpus in (first, second)]
    finding = find_one(concat_manifests(pair), "related_corpora")
    assert finding.severity == "warning"
    assert first in finding.message
    assert second in finding.message
    assert len(finding.subjects) == 2 * same_ids


def test_unrelated_corpora_with_equal_ids_have_no_finding():
    pair = [
        split_manifest(corpus, {"7": split})
        for corpus, split in (("modma", "train"), ("eatd", "test"))
    ]
    assert run_audit(concat_manifests(pair)).findings == ()


def test_corpora_without_subject_ids_are_a_warning_until_sessions_are_joined():
    dvlog = split_manifest("dvlog", {"0": "train", "1": "test"})
    assert find_one(dvlog, "missing_subject_ids").severity == "warning"
    joined = manifest_of([{"subject": "0"}, {"subject": "0", "session": "0-2"}], "lmvd")
    assert find_all(joined, "missing_subject_ids") == []
    daic = split_manifest("daic_woz", {"300": "train", "301": "test"})
    assert run_audit(daic).findings == ()


def test_shared_subjects_are_found_in_the_same_and_in_related_corpora():
    def table(*keys: tuple[str, str]) -> pd.DataFrame:
        return pd.DataFrame(keys, columns=["corpus", "subject"])

    subjects = table(("daic_woz", "300"), ("daic_woz", "301"), ("modma", "300"))
    others = table(("edaic", "0300_P"), ("daic_woz", "301"), ("eatd", "300"))
    shared = shared_subjects(subjects, others)
    assert shared.to_numpy().tolist() == [["daic_woz", "300"], ["daic_woz", "301"]]
