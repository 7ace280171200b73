"""The page of ``depmm measures``: association of each measure with the target."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd

from depmm.config import TargetConfig
from depmm.corpora.manifest import Manifest
from depmm.data.errors import DataError
from depmm.data.targets import labelled_sessions
from depmm.evaluation.measure_effects import MeasureEffects, measure_effects
from depmm.evaluation.reports.figure_style import BLUE, DASHED, STYLE, new_axes, to_svg
from depmm.evaluation.reports.rendering import render, to_json_values
from depmm.evaluation.stats.effect_sizes import MIN_VALUES
from depmm.files.checksums import remove, write_text
from depmm.files.csv_text import to_csv
from depmm.measures.measure import Measure
from depmm.measures.tables import MeasureTables
from depmm.schemas.manifest import SESSION_KEY, STEP_KEY, SUBJECT_KEY
from depmm.schemas.measures import EFFECTS

ALPHA = 0.05
_EFFECT_LABELS = {
    "groups": "Hedges' g", "paired": "Hedges' g (paired)", "score": "Spearman's correlation",
}  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """The comparison of measures with the target.

    Attributes
    ----------
    effects : MeasureEffects or None
        None if the manifest has no target.
    targets : Series of float or None
        Target of each session.
    target : TargetConfig
        The target.
    notes : list of str
        Why there is no comparison, or what it leaves out; one sentence each.
    """

    effects: MeasureEffects | None
    targets: pd.Series | None
    target: TargetConfig
    notes: list[str] = field(default_factory=list)

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """The numbers of significant rows and of tests, over all steps and within strata."""
        if self.effects is None:
            return 0, 0, 0, 0
        table, whole = self.effects.table, self.effects.table["stratum"] == "all"
        found = table["p_adjusted"] < ALPHA
        tested = table["p"].notna()
        numbers = [int((rows & mask).sum()) for mask in (whole, ~whole) for rows in (found, tested)]
        return numbers[0], numbers[1], numbers[2], numbers[3]

    @property
    def verdict(self) -> str:
        """One clause about the comparison."""
        if self.effects is None:
            return "not compared, because there is no target"
        found, tested, in_strata, tested_in_strata = self.counts
        text = (
            f"{found} of {tested} measures are associated with {self.target.column} over all steps"
        )
        if tested_in_strata:
            text += f", {in_strata} of {tested_in_strata} within strata"
        return f"{text} (adjusted p < {ALPHA:g})"


@dataclass(frozen=True)
class Targets:
    """The sessions with a target.

    Attributes
    ----------
    target : TargetConfig
        What the target is.
    sessions : DataFrame or None
        Columns ``target`` and ``gender``, with the index corpus, subject, session; None if the
        manifest has no target.
    notes : list of str
        Which sessions have no target; one sentence each.
    """

    target: TargetConfig
    sessions: pd.DataFrame | None
    notes: list[str]


def read_targets(manifest: Manifest, target: TargetConfig, folder: Path) -> Targets:
    """Read the target of each session.

    Without a setting, the label of the manifest is the target, and its score if it has no label.

    Parameters
    ----------
    manifest : Manifest
        The sessions.
    target : TargetConfig
        The target.
    folder : Path
        Folder of the manifest, for messages.

    Returns
    -------
    Targets
        The targets; None if the manifest has neither label nor score.

    Raises
    ------
    DataError
        If a target that is not the default cannot be read.
    """
    if target == TargetConfig() and manifest.sessions["label"].isna().all():
        if manifest.sessions["score"].isna().all():
            note = "The manifest has neither labels nor scores: the measures are not compared."
            return Targets(target, None, [note])
        target = TargetConfig(kind="severity", column="score")
    labelled, excluded = labelled_sessions(manifest.sessions, target, folder)
    notes = [f"{n} sessions are left out: {reason}." for reason, n in excluded.items() if n]
    return Targets(target, labelled.set_index(SESSION_KEY)[["target", "gender"]], notes)


def compare_with_target(tables: MeasureTables, manifest: Manifest, targets: Targets) -> Comparison:
    """Compare the measures of subjects with the target.

    Parameters
    ----------
    tables : MeasureTables
        The measures.
    manifest : Manifest
        The steps, with task and valence.
    targets : Targets
        From :func:`read_targets`.

    Returns
    -------
    Comparison
        Without effects if there is no target.

    Raises
    ------
    DataError
        If no session with a target is in the store.
    """
    target, notes = targets.target, list(targets.notes)
    if targets.sessions is None:
        return Comparison(None, None, target, notes)
    of_sessions = targets.sessions.reindex(tables.sessions.index)
    if of_sessions["target"].isna().all():
        raise DataError(
            f"no session with a value of {target.column} is in the store.",
            setting="target.column",
            column=target.column,
            value=target.column,
            remedy="Extract these sessions, or choose another column.",
        )
    conditions = manifest.steps.set_index(STEP_KEY)[["task", "valence"]]
    effects = measure_effects(
        tables.steps,
        tables.sessions,
        tables.measures,
        of_sessions,
        conditions,
        binary=target.kind == "binary",
    )
    if effects.n_mixed:
        notes.append(
            f"{effects.n_mixed} subjects have sessions of both classes: the sessions of their "
            "rarer class are left out."
        )
    for column in effects.left_out:
        notes.append(f"The values of {column} are too many for strata.")
    if effects.table["p"].isna().all():
        notes.append(
            f"No measure can be compared: this needs at least {MIN_VALUES} subjects of "
            "each class, or 5 subjects with a score."
        )
    return Comparison(effects, of_sessions["target"], target, notes)


def write_measures_page(
    tables: MeasureTables, comparison: Comparison, manifest: Path, out: Path
) -> None:
    """Write ``measures.html`` and ``effects.csv``.

    Parameters
    ----------
    tables : MeasureTables
        The measures.
    comparison : Comparison
        Their comparison with the target.
    manifest : Path
        Folder of the manifest, for the title.
    out : Path
        Folder, which exists.
    """
    effects = comparison.effects
    if effects is None:
        remove(out / EFFECTS.file)
    else:
        write_text(out / EFFECTS.file, to_csv(effects.table))
    page = render(
        "measures.html.jinja",
        title=f"Measures of {', '.join(tables.sessions.index.unique('corpus'))}",
        manifest=str(manifest),
        n_subjects=len(tables.sessions.groupby(level=SUBJECT_KEY)),
        n_sessions=len(tables.sessions),
        n_steps=len(tables.steps),
        n_measures=len(tables.measures),
        n_not_stored=len(tables.not_stored),
        notes=[*tables.notes, *comparison.notes],
        verdict=comparison.verdict,
        significant=comparison.counts[0] + comparison.counts[2],
        compared=effects is not None,
        design=None if effects is None else effects.design,
        effect=None if effects is None else _EFFECT_LABELS[effects.design],
        n_compared=0 if effects is None else effects.n_subjects,
        n_tests=comparison.counts[1] + comparison.counts[3],
        target=comparison.target,
        groups=_groups(tables, effects),
        alpha=ALPHA,
    )
    write_text(out / "measures.html", page)


def _groups(tables: MeasureTables, effects: MeasureEffects | None) -> list[dict[str, Any]]:
    """Collect the measures of each group, with their rows and figure."""
    groups: dict[tuple[str, str], list[Measure]] = {}
    for measure in tables.measures:
        groups.setdefault((measure.modality, measure.group), []).append(measure)
    content = []
    if effects is not None:
        limits = _limits(effects.table[effects.table["stratum"] == "all"])
    for number, ((modality, group), measures) in enumerate(groups.items()):
        entry: dict[str, Any] = {
            "name": f"{group} ({modality})",
            "measures": {measure.name: measure for measure in measures},
            "rows": [], "strata": [], "figure": "",
        }  # fmt: skip
        if effects is not None:
            table = effects.table[effects.table["measure"].isin(entry["measures"])]
            whole = table["stratum"] == "all"
            entry["rows"] = to_json_values(table[whole].to_dict("records"))
            entry["strata"] = to_json_values(
                table[~whole & table["estimate"].notna()].to_dict("records")
            )
            entry["n_in_strata"] = int((~whole & (table["p_adjusted"] < ALPHA)).sum())
            shown = table[whole & table["estimate"].notna()]
            entry["figure"] = _forest(shown, _EFFECT_LABELS[effects.design], limits, number)
        content.append(entry)
    return content


def _forest(rows: pd.DataFrame, label: str, limits: tuple[float, float], number: int) -> str:
    """Draw the effects of some measures with their intervals."""
    if rows.empty:
        return ""
    numbers = rows[["estimate", "ci_low", "ci_high", "p_adjusted"]].to_numpy(float)
    with mpl.rc_context(STYLE):
        figure, axes = new_axes(label, "")
        figure.set_size_inches(4.6, 0.75 + 0.24 * len(rows))
        axes.axvline(0, **DASHED)
        for position, (estimate, low, high, p_adjusted) in enumerate(numbers):
            inside = BLUE if p_adjusted < ALPHA else "white"
            axes.plot([low, high], [position] * 2, color=BLUE)
            axes.plot(estimate, position, "o", color=BLUE, markersize=5, markerfacecolor=inside)
        axes.set_yticks(range(len(rows)), rows["measure"])
        axes.set(xlim=limits, ylim=(len(rows) - 0.5, -0.5))
        axes.grid(visible=False, axis="y")
        text = "; ".join(
            f"{name} {estimate:.2f} ({low:.2f} to {high:.2f})"
            for name, (estimate, low, high, _) in zip(rows["measure"], numbers, strict=True)
        )
        return to_svg(figure, f"forest{number}", f"{label} with 95 % intervals: {text}")


def _limits(table: pd.DataFrame) -> tuple[float, float]:
    """Return the axis of all figures of a page; longer intervals are cut at 4."""
    low = max(min(table["ci_low"].min(), -0.5), -4.0)
    high = min(max(table["ci_high"].max(), 0.5), 4.0)
    margin = 0.05 * (high - low)
    return low - margin, high + margin
