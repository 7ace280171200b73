"""Shortcuts: what tells the label without anybody being heard or seen.

Each is tested over people, as the sessions of a person are not independent, with an effect size
from -1 to 1 and a two-sided test (file blocks: one-sided). The p-values of one corpus are corrected
together (Holm), so that a warning means the same however many shortcuts were looked at.

A shortcut that nearly separates the classes (``ERROR_EFFECT_SIZE``) is an *error*: a model can
reach its score by it alone, so results show nothing until it is removed or shown to be out of
reach. Where it is out of reach, as ids are for a model that gets sound and faces only, allow it
by name: that is recorded with every run.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import comb
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from depmm.audit.findings import AuditInput, Finding
from depmm.corpora.manifest import SESSION_KEY, SUBJECT_KEY
from depmm.corpora.patterns import natural_sort_key
from depmm.multiple_testing import holm

ALPHA = 0.05  # corrected p below which a shortcut is a warning
ERROR_EFFECT_SIZE = 0.8  # size of an effect from which a significant shortcut is an error
RANK_BISERIAL = "rank-biserial correlation"


@dataclass(frozen=True)
class Association:
    """One shortcut in one corpus: what was found, the effect and its p-value."""

    description: str
    effect_measure: str
    effect_size: float
    p_value: float


@dataclass(frozen=True)
class Shortcut:
    """A shortcut and its test.

    Parameters
    ----------
    name : of its findings
    measure : from the table of ``labelled_subjects`` of one corpus; None without a result
    remedy : what to do when it tells the label
    """

    name: str
    measure: Callable[[pd.DataFrame], Association | None]
    remedy: str


def shortcuts(inputs: AuditInput) -> Iterator[Finding]:
    """Test every shortcut in every corpus with labels; correct over those of a corpus."""
    for corpus, people in labelled_subjects(inputs).groupby("corpus"):
        tested = [(shortcut, shortcut.measure(people)) for shortcut in SHORTCUTS]
        measured = [(shortcut, result) for shortcut, result in tested if result is not None]
        corrected = holm([result.p_value for _, result in measured]).tolist()
        for (shortcut, result), p_adjusted in zip(measured, corrected, strict=True):
            severity = _severity(result.effect_size, p_adjusted)
            yield Finding(
                shortcut.name,
                severity,
                f"{corpus}: {result.description} ({result.effect_measure} "
                f"{result.effect_size:+.2f}, "
                f"p = {result.p_value:.2g}, corrected {p_adjusted:.2g})",
                "Nothing to do." if severity == "info" else shortcut.remedy,
                effect_measure=result.effect_measure,
                effect_size=result.effect_size,
                p_value=result.p_value,
                p_adjusted=p_adjusted,
            )


def _severity(effect_size: float, p_adjusted: float) -> Literal["error", "warning", "info"]:
    if p_adjusted >= ALPHA:
        return "info"
    return "error" if abs(effect_size) >= ERROR_EFFECT_SIZE else "warning"


# ---- the people ------------------------------------------------------------------------------


def labelled_subjects(inputs: AuditInput) -> pd.DataFrame:
    """Gather what could tell the label, over the labelled sessions of each person.

    Returns
    -------
    one row a person in natural order of the ids; columns corpus, subject, label (majority, a tie
    is positive), gender (null if unknown), and, as means over the person's sessions, steps,
    seconds (NaN if unknown), black_border (NaN if unknown)
    """
    sessions = inputs.manifest.sessions.dropna(subset=["label"])
    measures = _session_measures(inputs)
    table = sessions[[*SESSION_KEY, "label", "gender"]].merge(measures, on=SESSION_KEY, how="left")
    table["label"] = table["label"].astype(float)
    people = table.groupby(SUBJECT_KEY, as_index=False).agg(
        label=("label", "mean"),
        gender=("gender", "first"),
        steps=("steps", "mean"),
        seconds=("seconds", "mean"),
        black_border=("black_border", "mean"),
    )
    people["label"] = (people["label"] >= 0.5).astype(int)
    order = people["subject"].map(natural_sort_key)
    return people.loc[order.sort_values(kind="stable").index].reset_index(drop=True)


def step_durations(inputs: AuditInput) -> pd.Series:
    """Length of each step; one that lasts to the end of its file needs the file's length.

    Returns
    -------
    seconds, index of ``manifest.steps``; NaN where the length is not known
    """
    steps = inputs.manifest.steps
    lengths = inputs.recordings.duration_s if inputs.recordings else {}
    ends = [
        end if not np.isnan(end) else lengths.get((corpus, face if pd.isna(audio) else audio))
        for corpus, end, audio, face in zip(
            steps["corpus"], steps["end_s"], steps["audio"], steps["face"], strict=True
        )
    ]
    return pd.Series(ends, index=steps.index, dtype=float) - steps["start_s"]


def _session_measures(inputs: AuditInput) -> pd.DataFrame:
    borders = inputs.recordings.black_border if inputs.recordings else {}
    steps = inputs.manifest.steps
    keys = zip(steps["corpus"], steps["face"], strict=True)
    table = steps[SESSION_KEY].assign(
        seconds=step_durations(inputs),
        black_border=pd.Series(
            [borders.get((corpus, file)) for corpus, file in keys], index=steps.index, dtype=float
        ),
    )
    return table.groupby(SESSION_KEY, as_index=False).agg(
        steps=("seconds", "size"),
        seconds=("seconds", lambda values: values.sum(skipna=False)),
        black_border=("black_border", "mean"),
    )


# ---- the tests -------------------------------------------------------------------------------


def _gender(people: pd.DataFrame) -> Association | None:
    """Phi coefficient and Fisher's exact test."""
    people = people.dropna(subset=["gender"])
    female, positive = people["gender"] == "female", people["label"] == 1
    table = np.array(
        [[(a & b).sum() for b in (positive, ~positive)] for a in (female, ~female)], dtype=float
    )
    margins = np.concatenate([table.sum(0), table.sum(1)])
    if not margins.all():
        return None
    return Association(
        f"{table[0, 0]:.0f} of {table[0].sum():.0f} women and {table[1, 0]:.0f} of "
        f"{table[1].sum():.0f} men are positive",
        "phi",
        float(np.linalg.det(table) / np.sqrt(margins.prod())),
        float(stats.fisher_exact(table).pvalue),
    )


def _number(
    column: str, found: str, scale: float = 1.0
) -> Callable[[pd.DataFrame], Association | None]:
    """Make the test of a number: rank-biserial correlation and Mann-Whitney U."""

    def measure(people: pd.DataFrame) -> Association | None:
        known = people.dropna(subset=[column])
        positive, negative = (known.loc[known["label"] == k, column].to_numpy() for k in (1, 0))
        if not len(positive) or not len(negative):
            return None
        test = stats.mannwhitneyu(positive, negative, alternative="two-sided")
        medians = [f"{np.median(values) * scale:.4g}" for values in (positive, negative)]
        return Association(
            f"a median of {found.format(medians[0])} in {len(positive)} positive people, "
            f"{medians[1]} in {len(negative)} negative",
            RANK_BISERIAL,
            float(2 * test.statistic / (len(positive) * len(negative)) - 1),
            1.0 if np.isnan(test.pvalue) else float(test.pvalue),
        )

    return measure


def _file_order(people: pd.DataFrame) -> Association | None:
    placed = people.assign(place=np.arange(1, len(people) + 1))
    return _number("place", f"place {{}} of {len(people)} in order of the ids")(placed)


def _file_blocks(people: pd.DataFrame) -> Association | None:
    """Wald-Wolfowitz runs test, exact: fewer changes of label along the ids than by chance.

    It finds a label that is a function of the index without rising or falling with it. The effect
    is the share of the expected changes of label that are missing: 1 at two blocks.
    """
    labels = people["label"].to_numpy()
    positive, total = int(labels.sum()), len(labels)
    negative = total - positive
    if not positive or not negative or total < 3:
        return None
    runs = 1 + int((labels[1:] != labels[:-1]).sum())
    expected = 1 + 2 * positive * negative / total
    return Association(
        f"in order of their ids the {total} people form {runs} blocks of one label, "
        f"{expected:.1f} are expected by chance",
        "missing changes of label",
        (expected - runs) / (expected - 2),
        _fewer_runs(runs, positive, negative),
    )


def _fewer_runs(runs: int, positive: int, negative: int) -> float:
    """P(at most so many runs) of labels in random order (Wald & Wolfowitz 1940)."""
    ways = 0
    for count in range(2, runs + 1):
        one, two = (count + 1) // 2 - 1, count // 2 - 1
        ways += comb(positive - 1, one) * comb(negative - 1, two)
        ways += comb(positive - 1, two) * comb(negative - 1, one)
    return float(Fraction(ways, comb(positive + negative, positive)))


_IDS = (
    "Keep names and order of files away from the model, and check whether the groups were recorded "
    "at other times or with other devices. If only the naming goes by group, and the model gets "
    "sound and faces only, allow it."
)
SHORTCUTS = (
    Shortcut(
        "gender_shortcut",
        _gender,
        "Report results by gender and the baseline that gender alone reaches; balance the groups.",
    ),
    Shortcut(
        "step_count_shortcut",
        _number("steps", "{} steps a session"),
        "Check that the model cannot count steps: draw equal numbers, and report the baseline that "
        "the count alone reaches.",
    ),
    Shortcut(
        "duration_shortcut",
        _number("seconds", "{} seconds a session"),
        "Check that the model cannot measure length: cut to equal lengths, and report the baseline "
        "that the duration alone reaches.",
    ),
    Shortcut("id_order_shortcut", _file_order, _IDS),
    Shortcut("id_runs_shortcut", _file_blocks, _IDS),
    Shortcut(
        "black_border_shortcut",
        _number("black_border", "{} per cent of the picture as black border", scale=100),
        "Crop the borders from all videos before anything is extracted; aligned face crops reach "
        "beyond the picture at its edge.",
    ),
)
