"""Audit of a manifest: leaks between splits, wrong labels, and shortcuts a model could take.

Each check is a function from inputs to findings; ``CHECKS`` lists them. An *error* makes
results on this manifest invalid, unless it is allowed by name; a *warning* must be thought about,
*info* is for the record.

``audit.json`` and ``audit.html`` say the same to a program and to a person. Whoever trains on the
manifest keeps ``audit.json`` in the run, with what was allowed.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

from depmm.audit.checks import (
    cut_off_mismatch,
    duplicate_files,
    duplicate_rows,
    incomplete_corpus,
    label_score_mismatch,
    missing_class,
    missing_files,
    original_label_mismatch,
    shared_files,
    split_overlap,
    unmatched_files,
    unreadable_files,
)
from depmm.audit.findings import AuditInput, Finding
from depmm.audit.related_corpora import missing_subject_ids, related_corpora
from depmm.audit.shortcuts import SHORTCUTS, shortcuts, step_durations
from depmm.corpora.errors import ManifestError
from depmm.corpora.index_report import IndexReport
from depmm.corpora.manifest import SPLITS, SUBJECT_KEY
from depmm.errors import did_you_mean

SCHEMA_VERSION = 1  # of audit.json
SEVERITIES = ("error", "allowed", "warning", "info")
CHECKS: tuple[Callable[[AuditInput], Iterator[Finding]], ...] = (
    split_overlap,
    related_corpora,
    missing_subject_ids,
    shared_files,
    duplicate_files,
    label_score_mismatch,
    original_label_mismatch,
    cut_off_mismatch,
    missing_class,
    duplicate_rows,
    shortcuts,
    missing_files,
    unreadable_files,
    incomplete_corpus,
    unmatched_files,
)
NAMES = tuple(
    name
    for check in CHECKS
    for name in (
        [shortcut.name for shortcut in SHORTCUTS] if check is shortcuts else [check.__name__]
    )
)


@dataclass(frozen=True)
class Audit:
    """What all checks found.

    Parameters
    ----------
    findings : errors first, then in the order of the checks
    balance : a row for each corpus and split: people and sessions, positive, negative, unlabelled
    not_checked : (names of checks, why) of what could not be looked at
    allow : names of findings that the user accepts
    """

    findings: tuple[Finding, ...]
    balance: tuple[dict[str, Any], ...]
    not_checked: tuple[tuple[str, str], ...]
    allow: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing makes results invalid."""
        return not any(finding.severity == "error" for finding in self.findings)

    @property
    def verdict(self) -> str:
        """The answer in a sentence."""
        count = {name: sum(f.severity == name for f in self.findings) for name in SEVERITIES}
        accepted = f"; {count['allowed']} allowed by name" if count["allowed"] else ""
        if not self.passed:
            several = "finding makes" if count["error"] == 1 else "findings make"
            return f"FAIL: {count['error']} {several} results on this manifest invalid{accepted}."
        return (
            "PASS: nothing was found that makes results on this manifest invalid"
            f"{accepted}; {count['warning']} warnings."
        )


def audit_manifest(inputs: AuditInput, allow: Iterable[str] = ()) -> Audit:
    """Run every check.

    Parameters
    ----------
    inputs : a manifest, and what else is known of it
    allow : names of findings that are accepted: their errors become ``allowed``

    Raises
    ------
    ValueError : ``allow`` names a finding that there is not
    """
    allow = tuple(dict.fromkeys(allow))
    for name in allow:
        if name not in NAMES:
            raise ValueError(
                f"--allow {name}: no finding has this name. {did_you_mean(name, NAMES)}"
            )
    findings = [
        replace(finding, severity="allowed")
        if finding.severity == "error" and finding.name in allow
        else finding
        for check in CHECKS
        for finding in check(inputs)
    ]
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return Audit(tuple(findings), _balance(inputs), _not_checked(inputs), allow)


def format_audit(audit: Audit) -> str:
    """Write an audit as text for a terminal: the verdict, then what was found and what to do."""
    lines = [audit.verdict]
    for finding in audit.findings:
        lines.append(f"{finding.severity:8s} {finding.name}: {finding.message}")
        if finding.severity != "info":
            lines.append(f"{'':9s}{finding.remedy}")
    lines += [f"not checked: {names} ({why})" for names, why in audit.not_checked]
    return "\n".join(lines)


# ---- files -----------------------------------------------------------------------------------


def write_audit(audit: Audit, out: Path, manifests: Sequence[Path]) -> None:
    """Write ``audit.json`` and ``audit.html``.

    Parameters
    ----------
    out : folder, made if absent
    manifests : the folders that were audited
    """
    content = {
        "schema_version": SCHEMA_VERSION,
        "passed": audit.passed,
        "verdict": audit.verdict,
        "allow": audit.allow,
        "manifests": [{"folder": str(path), "sha256": manifest_sha256(path)} for path in manifests],
        "findings": [asdict(finding) for finding in audit.findings],
        "balance": audit.balance,
        "not_checked": [{"checks": names, "why": why} for names, why in audit.not_checked],
    }
    out.mkdir(parents=True, exist_ok=True)
    _replace(out / "audit.json", json.dumps(content, indent=1, allow_nan=False) + "\n")
    _replace(out / "audit.html", _page(audit, manifests))


def read_audit(path: Path) -> dict[str, Any]:
    """Read an ``audit.json``.

    Raises
    ------
    ManifestError : it cannot be read, or is of another version
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = content["schema_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ManifestError(
            f"{path}: no audit can be read ({error}). Run depmm audit again."
        ) from None
    if version != SCHEMA_VERSION:
        raise ManifestError(
            f"{path}: version {version} of the format, {SCHEMA_VERSION} is needed. Run depmm audit "
            "again."
        )
    return content


def find_current_audit(manifest: Path) -> tuple[dict[str, Any] | None, str]:
    """Find the audit of a manifest as it is now, for whoever trains on it.

    Returns
    -------
    content : of ``audit.json`` in the manifest's folder; None if there is none, or of an earlier
        manifest
    said : in a few words, whether it was audited and passed, and what was allowed
    """
    path = manifest / "audit.json"
    if not path.is_file():
        return None, "none: run depmm audit"
    content = read_audit(path)
    if manifest_sha256(manifest) not in [entry["sha256"] for entry in content["manifests"]]:
        return None, "of an earlier manifest: run depmm audit again"
    named = {
        severity: sorted({f["name"] for f in content["findings"] if f["severity"] == severity})
        for severity in ("error", "allowed")
    }
    said = "passed" if content["passed"] else f"failed: {', '.join(named['error'])}"
    allowed = f"; allowed: {', '.join(named['allowed'])}" if named["allowed"] else ""
    return content, said + allowed


def manifest_sha256(manifest: Path) -> str:
    """SHA-256 of the tables in a manifest's folder."""
    digest = hashlib.sha256()
    for name in ("sessions", "steps", "features"):
        path = manifest / f"{name}.parquet"
        if path.is_file():  # recordings have no features
            digest.update(path.read_bytes())
    return digest.hexdigest()


def read_index_report(manifest: Path) -> IndexReport | None:
    """Read what ``depmm index`` left beside a manifest, if it did.

    Raises
    ------
    ManifestError : ``index.json`` is something else
    """
    path = manifest / "index.json"
    if not path.is_file():
        return None
    try:
        return IndexReport.from_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ManifestError(f"{path}: {error}") from None


def _replace(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _page(audit: Audit, manifests: Sequence[Path]) -> str:
    """Fill the template; everything is escaped."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = files("depmm.audit").joinpath("audit.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(source).render(audit=audit, manifests=manifests)


# ---- counts ----------------------------------------------------------------------------------

_NO_SPLIT = "none"
_CLASSES = {1.0: "positive", 0.0: "negative"}


def _balance(inputs: AuditInput) -> tuple[dict[str, Any], ...]:
    """People and sessions of each class, by corpus and official split."""
    sessions = inputs.manifest.sessions
    sessions = sessions.assign(
        split=sessions["split"].fillna(_NO_SPLIT), label=sessions["label"].astype("Float64")
    )
    rows = []
    for corpus, own in sessions.groupby("corpus"):
        for split in (*SPLITS, _NO_SPLIT):
            part = own[own["split"] == split]
            people = part.groupby(SUBJECT_KEY)["label"].mean()  # majority; a tie is positive
            majority = (people >= 0.5).astype("Float64")
            if len(part):
                rows.append(
                    {"corpus": corpus, "split": split}
                    | {f"subjects_{name}": count for name, count in _classes(majority).items()}
                    | {f"sessions_{name}": count for name, count in _classes(part["label"]).items()}
                )
    return tuple(rows)


def _classes(labels: pd.Series) -> dict[str, int]:
    known = {name: int((labels == value).sum()) for value, name in _CLASSES.items()}
    return {**known, "unlabelled": int(labels.isna().sum())}


def _not_checked(inputs: AuditInput) -> tuple[tuple[str, str], ...]:
    """What could not be looked at, and what to give."""
    gaps = []
    if inputs.manifest.sessions["label"].isna().all():
        names = [
            "label_score_mismatch",
            "missing_class",
            *(shortcut.name for shortcut in SHORTCUTS),
        ]
        gaps.append((", ".join(names), "no session has a label"))
    elif step_durations(inputs).isna().any():
        why = "some steps last to the end of a file of unknown length"
        gaps.append(("duration_shortcut", why if inputs.recordings else f"{why}: give --root"))
    if inputs.recordings is None:
        names = ["duplicate_files", "missing_files", "unreadable_files", "black_border_shortcut"]
        gaps.append((", ".join(names), "give --root, the folder of the recordings"))
    if not inputs.index_reports:
        gaps.append(("incomplete_corpus, unmatched_files", "no index.json beside the manifest"))
    return tuple(gaps)
