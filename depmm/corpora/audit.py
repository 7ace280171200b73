"""Audit of a manifest: leaks between splits, wrong labels, and shortcuts a model could take.

Each check is a function from a manifest to findings; ``CHECKS`` lists them. An *error* makes
results on this manifest invalid, a *warning* must be thought about, *info* is for the record.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from depmm.corpora.manifest import (
    INSTRUMENTS,
    PERSON_KEY,
    SESSION_KEY,
    SPLITS,
    Manifest,
)
from depmm.corpora.splits import official_overlap

SIGNIFICANCE = 0.05  # two-sided p below which a shortcut is a warning
_SHOWN = 10  # people or sessions named in a message; a finding carries all


@dataclass(frozen=True)
class Finding:
    """One thing the audit found.

    Parameters
    ----------
    name : of the check, the same for all findings of one kind
    severity : ``error``, ``warning`` or ``info``
    message : what was found, with names and numbers
    remedy : what to do about it
    people : (corpus, subject) concerned
    sessions : (corpus, subject, session) concerned
    effect : effect size of a shortcut, and what kind of number it is
    p_value : of the shortcut's test
    """

    name: str
    severity: Literal["error", "warning", "info"]
    message: str
    remedy: str
    people: tuple[tuple[str, ...], ...] = ()
    sessions: tuple[tuple[str, ...], ...] = ()
    effect: float | None = None
    p_value: float | None = None


def audit_manifest(manifest: Manifest) -> list[Finding]:
    """Run every check.

    Parameters
    ----------
    manifest : of one corpus or of several; it need not be valid by ``validate``

    Returns
    -------
    findings, errors first, then in the order of the checks
    """
    findings = [finding for check in CHECKS for finding in check(manifest)]
    return sorted(
        findings, key=lambda finding: ("error", "warning", "info").index(finding.severity)
    )


def describe(findings: list[Finding]) -> str:
    """Write findings as text for a person: severity, name, what was found, what to do."""
    if not findings:
        return "Nothing was found."
    return "\n".join(
        f"{finding.severity:8s} {finding.name}: {finding.message}\n{'':9s}{finding.remedy}"
        for finding in findings
    )


def split_overlap(manifest: Manifest) -> Iterator[Finding]:
    """Find people who stand in two official splits."""
    if several := official_overlap(manifest.sessions):
        people = manifest.sessions.dropna(subset=["split"]).drop_duplicates(PERSON_KEY)
        named = [f"{'/'.join(person)} ({' and '.join(names)})" for person, names in several.items()]
        yield Finding(
            "split_overlap",
            "error",
            f"{len(named)} of {len(people)} people stand in two official splits: {_some(named)}",
            "Do not report results on the official split; use split.kind k_fold, which keeps a "
            "person together.",
            people=tuple(several),
        )


def shared_files(manifest: Manifest) -> Iterator[Finding]:
    """Find files that two people or two sessions use."""
    steps = manifest.steps
    columns = [
        steps[SESSION_KEY].assign(file=steps[modality]).dropna(subset=["file"])
        for modality in ("audio", "face")
    ]
    uses = pd.concat(columns).drop_duplicates()
    shared = uses[uses.duplicated(["corpus", "file"], keep=False)]
    if shared.empty:
        return
    files = shared.groupby(["corpus", "file"], sort=True)
    named = [
        f"{file} by {' and '.join('/'.join(key[1:]) for key in _keys(rows, SESSION_KEY))}"
        for (_, file), rows in files
    ]
    across = sum(len(_keys(rows, PERSON_KEY)) > 1 for _, rows in files)
    yield Finding(
        "shared_files",
        "error",
        f"{len(named)} files belong to several sessions ({across} of them to several people): "
        f"{_some(named)}",
        "Correct session: or the patterns in the spec so that a file has one owner, or remove "
        "the copy.",
        people=_keys(shared, PERSON_KEY),
        sessions=_keys(shared, SESSION_KEY),
    )


def label_rule(manifest: Manifest) -> Iterator[Finding]:
    """Find labels that contradict their score and cut-off."""
    sessions = manifest.sessions
    usual = sessions["instrument"].map(
        lambda name: INSTRUMENTS[name].cut_off if name in INSTRUMENTS else None
    )
    cut_off = pd.to_numeric(usual)
    if "cut_off" in sessions:
        cut_off = pd.to_numeric(sessions["cut_off"]).fillna(cut_off)
    known = sessions["score"].notna() & sessions["label"].notna() & cut_off.notna()
    expected = (sessions["score"] >= cut_off).astype("Int8")
    bad = sessions[known & (sessions["label"] != expected).fillna(False)]
    if bad.empty:
        return
    named = [
        f"{'/'.join(row[key] for key in SESSION_KEY)} ({row['instrument']} {row['score']:g}, "
        f"cut-off {limit:g}, label {row['label']})"
        for limit, (_, row) in zip(cut_off[bad.index], bad.iterrows(), strict=True)
    ]
    yield Finding(
        "label_rule",
        "error",
        f"{len(bad)} labels contradict their score: {_some(named)}",
        "Derive the label from the score (leave label.field out of the spec), state the right "
        "cut_off, or correct the table.",
        people=_keys(bad, PERSON_KEY),
        sessions=_keys(bad, SESSION_KEY),
    )


def split_classes(manifest: Manifest) -> Iterator[Finding]:
    """Find official splits in which a class of the corpus is missing."""
    labelled = manifest.sessions.dropna(subset=["label"])
    for corpus, rows in labelled.groupby("corpus"):
        classes = sorted(rows["label"].unique())
        for split in SPLITS:
            own = rows[(rows["split"] == split).fillna(False)]
            for label in classes:
                if len(own) and not (own["label"] == label).any():
                    yield Finding(
                        "split_classes",
                        "error",
                        f"{corpus}: {split} has {len(own)} labelled sessions, none of class "
                        f"{label}",
                        "Check the table that gives the split; otherwise use split.kind k_fold.",
                        people=_keys(own, PERSON_KEY),
                    )


def duplicate_rows(manifest: Manifest) -> Iterator[Finding]:
    """Find rows that stand twice: the same key, or the same piece of the same file."""
    piece = [*SESSION_KEY, "start_s", "end_s", "audio", "face"]
    for table, name, columns in (
        (manifest.sessions, "sessions", SESSION_KEY),
        (manifest.steps, "steps", [*SESSION_KEY, "step"]),
        (manifest.steps, "steps", piece),
    ):
        bad = table[table.duplicated(columns)]
        if len(bad):
            what = "the same time in the same file" if columns is piece else ", ".join(columns)
            named = ["/".join(key) for key in _keys(bad, SESSION_KEY)]
            yield Finding(
                "duplicate_rows",
                "error",
                f"{name}: {len(bad)} rows repeat {what}, in {_some(named)}",
                "Remove the repeated rows from the corpus's tables and index again.",
                people=_keys(bad, PERSON_KEY),
                sessions=_keys(bad, SESSION_KEY),
            )


def gender_shortcut(manifest: Manifest) -> Iterator[Finding]:
    """Test whether gender tells the label, over people: phi and Fisher's exact test."""
    for corpus, people in _labelled_people(manifest):
        people = people.dropna(subset=["gender"])
        female, positive = people["gender"] == "female", people["label"] == 1
        table = np.array(
            [[(a & b).sum() for b in (positive, ~positive)] for a in (female, ~female)], dtype=float
        )
        margins = np.concatenate([table.sum(0), table.sum(1)])
        if not margins.all():
            continue
        phi = float(np.linalg.det(table) / np.sqrt(margins.prod()))
        yield _shortcut(
            "gender_shortcut",
            f"{corpus}: {table[0, 0]:.0f} of {table[0].sum():.0f} women and {table[1, 0]:.0f} of "
            f"{table[1].sum():.0f} men are positive",
            "phi",
            phi,
            float(stats.fisher_exact(table).pvalue),
            "Report results by gender and the floor that gender alone reaches; balance the groups.",
        )


def step_count_shortcut(manifest: Manifest) -> Iterator[Finding]:
    """Test whether the number of steps tells the label: rank-biserial and Mann-Whitney U."""
    for corpus, people in _labelled_people(manifest):
        positive = people.loc[people["label"] == 1, "steps"].to_numpy()
        negative = people.loc[people["label"] == 0, "steps"].to_numpy()
        if not len(positive) or not len(negative):
            continue
        test = stats.mannwhitneyu(positive, negative, alternative="two-sided")
        yield _shortcut(
            "step_count_shortcut",
            f"{corpus}: a median of {np.median(positive):g} steps a session in {len(positive)} "
            f"positive people, {np.median(negative):g} in {len(negative)} negative",
            "rank-biserial correlation",
            float(2 * test.statistic / (len(positive) * len(negative)) - 1),
            1.0 if np.isnan(test.pvalue) else float(test.pvalue),
            "Check that the model cannot count steps: draw equal numbers, and report the floor "
            "that the count alone reaches.",
        )


CHECKS: tuple[Callable[[Manifest], Iterator[Finding]], ...] = (
    split_overlap,
    shared_files,
    label_rule,
    split_classes,
    duplicate_rows,
    gender_shortcut,
    step_count_shortcut,
)


def _labelled_people(manifest: Manifest) -> Iterator[tuple[str, pd.DataFrame]]:
    """For each corpus: one row a person with majority label, gender, mean number of steps.

    People are the unit, as the sessions of a person are not independent; a tie counts as positive.
    """
    steps = manifest.steps.groupby(SESSION_KEY).size().rename("steps").reset_index()
    sessions = manifest.sessions.dropna(subset=["label"]).merge(steps, on=SESSION_KEY, how="left")
    if sessions.empty:
        return
    sessions["label"] = sessions["label"].astype(float)
    people = sessions.groupby(PERSON_KEY).agg(
        label=("label", lambda values: float(values.mean() >= 0.5)),
        gender=("gender", "first"),
        steps=("steps", "mean"),
    )
    for corpus, rows in people.groupby(level="corpus"):
        yield str(corpus), rows


def _shortcut(
    name: str, found: str, measure: str, effect: float, p_value: float, remedy: str
) -> Finding:
    suspicious = p_value < SIGNIFICANCE
    return Finding(
        name,
        "warning" if suspicious else "info",
        f"{found} ({measure} {effect:+.2f}, p = {p_value:.2g})",
        remedy if suspicious else "Nothing to do.",
        effect=effect,
        p_value=p_value,
    )


def _keys(table: pd.DataFrame, columns: list[str]) -> tuple[tuple[str, ...], ...]:
    return tuple(sorted(set(table[columns].itertuples(index=False, name=None))))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
