"""Checks of labels: agreement with scores and cut-offs, and classes in every split."""

from collections.abc import Iterator

import pandas as pd

from depmm.audit.findings import AuditInput, Finding, unique_keys
from depmm.corpora.instruments import find_scale
from depmm.errors import abbreviate
from depmm.schemas.manifest import SESSION_KEY, SPLITS, SUBJECT_KEY


def label_score_mismatch(inputs: AuditInput) -> Iterator[Finding]:
    """Find labels that contradict score and cut-off.

    Parameters
    ----------
    inputs : AuditInput
        Input of the audit.

    Yields
    ------
    Finding
        At most one error.
    """
    sessions = inputs.manifest.sessions
    cut_offs = _session_cut_offs(sessions)
    known = sessions["score"].notna() & sessions["label"].notna() & cut_offs.notna()
    expected = (sessions["score"] >= cut_offs).astype("Int8")
    wrong = sessions[known & (sessions["label"] != expected).fillna(False)]
    if wrong.empty:
        return
    names = [
        f"{'/'.join(row[key] for key in SESSION_KEY)} ({row['instrument']} {row['score']:g}, "
        f"cut-off {cut_off:g}, label {row['label']})"
        for cut_off, (_, row) in zip(cut_offs[wrong.index], wrong.iterrows(), strict=True)
    ]
    yield Finding(
        "label_score_mismatch",
        "error",
        f"{len(wrong)} of {known.sum()} labels contradict the score: {abbreviate(names)}.",
        "Derive the labels from the scores (remove label.field from the spec), set label.cut_off, "
        "or correct the table.",
        subjects=unique_keys(wrong, SUBJECT_KEY),
        sessions=unique_keys(wrong, SESSION_KEY),
    )


def original_label_mismatch(inputs: AuditInput) -> Iterator[Finding]:
    """Find labels derived from scores that differ from the original labels of the corpus.

    Parameters
    ----------
    inputs : AuditInput
        Input of the audit.

    Yields
    ------
    Finding
        At most one warning per corpus.
    """
    sessions = inputs.manifest.sessions
    for corpus, rows in sessions.groupby("corpus"):
        known = rows.dropna(subset=["original_label", "label"])
        different = known[known["original_label"] != known["label"]]
        if different.empty:
            continue
        names = [
            f"{'/'.join(row[key] for key in SESSION_KEY)} (score {row['score']:g}, original label "
            f"{row['original_label']}, label {row['label']})"
            for _, row in different.iterrows()
        ]
        yield Finding(
            "original_label_mismatch",
            "warning",
            f"{corpus}: {len(different)} of {len(known)} original labels contradict the score: "
            f"{abbreviate(names)}.",
            "The labels of the manifest are derived from the scores. State this with every "
            "result: results on the original labels are not comparable.",
            subjects=unique_keys(different, SUBJECT_KEY),
            sessions=unique_keys(different, SESSION_KEY),
        )


def cut_off_mismatch(inputs: AuditInput) -> Iterator[Finding]:
    """Find labels derived at several cut-offs, or not at the usual cut-off of the instrument.

    Parameters
    ----------
    inputs : AuditInput
        Input of the audit.

    Yields
    ------
    Finding
        At most one warning per instrument.
    """
    sessions = inputs.manifest.sessions
    labelled = sessions.assign(used=_session_cut_offs(sessions))[sessions["label"].notna()]
    labelled = labelled.dropna(subset=["instrument", "used"])
    for name, rows in labelled.groupby("instrument"):
        used = rows.groupby("used")["corpus"].unique()
        usual = find_scale(str(name)).cut_off
        if len(used) > 1 or (usual is not None and usual not in used.index):
            named = [
                f"{cut_off:g} ({', '.join(sorted(corpora))})" for cut_off, corpora in used.items()
            ]
            message = f"{name}: the cut-off of the labels is {' and '.join(named)}"
            yield Finding(
                "cut_off_mismatch",
                "warning",
                message + (f"; the usual cut-off is {usual:g}." if usual is not None else "."),
                "State the cut-off with every result, and compare only results at the same "
                "cut-off.",
                sessions=unique_keys(rows, SESSION_KEY),
            )


def missing_class(inputs: AuditInput) -> Iterator[Finding]:
    """Find official splits in which a class of the corpus has no session.

    Parameters
    ----------
    inputs : AuditInput
        Input of the audit.

    Yields
    ------
    Finding
        One error per split and missing class.
    """
    labelled = inputs.manifest.sessions.dropna(subset=["label"])
    for corpus, rows in labelled.groupby("corpus"):
        classes = sorted(rows["label"].unique())
        for split in SPLITS:
            part = rows[(rows["split"] == split).fillna(False)]
            for label in classes:
                if len(part) and not (part["label"] == label).any():
                    yield Finding(
                        "missing_class",
                        "error",
                        f"{corpus}: none of the {len(part)} labelled {split} sessions has the "
                        f"label {label}.",
                        "Check the table that states the split, or use split.kind k_fold.",
                        subjects=unique_keys(part, SUBJECT_KEY),
                    )


def _session_cut_offs(sessions: pd.DataFrame) -> pd.Series:
    """Cut-off of each session: that of the spec, else that of the instrument, else NaN."""
    usual = sessions["instrument"].map(
        lambda name: find_scale(name if isinstance(name, str) else None).cut_off
    )
    return sessions["cut_off"].fillna(usual.astype("float64"))
