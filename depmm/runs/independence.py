"""Corpora that may test each other: they have no subject in common, as far as it is known."""

from collections.abc import Mapping
from pathlib import Path

from depmm.audit.findings import AuditInput
from depmm.audit.same_subjects import same_subjects
from depmm.audit.saved_audit import find_current_audit, read_audit
from depmm.corpora.corpus_facts import relations_between
from depmm.corpora.manifest import Manifest, concat_manifests
from depmm.corpora.spec import all_facts
from depmm.runs.folder import RunError

_IDENTITY = ("similar_subjects", "same_subjects", "copied_recordings", "duplicate_files")


def check_independent(
    first: Mapping[str, Manifest], second: Mapping[str, Manifest], audit: Path | None = None
) -> None:
    """Refuse two groups of corpora that have, or may have, subjects in common.

    Parameters
    ----------
    first, second : mapping of str to Manifest
        Manifests by corpus id; a corpus that is in both is not compared with itself.
    audit : Path, optional
        Folder of an audit of all corpora, for example with ``--identity``: subjects with similar
        voices or faces and copies of recordings between the two groups are refused as well.

    Raises
    ------
    RunError
        If the specs state that two corpora are related, if equal numbers have equal scores and ages
        in both, or if a finding of ``audit`` concerns subjects of both.
    AuditError
        If the audit cannot be read.
    """
    facts = dict(concat_manifests({**first, **second}.values()).facts)
    pairs = [(a, b) for a in first for b in second if a != b]
    known = all_facts({*first, *second}, facts)
    for a, b in pairs:
        for _, _, relation in relations_between(known, a, b):
            raise _not_independent(a, b, f"{relation.reason}", "related_corpora")
        joint = concat_manifests([{**first, **second}[name] for name in (a, b)])
        for finding in same_subjects(AuditInput(joint)):
            raise _not_independent(a, b, finding.message, finding.name)
    if audit is None:
        return
    for found in read_audit(audit / "audit.json")["findings"]:
        if found["name"] not in _IDENTITY:
            continue
        concerned = {
            str(key[0]) for part in ("subjects", "sessions", "files") for key in found[part]
        }
        for a, b in pairs:
            if {a, b} <= concerned:
                raise _not_independent(a, b, found["message"], found["name"])


def _not_independent(first: str, second: str, reason: str, name: str) -> RunError:
    return RunError(
        f"{first} and {second} cannot test each other: {reason.rstrip('.')} ({name}).",
        value=[first, second],
        remedy="Leave one of them out; neither is an external test set of the other.",
    )


def describe_audit(manifest: Path) -> str:
    """State whether a manifest was audited.

    Parameters
    ----------
    manifest : Path
        Folder of the manifest.

    Returns
    -------
    str
        Verdict of the current audit, or that there is none.

    Raises
    ------
    AuditError
        If the audit cannot be read.
    """
    return find_current_audit(manifest)[1]
