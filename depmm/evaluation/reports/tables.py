"""Tables for a paper: the same numbers as the report's, in Markdown and in LaTeX (booktabs)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from depmm.evaluation.baselines import LABELS
from depmm.evaluation.reports.rendering import markdown_text, number, p_value
from depmm.evaluation.stats.metrics import METRICS

_LATEX = {
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "\N{MINUS SIGN}": "$-$",
    "\N{EN DASH}": "--",
}


@dataclass(frozen=True)
class Table:
    """A table of text.

    Parameters
    ----------
    label : of LaTeX's reference, ``tab:label``
    caption : unit, interval, draws and subjects: what a number needs beside it
    header : [columns]
    rows : [rows][columns]; the first column is left-aligned, the others are numbers
    """

    label: str
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """Write it as a pipe table under its caption."""
        head, *body = [[markdown_text(cell) for cell in row] for row in (self.header, *self.rows)]
        rule = [":--", *["--:"] * (len(head) - 1)]
        table = "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *body))
        return f"Table: {markdown_text(self.caption)}\n\n{table}\n"

    def latex(self) -> str:
        """Write it as a floating table with the rules of booktabs."""
        head, *body = [f"{' & '.join(map(_latex, row))} \\\\" for row in (self.header, *self.rows)]
        return "\n".join(
            [
                r"\begin{table}",
                r"\centering",
                rf"\caption{{{_latex(self.caption)}}}",
                rf"\label{{tab:{re.sub('[^a-z0-9]+', '-', self.label.lower()).strip('-')}}}",
                rf"\begin{{tabular}}{{l{'r' * (len(self.header) - 1)}}}",
                r"\toprule",
                head,
                r"\midrule",
                *body,
                r"\bottomrule",
                r"\end{tabular}",
                r"\end{table}",
                "",
            ]
        )


def metrics_table(content: Mapping[str, Any], title: str) -> Table:
    """Make the table of all metrics of a run: value, interval, baseline, gain over the baseline.

    Parameters
    ----------
    content : of ``metrics.json``
    title : of the run
    """
    rows = []
    for name, entry in content["metrics"].items():
        baseline, gain = entry["baseline"], entry["gain"]
        rows.append(
            [
                METRICS[name].label,
                number(entry["value"]),
                _range(entry),
                f"{number(baseline['value'])} ({LABELS[baseline['name']]})"
                if baseline
                else "\N{EN DASH}",
                f"{number(gain['value'])} ({_range(gain)})" if gain else "\N{EN DASH}",
            ]
        )
    percent = _percent(content["bootstrap"])
    header = ["Metric", "Value", f"{percent} interval", "Baseline", f"Gain ({percent} interval)"]
    caption = (
        f"{title}. {_sample(content)} {_interval(content['bootstrap'])} The baseline is the best "
        "constant answer on the same sessions."
    )
    return Table(f"{title}-metrics", caption, header, rows)


def runs_table(contents: Mapping[str, Mapping[str, Any]], metrics: Sequence[str]) -> Table:
    """Make the table of several runs: each metric with its interval, and the baseline.

    Parameters
    ----------
    contents : name of the run -> content of its ``metrics.json``
    metrics : names of ``METRICS``
    """
    header = ["Run", *(part for name in metrics for part in (METRICS[name].label, "Baseline"))]
    rows = []
    for run, content in contents.items():
        row = [run]
        for name in metrics:
            entry = content["metrics"][name]
            baseline = entry["baseline"]
            row += [f"{number(entry['value'])} ({_range(entry)})"]
            row += [number(baseline["value"]) if baseline else "\N{EN DASH}"]
        rows.append(row)
    first = next(iter(contents.values()))
    return Table("runs", f"{_sample(first)} {_interval(first['bootstrap'])}", header, rows)


def comparison_table(content: Mapping[str, Any]) -> Table:
    """Make the table of paired differences; ``content`` as ``write_comparison`` returns it."""
    percent = _percent(content["bootstrap"])
    header = ["Metric", "Runs", "Difference", f"{percent} interval", "p", "p adjusted"]
    rows = [
        [
            METRICS[row["metric"]].label,
            f"{row['run_a']} minus {row['run_b']}",
            number(row["difference"]),
            _range(row),
            p_value(row["p"]),
            p_value(row["p_adjusted"]),
        ]
        for row in content["comparison"]
    ]
    first = content["comparison"][0]
    caption = (
        f"Paired differences, unit: {_unit(content['unit'])}, {first['sessions']} sessions of "
        f"{first['subjects']} subjects. {_interval(content['bootstrap'])} p: permutation of the "
        f"runs' answers within subjects, two-sided; adjusted by {content['adjustment'].title()} "
        f"over {len(content['comparison'])} tests."
    )
    return Table("comparison", caption, header, rows)


def _sample(content: Mapping[str, Any]) -> str:
    tested = content["counts"]["test"]
    instrument = f" ({content['instrument']})" if content["instrument"] else ""
    trials = len(content["seeds"])
    mean = f", mean over {trials} {'seeds' if content['repeats'] == 1 else 'repetitions'}"
    return (
        f"Unit: {_unit(content['unit'])}; {tested['sessions']} sessions of {tested['subjects']} "
        f"subjects{instrument}{mean if trials > 1 else ''}."
    )


def _unit(unit: str) -> str:
    return "session" if unit == "session" else "subject, by the mean of all own sessions"


def _interval(bootstrap: Mapping[str, Any]) -> str:
    return (
        f"{_percent(bootstrap)} intervals are {bootstrap['method']} from "
        f"{bootstrap['n_bootstrap']} bootstrap draws of subjects."
    )


def _percent(bootstrap: Mapping[str, Any]) -> str:
    return f"{100 * bootstrap['confidence']:g} %"


def _range(entry: Mapping[str, Any]) -> str:
    return f"{number(entry['ci_low'])} to {number(entry['ci_high'])}"


def _latex(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in " ".join(str(text).split()))
