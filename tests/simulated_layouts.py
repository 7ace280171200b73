"""Small data specs, and corpora simulated in the layout of a spec."""

import hashlib
from pathlib import Path
from typing import Any

from depmm.audit.audit import audit_manifest
from depmm.audit.findings import AuditInput, Finding
from depmm.corpora.index import index_corpus
from depmm.corpora.index_report import IndexReport
from depmm.corpora.manifest import Manifest
from depmm.corpora.spec import load_spec
from depmm.corpora.spec_schema import Spec
from depmm.media.duration import duration_s
from depmm.simulation.layout import simulate_layout

SPECS = sorted((Path(__file__).parents[1] / "data_specs").glob("*.yaml"))
HEAD = "name: toy\ntitle: t\ncitation: c\nlicence: l\naccess: a\n"
AUDIO_SPEC = (
    HEAD
    + """
recordings:
  - pattern: "{part}/{subject}_{visit:int}.wav"
    modalities: [audio]
session: "{subject}_{visit}"
required_modalities: [audio]
tables:
  - file: labels.csv
    join: {subject: subject}
    fields: {phq: score, gender: sex, age: age}
codes:
  split: {of: part, names: {tr: train, va: validation, te: test}}
  gender: {names: {1: female, 2: male}}
label: {instrument: PHQ-8, score: phq}
"""
)
VIDEO_SPEC = AUDIO_SPEC.replace(".wav", ".mp4").replace("[audio]", "[audio, face]")


def shipped_spec(name: str) -> Spec:
    """Load a data spec that ships with depmm."""
    return load_spec(next(path for path in SPECS if path.stem == name))


def simulate_and_index(
    spec: Spec, out: Path, **options: Any
) -> tuple[dict[str, Any], Manifest, IndexReport]:
    """Simulate a corpus and index it; return its truth, manifest and index report."""
    truth = simulate_layout(out, spec, **options)
    return truth, *index_corpus(spec, out, duration_s)


def findings_of(manifest: Manifest, name: str) -> list[Finding]:
    """Audit a manifest and select the findings of one check."""
    findings = audit_manifest(AuditInput(manifest)).findings
    return [finding for finding in findings if finding.name == name]


def file_hashes(root: Path) -> dict[str, str]:
    """Hash every file below a folder."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }
