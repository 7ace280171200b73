"""Decisions about identities, from simulated voices."""

import numpy as np
import pandas as pd
import pytest
from audit_manifests import find_all, find_one, manifest_of

from depmm.audit.identity.session_embeddings import SessionEmbeddings, unit
from depmm.audit.identity.similarity import (
    _BLOCK,
    divided_subjects,
    similar_pairs,
    subject_voices,
)


def simulated(people: list[list[int]], seed: int = 0, noise: float = 0.02) -> SessionEmbeddings:
    """Simulate one subject per list; its entries are the speaker of each session."""
    rng = np.random.default_rng(seed)
    speakers = unit(rng.standard_normal((1 + max(map(max, people)), 256)) * 0.5 + 1)
    rows, halves = [], []
    for subject, sessions in enumerate(people):
        for session, speaker in enumerate(sessions):
            rows.append(("toy", f"P{subject:04}", str(session), 60.0))
            halves.append(speakers[speaker] + noise * rng.standard_normal((2, 256)) / 4)
    table = pd.DataFrame(rows, columns=["corpus", "subject", "session", "speech_s"])
    return SessionEmbeddings(table, unit(np.array(halves)).astype(np.float32))


def test_one_voice_under_two_ids_is_found() -> None:
    voices = subject_voices(simulated([[0], [1], [2], [3], [4], [5], [2]]))
    (pair,) = similar_pairs(voices)
    assert (pair.first, pair.second) == (("toy", "P0002"), ("toy", "P0006"))
    assert pair.ratio > 2
    assert pair.similarity > 0.99


def test_different_voices_give_no_finding() -> None:
    counts = [
        len(similar_pairs(subject_voices(simulated([[k] for k in range(20)], seed))))
        for seed in range(50)
    ]
    assert sum(counts) == 0


def test_two_voices_under_one_id_are_found() -> None:
    people = [[k] * 4 for k in range(7)]
    assert divided_subjects(simulated(people)) == []
    people[3] = [3, 3, 7, 3]
    (found,) = divided_subjects(simulated(people))
    assert found.subject == ("toy", "P0003")
    assert found.part == ("2",)
    assert found.similarity < found.usual


def test_few_subjects_are_not_judged() -> None:
    assert similar_pairs(subject_voices(simulated([[0], [1], [0]]))) == []
    assert divided_subjects(simulated([[0, 1], [2, 2], [3, 3]])) == []
    empty = SessionEmbeddings(simulated([[0]]).sessions.iloc[:0], np.zeros((0, 2, 256)))
    assert similar_pairs(subject_voices(empty)) == []
    assert divided_subjects(empty) == []


def test_more_subjects_than_a_block_of_the_matrix() -> None:
    people = [[k] for k in range(2 * _BLOCK)]
    people[-1] = [0]
    (pair,) = similar_pairs(subject_voices(simulated(people)))
    assert (pair.first[1], pair.second[1]) == ("P0000", f"P{2 * _BLOCK - 1:04}")


def test_findings_ask_and_name_the_splits() -> None:
    voices = simulated([[0], [1], [2], [3], [4], [5], [2]])
    splits = ["train"] * 6 + ["test"]
    rows = [{"subject": f"P{k:04}", "session": "0", "split": s} for k, s in enumerate(splits)]
    manifest = manifest_of(rows)
    finding = find_one(manifest, "similar_subjects", identity=voices)
    assert finding.severity == "warning"
    assert finding.subjects == (("toy", "P0002"), ("toy", "P0006"))
    assert "1 of them in different official splits" in finding.message
    assert "?" in finding.message
    assert not find_all(manifest, "dissimilar_sessions", identity=voices)
    assert not find_all(manifest, "similar_subjects")


@pytest.mark.parametrize("missing", [(), (("toy", "P0000", "0"),)])
def test_sessions_without_voice_are_listed(missing: tuple) -> None:
    voices = simulated([[0], [1]])
    voices = SessionEmbeddings(voices.sessions, voices.halves, missing)
    manifest = manifest_of([{"subject": f"P{k:04}", "session": "0"} for k in range(2)])
    findings = find_all(manifest, "missing_voice", identity=voices)
    assert [finding.sessions for finding in findings] == ([missing] if missing else [])
