"""Decisions about identities, from simulated voices."""

import numpy as np
import pytest
from audit_manifests import find_all, find_one, manifest_of
from simulated_voices import simulated_sessions

from depmm.audit.identity.session_embeddings import VOICE, SessionEmbeddings
from depmm.audit.identity.similarity import (
    _BLOCK,
    divided_subjects,
    embed_subjects,
    similar_pairs,
)


def test_one_voice_under_two_ids_is_found() -> None:
    voices = embed_subjects(simulated_sessions([[0], [1], [2], [3], [4], [5], [2]]))
    (pair,) = similar_pairs(voices)
    assert (pair.first, pair.second) == (("toy", "P0002"), ("toy", "P0006"))
    assert pair.ratio > 2
    assert pair.similarity > 0.99


def test_different_voices_give_no_finding() -> None:
    counts = [
        len(similar_pairs(embed_subjects(simulated_sessions([[k] for k in range(20)], seed))))
        for seed in range(50)
    ]
    assert sum(counts) == 0


def test_two_voices_under_one_id_are_found() -> None:
    people = [[k] * 4 for k in range(7)]
    assert divided_subjects(simulated_sessions(people)) == []
    people[3] = [3, 3, 7, 3]
    (found,) = divided_subjects(simulated_sessions(people))
    assert found.subject == ("toy", "P0003")
    assert found.part == ("2",)
    assert found.similarity < found.usual


def test_few_subjects_are_not_judged() -> None:
    assert similar_pairs(embed_subjects(simulated_sessions([[0], [1], [0]]))) == []
    assert divided_subjects(simulated_sessions([[0, 1], [2, 2], [3, 3]])) == []
    empty = SessionEmbeddings(
        VOICE, simulated_sessions([[0]]).sessions.iloc[:0], np.zeros((0, 2, 256))
    )
    assert similar_pairs(embed_subjects(empty)) == []
    assert divided_subjects(empty) == []


def test_short_sessions_are_used_together() -> None:
    """Eleven subjects with six utterances of 2 s each, of whom one has two ids."""
    sessions = simulated_sessions([[k] * 6 for k in [*range(10), 4]])
    sessions.sessions["amount"] = 2.0
    (pair,) = similar_pairs(embed_subjects(sessions))
    assert (pair.first[1], pair.second[1]) == ("P0004", "P0010")
    assert divided_subjects(sessions) == []
    assert len(sessions.long_sessions().missing) == 66


def test_more_subjects_than_a_block_of_the_matrix() -> None:
    people = [[k] for k in range(2 * _BLOCK)]
    people[-1] = [0]
    (pair,) = similar_pairs(embed_subjects(simulated_sessions(people)))
    assert (pair.first[1], pair.second[1]) == ("P0000", f"P{2 * _BLOCK - 1:04}")


def test_findings_ask_and_name_the_splits() -> None:
    voices = simulated_sessions([[0], [1], [2], [3], [4], [5], [2]])
    splits = ["train"] * 6 + ["test"]
    rows = [{"subject": f"P{k:04}", "session": "0", "split": s} for k, s in enumerate(splits)]
    manifest = manifest_of(rows)
    finding = find_one(manifest, "similar_subjects", identity=(voices,))
    assert finding.severity == "warning"
    assert finding.subjects == (("toy", "P0002"), ("toy", "P0006"))
    assert "1 of them in different official splits" in finding.message
    assert "?" in finding.message
    assert not find_all(manifest, "dissimilar_sessions", identity=(voices,))
    assert not find_all(manifest, "similar_subjects")


@pytest.mark.parametrize("missing", [(), (("toy", "P0000", "0"),)])
def test_sessions_missing_are_listed(missing: tuple) -> None:
    voices = simulated_sessions([[0], [1]])
    voices = SessionEmbeddings(VOICE, voices.sessions, voices.halves, missing)
    manifest = manifest_of([{"subject": f"P{k:04}", "session": "0"} for k in range(2)])
    findings = find_all(manifest, "missing_identity", identity=(voices,))
    assert [finding.sessions for finding in findings] == ([missing] if missing else [])
