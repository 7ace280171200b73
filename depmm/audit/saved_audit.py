"""Read the audit of a manifest, and find out whether it describes the manifest as it is now.

Training copies the audit into the run. This module does not import the checks.
"""

import hashlib
from pathlib import Path
from typing import Any, TypedDict, cast

from depmm.audit.findings import AuditError
from depmm.files.checksums import read_bytes, read_json

SCHEMA_VERSION = 3  # of audit.json
_HASHED = ("sessions.parquet", "steps.parquet", "features.parquet", "corpora.json")


class AuditContent(TypedDict):
    """Content of ``audit.json``.

    Attributes
    ----------
    schema_version : int
        Version of this format.
    passed : bool
        Whether no finding is an error.
    verdict : str
        One sentence with the number of findings of each severity.
    allow : list of str
        Names of findings that the user accepts.
    manifests : list of dict
        ``folder`` and ``sha256`` of every manifest, see `manifest_sha256`.
    findings : list of dict
        Attributes of `depmm.audit.findings.Finding`, errors first.
    class_counts : list of dict
        Attributes of `depmm.audit.audit.ClassCounts`.
    not_checked : list of dict
        Attributes of `depmm.audit.audit.SkippedChecks`.
    recordings : list of dict
        Attributes of `depmm.audit.recording_distributions.RecordingDistribution`.
    checks : list of str
        Names of the checks that were run, also of those without a finding.
    """

    schema_version: int
    passed: bool
    verdict: str
    allow: list[str]
    manifests: list[dict[str, str]]
    findings: list[dict[str, Any]]
    class_counts: list[dict[str, Any]]
    not_checked: list[dict[str, Any]]
    recordings: list[dict[str, Any]]
    checks: list[str]


def read_audit(path: Path) -> AuditContent:
    """Read an ``audit.json``.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    AuditContent
        Its content.

    Raises
    ------
    AuditError
        If the file cannot be read or has another version.
    """
    remedy = (
        "Run depmm audit again (in a run: train it again, or delete the file to evaluate without "
        "the audit)."
    )
    try:
        content = cast(AuditContent, read_json(path))
        version = content["schema_version"]
    except (OSError, KeyError, TypeError) as error:
        raise AuditError(
            f"{path}: the audit cannot be read ({error}).", file=path, remedy=remedy
        ) from None
    if version != SCHEMA_VERSION:
        raise AuditError(
            f"{path}: the format has version {version}, not {SCHEMA_VERSION}.",
            file=path,
            value=version,
            remedy=remedy,
        )
    return content


def find_current_audit(manifest: Path) -> tuple[AuditContent | None, str]:
    """Find the audit of a manifest in its present state.

    Parameters
    ----------
    manifest : Path
        Folder of the manifest.

    Returns
    -------
    content : AuditContent or None
        Content of ``audit.json`` in the folder; None if it is missing or describes an earlier
        manifest.
    status : str
        Whether the manifest was audited and passed, and the allowed findings.

    Raises
    ------
    AuditError
        If ``audit.json`` cannot be read.
    """
    path = manifest / "audit.json"
    if not path.is_file():
        return None, "missing: run depmm audit"
    content = read_audit(path)
    if manifest_sha256(manifest) not in [entry["sha256"] for entry in content["manifests"]]:
        return None, "outdated: the manifest has changed; run depmm audit again"
    names = {
        severity: sorted({f["name"] for f in content["findings"] if f["severity"] == severity})
        for severity in ("error", "allowed")
    }
    status = "passed" if content["passed"] else f"failed: {', '.join(names['error'])}"
    allowed = f"; allowed: {', '.join(names['allowed'])}" if names["allowed"] else ""
    return content, status + allowed


def manifest_sha256(manifest: Path) -> str:
    """Compute the SHA-256 of the tables and facts of a manifest.

    Parameters
    ----------
    manifest : Path
        Folder of the manifest.

    Returns
    -------
    str
        The digest, hexadecimal.
    """
    digest = hashlib.sha256()
    for name in _HASHED:
        path = manifest / name
        if path.is_file():  # features and facts are optional
            digest.update(read_bytes(path))
    return digest.hexdigest()
