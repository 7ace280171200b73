"""Audit of a manifest: leaks between splits, wrong labels, and shortcuts for a model.

An *error* makes results on the manifest invalid, unless the user allows it by name; a *warning*
needs a decision of the user; *info* needs no action. ``audit.json`` and ``audit.html`` have the
same content. A run on the manifest keeps ``audit.json`` with the allowed findings.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import get_args

import pandas as pd

from depmm.audit.checks import CHECKS, FINDING_NAMES
from depmm.audit.findings import AuditError, AuditInput, Finding, Severity
from depmm.audit.identity.identity_checks import IDENTITY_NAMES
from depmm.audit.recording_distributions import RecordingDistribution, describe_recordings
from depmm.audit.session_properties import session_properties, step_durations
from depmm.audit.shortcut_remedies import SHORTCUT_NAMES
from depmm.corpora.subject_labels import subject_labels
from depmm.errors import did_you_mean
from depmm.media.identity.known_models import FACE_MODEL, VOICE_MODEL
from depmm.schemas.manifest import SPLITS
from depmm.schemas.recordings import FACE_COLUMNS

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
_NO_SPLIT = "none"


@dataclass(frozen=True)
class ClassCounts:
    """Number of subjects and sessions of each class in one split of a corpus.

    Attributes
    ----------
    corpus : str
        Corpus id.
    split : {"train", "validation", "test", "none"}
        Official split.
    subjects_positive, subjects_negative, subjects_unlabelled : int
        Number of subjects by the majority of their labels in the split; a tie is positive.
    sessions_positive, sessions_negative, sessions_unlabelled : int
        Number of sessions by label.
    """

    corpus: str
    split: str
    subjects_positive: int
    subjects_negative: int
    subjects_unlabelled: int
    sessions_positive: int
    sessions_negative: int
    sessions_unlabelled: int


@dataclass(frozen=True)
class SkippedChecks:
    """Checks without their input.

    Attributes
    ----------
    checks : tuple of str
        Names of the checks.
    reason : str
        Why they were skipped, and which option provides the input.
    """

    checks: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Audit:
    """Result of all checks.

    Attributes
    ----------
    findings : tuple of Finding
        Findings by severity, errors first, then in the order of the checks.
    class_counts : tuple of ClassCounts
        Subjects and sessions of each class, by corpus and official split.
    not_checked : tuple of SkippedChecks
        Checks without input.
    allow : tuple of str
        Names of findings that the user accepts.
    recordings : tuple of RecordingDistribution
        Distributions of the statistics of the recordings, by corpus; empty if they were not read.
    """

    findings: tuple[Finding, ...]
    class_counts: tuple[ClassCounts, ...]
    not_checked: tuple[SkippedChecks, ...]
    allow: tuple[str, ...]
    recordings: tuple[RecordingDistribution, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether no finding is an error."""
        return not any(finding.severity == "error" for finding in self.findings)

    @property
    def verdict(self) -> str:
        """One sentence with the number of findings of each severity."""
        count = {name: sum(f.severity == name for f in self.findings) for name in SEVERITIES}
        counts = (
            f"errors: {count['error']}, allowed: {count['allowed']}, warnings: {count['warning']}"
        )
        if self.passed:
            return f"PASS: no finding makes results on this manifest invalid ({counts})."
        return f"FAIL: results on this manifest are invalid ({counts})."


def audit_manifest(inputs: AuditInput, allow: Iterable[str] = ()) -> Audit:
    """Run every check.

    Parameters
    ----------
    inputs : AuditInput
        The manifest, with recordings and index reports where available.
    allow : iterable of str, optional
        Names of findings whose errors are accepted; their severity becomes ``allowed``. For one
        property of a shortcut, ``NAME:PROPERTY``, for example ``column_shortcut:column.age``.

    Returns
    -------
    Audit
        Result of all checks.

    Raises
    ------
    AuditError
        If ``allow`` contains an unknown name.
    """
    allow = tuple(dict.fromkeys(allow))
    for entry in allow:
        name = entry.partition(":")[0]
        if name not in FINDING_NAMES:
            raise AuditError(
                f"allow: no finding is named {name!r}.",
                setting="allow",
                value=name,
                remedy=did_you_mean(name, FINDING_NAMES),
            )
    inputs = replace(inputs, properties=inputs.properties or session_properties(inputs))
    findings = [
        replace(finding, severity="allowed")
        if finding.severity == "error"
        and {finding.name, f"{finding.name}:{finding.property}"} & set(allow)
        else finding
        for check in CHECKS
        for finding in check(inputs)
    ]
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    recordings = describe_recordings(inputs.recordings.table) if inputs.recordings else ()
    return Audit(
        tuple(findings),
        tuple(_class_counts(inputs)),
        tuple(_skipped_checks(inputs)),
        allow,
        tuple(recordings),
    )


def format_audit(audit: Audit) -> str:
    """Format an audit for a terminal.

    Parameters
    ----------
    audit : Audit
        Result of all checks.

    Returns
    -------
    str
        The verdict, then every finding with its remedy, the number of properties without an
        association with label and score, entries of ``allow`` for a property without a finding,
        and the skipped checks.
    """
    lines = [audit.verdict]
    tested = 0
    for finding in audit.findings:
        if finding.severity == "info" and finding.effect_size is not None:
            tested += 1
            continue
        name = f"{finding.name} ({finding.property})" if finding.property else finding.name
        lines.append(f"{finding.severity:8s} {name}: {finding.message}")
        if finding.severity != "info":
            lines.append(f"{'':9s}{finding.remedy}")
    if tested:
        largest = max(
            (f for f in audit.findings if f.severity == "info" and f.effect_size is not None),
            key=lambda finding: abs(finding.effect_size or 0.0),
        )
        lines.append(
            f"info     no association of label and score was shown with {tested} tested "
            f"properties; the largest effect is {largest.effect_size:+.2f} ({largest.property})"
        )
    found = {f"{finding.name}:{finding.property}" for finding in audit.findings}
    lines += [
        f"not used: --allow {entry} (no finding has this name and property; audit.json lists both)"
        for entry in audit.allow
        if ":" in entry and entry not in found
    ]
    lines += [
        f"not checked: {', '.join(skipped.checks)} ({skipped.reason})"
        for skipped in audit.not_checked
    ]
    return "\n".join(lines)


def _class_counts(inputs: AuditInput) -> Iterable[ClassCounts]:
    sessions = inputs.manifest.sessions
    sessions = sessions.assign(
        split=sessions["split"].fillna(_NO_SPLIT), label=sessions["label"].astype("Float64")
    )
    for corpus, rows in sessions.groupby("corpus"):
        for split in (*SPLITS, _NO_SPLIT):
            part = rows[rows["split"] == split]
            if len(part):
                counts = (*_count(subject_labels(part)), *_count(part["label"]))
                yield ClassCounts(str(corpus), split, *counts)


def _count(labels: pd.Series) -> tuple[int, int, int]:
    """Count positive, negative and missing labels."""
    return int((labels == 1).sum()), int((labels == 0).sum()), int(labels.isna().sum())


def _skipped_checks(inputs: AuditInput) -> Iterable[SkippedChecks]:
    if inputs.manifest.sessions["label"].isna().all():
        names = ("label_score_mismatch", "missing_class", *SHORTCUT_NAMES)
        yield SkippedChecks(names, "no session has a label")
    elif step_durations(inputs).isna().any():
        reason = "the duration of some files is not known"
        if inputs.recordings is None:
            reason += "; give the folder of the recordings with --root"
        yield SkippedChecks(("duration_shortcut",), reason)
    if inputs.recordings is None:
        names = (
            "duplicate_files", "copied_recordings", "missing_files", "unreadable_files",
            "recording_warnings", "black_border_shortcut", "recording_shortcut",
        )  # fmt: skip
        yield SkippedChecks(names, "give the folder of the recordings with --root")
    elif inputs.recordings.faces_not_measured:
        yield SkippedChecks(FACE_COLUMNS, inputs.recordings.faces_not_measured)
    for part, reason in inputs.identity_not_compared.items():
        yield SkippedChecks((part,), reason)
    if not inputs.identity:
        reason = "give --root and --identity, which compares voices and faces"
        commands = [model.command for model in (VOICE_MODEL, FACE_MODEL) if not model.available]
        if commands:
            reason += f", after {' and '.join(commands)}"
        yield SkippedChecks(IDENTITY_NAMES, reason)
    if not inputs.index_reports:
        names = ("incomplete_corpus", "unmatched_files")
        yield SkippedChecks(names, "the folder of the manifest has no index.json")
