"""Small manifests for the tests of the audit, and helpers that audit them."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from corpus_samples import make_step_table

from depmm.audit.audit import Audit, audit_manifest
from depmm.audit.findings import AuditInput, Finding
from depmm.corpora.index_report import IndexReport, PatternCount
from depmm.corpora.manifest import Manifest, build_manifest


def manifest_of(rows: list[dict[str, Any]], corpus: str = "toy", n_steps: int = 2) -> Manifest:
    """Build a manifest; each row changes an unlabelled session ``<subject>-1``."""
    base = dict.fromkeys(("instrument", "score", "label", "split", "gender", "age"))
    sessions = pd.DataFrame(
        [{"corpus": corpus, **base, "session": f"{row['subject']}-1", **row} for row in rows]
    )
    return build_manifest(sessions, make_step_table(sessions, n_steps))


def balanced_manifest(n_subjects: int = 16, corpus: str = "toy") -> Manifest:
    """Build a manifest without findings: labels alternate, genders alternate in pairs."""
    return manifest_of(
        [
            {
                "subject": f"P{k:02}", "instrument": "BDI-II", "label": k % 2,
                "score": 20.0 if k % 2 else 5.0, "gender": "female" if k // 2 % 2 else "male",
                "split": ("train", "validation", "test", "train")[k * 4 // n_subjects],
            }
            for k in range(n_subjects)
        ],
        corpus,
    )  # fmt: skip


def labelled_manifest(labels: Sequence[int]) -> Manifest:
    """Build a manifest with one session of one step per label; the ids are V1, V2 and so on."""
    rows = [
        {"subject": f"V{k}", "label": y, "instrument": "group"} for k, y in enumerate(labels, 1)
    ]
    return manifest_of(rows, n_steps=1)


def split_manifest(corpus: str, splits: dict[str, str | None]) -> Manifest:
    """Build a manifest of unlabelled subjects with their official splits."""
    rows = [{"subject": subject, "split": split} for subject, split in splits.items()]
    return manifest_of(rows, corpus)


def index_report(**changes: Any) -> IndexReport:
    """Build a report of the corpus ``toy`` without missing or unused files."""
    counts = dict.fromkeys(("subjects", "sessions", "steps"), 0)
    empty: dict[str, Any] = {
        "failures": (), "missing": (), "left_out": (), "near_misses": (), "unused": (),
        "excluded": (), "superseded": (("a", "b"),), "unrelated_folders": {"x": 1},
    }  # fmt: skip
    patterns = (PatternCount("{subject}.wav", "audio", False, 3),)
    return IndexReport(
        corpus="toy", patterns=patterns, ignored=0, hidden=0, counts=counts, **{**empty, **changes}
    )


def run_audit(manifest: Manifest, allow: tuple[str, ...] = (), **inputs: Any) -> Audit:
    """Audit a manifest with further inputs."""
    return audit_manifest(AuditInput(manifest, **inputs), allow)


def find_all(manifest: Manifest, name: str, **inputs: Any) -> list[Finding]:
    """Audit a manifest and select the findings of one name."""
    findings = run_audit(manifest, **inputs).findings
    return [finding for finding in findings if finding.name == name]


def find_one(manifest: Manifest, name: str, **inputs: Any) -> Finding:
    """Audit a manifest and return the only finding of one name."""
    (finding,) = find_all(manifest, name, **inputs)
    assert finding.remedy
    return finding
