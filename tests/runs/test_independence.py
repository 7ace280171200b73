"""Corpora that share subjects are refused."""

import json

import numpy as np
import pandas as pd
import pytest

from depmm.audit.audit import audit_manifest
from depmm.audit.audit_output import write_audit
from depmm.audit.findings import AuditInput
from depmm.corpora.manifest import Manifest, build_manifest
from depmm.runs.folder import RunError
from depmm.runs.independence import check_independent


def manifest(corpus: str, scores: list[int], ages: list[int] | None = None) -> Manifest:
    names = [str(300 + index) for index in range(len(scores))]
    sessions = pd.DataFrame(
        {"corpus": corpus, "subject": names, "session": names, "instrument": "PHQ-8",
         "score": scores, "label": [int(score >= 10) for score in scores], "age": ages}
    )  # fmt: skip
    steps = sessions[["corpus", "subject", "session"]].assign(
        step=0, audio="a.wav", start_s=0.0, face_aligned=False
    )
    return build_manifest(sessions, steps)


RNG = np.random.default_rng(0)
SCORES = RNG.integers(0, 25, 24).tolist()
AGES = RNG.integers(18, 80, 24).tolist()


def test_related_corpora_are_refused_in_both_directions():
    daic, edaic = manifest("daic_woz", SCORES), manifest("edaic", SCORES[::-1])
    for first, second in ((daic, edaic), (edaic, daic)):
        a, b = first.sessions["corpus"].iloc[0], second.sessions["corpus"].iloc[0]
        with pytest.raises(RunError) as error:
            check_independent({a: first}, {b: second})
        assert error.value.value == [a, b]


def test_corpora_with_the_same_scores_and_ages_are_refused():
    first = {"study_a": manifest("study_a", SCORES, AGES)}
    check_independent(first, {"study_b": manifest("study_b", SCORES[::-1], AGES[3:] + AGES[:3])})
    with pytest.raises(RunError) as error:
        check_independent(first, {"study_b": manifest("study_b", SCORES, AGES)})
    assert error.value.value == ["study_a", "study_b"]


def test_subjects_that_an_audit_names_in_both_corpora_are_refused(tmp_path):
    first = {"study_a": manifest("study_a", SCORES)}
    second = {"study_b": manifest("study_b", SCORES[::-1])}
    audit = audit_manifest(AuditInput(first["study_a"]))
    write_audit(audit, tmp_path, [])
    check_independent(first, second, tmp_path)
    content = json.loads((tmp_path / "audit.json").read_text())
    finding = content["findings"][0] | {
        "name": "similar_subjects",
        "message": "similar voices",
        "subjects": [["study_a", "300"], ["study_b", "305"]],
    }
    (tmp_path / "audit.json").write_text(json.dumps(content | {"findings": [finding]}))
    (tmp_path / "SHA256SUMS").unlink(missing_ok=True)
    with pytest.raises(RunError) as error:
        check_independent(first, second, tmp_path)
    assert error.value.value == ["study_a", "study_b"]
    check_independent(first, first, tmp_path)  # within a corpus, the split keeps subjects apart
