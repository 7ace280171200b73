"""Corpora whose subjects with equal numbers look like the same subjects."""

import numpy as np
import pandas as pd
import pytest
from audit_manifests import find_all, find_one, manifest_of

from depmm.audit.same_subjects import compare_values
from depmm.corpora.corpus_facts import CorpusFacts, RelatedCorpus
from depmm.corpora.manifest import Manifest, concat_manifests


def subjects(scores: list[float], **columns: object) -> pd.DataFrame:
    return pd.DataFrame({"score": scores, "age": np.nan, "label": np.nan, "gender": None} | columns)


def pair_of(n_subjects: int, same: bool) -> Manifest:
    manifests = []
    for corpus in ("one", "two"):
        rng = np.random.default_rng(0 if same or corpus == "one" else 1)
        scores, ages = rng.integers(0, 40, n_subjects), rng.integers(18, 60, n_subjects)
        rows = [
            {"subject": f"{k:03d}", "score": score, "age": age, "label": int(score > 13)}
            | {"instrument": "BDI-II"}
            for k, (score, age) in enumerate(zip(scores.tolist(), ages.tolist(), strict=True))
        ]
        manifests.append(manifest_of(rows, corpus))
    return concat_manifests(manifests)


def test_the_p_value_is_that_of_all_permutations():
    scores = subjects([2.0, 4.0, 1.0, 3.0])
    n_equal, p_value, expected = compare_values(scores, scores)
    assert n_equal == 4
    assert p_value == pytest.approx(1 / 24, abs=0.02)  # one of 4! orders
    assert expected == pytest.approx(1.0, abs=0.3)  # fixed points of a random permutation


def test_subjects_are_exchanged_within_label_and_gender_only():
    by_label = subjects([5.0] * 8 + [20.0] * 8, label=[0.0] * 8 + [1.0] * 8)
    assert compare_values(by_label, by_label)[1] == 1
    by_gender = subjects([5.0, 20.0] * 8, gender=["female", "male"] * 8)
    assert compare_values(by_gender, by_gender)[1] == 1


def test_a_value_that_follows_the_numbers_in_both_corpora_is_not_counted():
    ordered = subjects([float(k) for k in range(20)])
    assert compare_values(ordered, ordered) is None


def test_missing_values_are_not_equal():
    unknown = subjects([np.nan] * 20)
    assert compare_values(unknown, unknown) is None


def test_the_same_subjects_under_two_names_are_a_question():
    finding = find_one(pair_of(20, same=True), "same_subjects")
    assert finding.severity == "warning"
    assert len(finding.subjects) == 40
    assert find_all(pair_of(20, same=False), "same_subjects") == []
    assert find_all(pair_of(7, same=True), "same_subjects") == []


def test_corpora_that_are_known_to_have_the_same_subjects_are_not_asked_about():
    pair = pair_of(20, same=True)
    related = RelatedCorpus(corpus="two", same_ids=True, reason="one study")
    facts = {"one": CorpusFacts(related_corpora=[related])}
    known = Manifest(pair.sessions, pair.steps, pair.features, facts)
    assert find_all(known, "same_subjects") == []
    assert find_one(known, "related_corpora")
