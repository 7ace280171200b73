"""Tables for papers: the metrics of a report in Markdown, LaTeX (booktabs) and plain HTML."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from depmm.evaluation.baselines import BASELINE_LABELS
from depmm.evaluation.stats.metrics import METRICS
from depmm.evaluation.subgroups import CROSSED
from depmm.evaluation.units import describe_unit
from depmm.pages.templates import markdown_text, number, p_value

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
NONE = "\N{EN DASH}"


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes
    ----------
    label : str
        LaTeX label, written as ``tab:label``.
    caption : str
        Unit, sample, method of the intervals, and baseline.
    header : sequence of str
        Names of the columns.
    rows : sequence of sequence of str
        The cells; the first column is left-aligned, the others are right-aligned.
    """

    label: str
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """Write the table as a pipe table under its caption.

        Returns
        -------
        str
            Markdown, in which all text is escaped.
        """
        head, *body = [[markdown_text(cell) for cell in row] for row in (self.header, *self.rows)]
        rule = [":--", *["--:"] * (len(head) - 1)]
        table = "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *body))
        return f"Table: {markdown_text(self.caption)}\n\n{table}\n"

    def latex(self) -> str:
        """Write the table as a floating table with the rules of booktabs.

        Returns
        -------
        str
            LaTeX, in which all text is escaped.
        """
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

    def html(self) -> str:
        """Write the table for pasting into a word processor.

        Word processors keep the inline styles of cells, but no style sheets.

        Returns
        -------
        str
            The caption and the table in HTML, in which all text is escaped.
        """
        last = len(self.rows) - 1
        rows = [_html_row(self.header, "border-top:1.5pt solid;border-bottom:0.75pt solid;", "th")]
        for index, row in enumerate(self.rows):
            rows.append(_html_row(row, "border-bottom:1.5pt solid;" * (index == last), "td"))
        style = "border-collapse:collapse;font-family:serif;font-size:10pt"
        body = "\n".join(rows)
        return f'<p>{escape(self.caption)}</p>\n<table style="{style}">\n{body}\n</table>\n'


def html_page(tables: Sequence[Table], title: str) -> str:
    """Write tables as a page without style sheets and scripts, for pasting.

    Parameters
    ----------
    tables : sequence of Table
        The tables.
    title : str
        Title of the page.

    Returns
    -------
    str
        HTML.
    """
    head = '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    head += '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    # on a narrow screen, a wide table scrolls instead of the page
    body = "\n".join(f'<div style="overflow-x:auto">\n{t.html()}</div>' for t in tables)
    return f"{head}<title>{escape(title)}</title>\n</head>\n<body>\n{body}\n</body>\n</html>\n"


def _html_row(cells: Sequence[str], rules: str, tag: str) -> str:
    parts = []
    for index, cell in enumerate(cells):
        align = "right" if index else "left"
        style = f"{rules}text-align:{align};vertical-align:top;padding:2pt 6pt"
        parts.append(f'<{tag} style="{style}">{escape(" ".join(str(cell).split()))}</{tag}>')
    return f"<tr>{''.join(parts)}</tr>"


def metrics_table(content: Mapping[str, Any], title: str) -> Table:
    """Build the table of all metrics of a run.

    Parameters
    ----------
    content : mapping of str to object
        The content of ``metrics.json``.
    title : str
        Title of the report.

    Returns
    -------
    Table
        Value, interval, baseline and gain over the baseline of each metric.
    """
    rows = []
    reasons: dict[str, list[str]] = {}
    for name, entry in content["metrics"].items():
        baseline, gain = entry["baseline"], entry["gain"]
        if entry["undefined"]:
            reasons.setdefault(entry["undefined"], []).append(METRICS[name].label)
            rows.append([METRICS[name].label, "undefined", NONE, NONE, NONE])
            continue
        rows.append(
            [
                METRICS[name].label,
                number(entry["value"]),
                _interval(entry),
                f"{number(baseline['value'])} ({BASELINE_LABELS[baseline['name']]})"
                if baseline
                else NONE,
                f"{number(gain['value'])} ({_interval(gain)})" if gain else NONE,
            ]
        )
    percent = _percent(content["bootstrap"])
    header = ["Metric", "Value", f"{percent} CI", "Baseline", f"Gain ({percent} CI)"]
    caption = (
        f"{title}. {_sample(content)} {_method(content['bootstrap'])} The baseline is the best "
        "constant prediction on the same sessions."
        + "".join(f" Undefined: {', '.join(names)}; {why}." for why, names in reasons.items())
    )
    return Table(f"{title}-metrics", caption, header, rows)


def crossed_table(content: Mapping[str, Any], key: str, title: str) -> Table:
    """Build the table of a crossing of two groupings, such as task and valence.

    Parameters
    ----------
    content : mapping of str to object
        The content of ``metrics.json``, in which ``key`` is not None.
    key : str
        A key of ``CROSSED``.
    title : str
        Title of the report.

    Returns
    -------
    Table
        Every metric of each subgroup of the first grouping, one column per subgroup of the second.
    """
    row_grouping, column_grouping = CROSSED[key]
    columns = list(content["subgroups"][column_grouping])
    rows = []
    for subgroup, cells in content[key].items():
        names = [name for name in next(iter(cells.values())) if name in METRICS]
        rows += [
            [
                subgroup,
                METRICS[name].label,
                *(
                    f"{number(cells[column][name]['value'])} ({_interval(cells[column][name])})"
                    if cells[column][name]["value"] is not None
                    else NONE
                    for column in columns
                ),
            ]
            for name in names
        ]
    caption = (
        f"{title}, by {row_grouping} and {column_grouping}. {_sample(content)} "
        f"{_method(content['bootstrap'])}"
    )
    header = [row_grouping.capitalize(), "Metric", *columns]
    return Table(f"{title}-{key}", caption, header, rows)


def runs_table(contents: Mapping[str, Mapping[str, Any]], metrics: Sequence[str]) -> Table:
    """Build the table of several runs.

    Parameters
    ----------
    contents : mapping of str to mapping
        Name of the run and content of its ``metrics.json``.
    metrics : sequence of str
        Names of ``METRICS``.

    Returns
    -------
    Table
        Each metric with its interval and baseline, one row per run.
    """
    header = ["Run", *(part for name in metrics for part in (METRICS[name].label, "Baseline"))]
    header += ["Seeds", "Parameters", "Training (s)"]
    rows = []
    for run, content in contents.items():
        row = [run]
        for name in metrics:
            entry = content["metrics"][name]
            baseline = entry["baseline"]
            value = f"{number(entry['value'])} ({_interval(entry)})"
            row.append(f"undefined: {entry['undefined']}" if entry["undefined"] else value)
            row.append(number(baseline["value"]) if baseline else NONE)
        n_trainings = str(content["bootstrap"]["n_trainings"])
        rows.append([*row, n_trainings, *_cost_cells(content["cost"])])
    first = next(iter(contents.values()))
    seeded = any(content["bootstrap"]["n_trainings"] > 1 for content in contents.values())
    several = seeded and "mean over" not in _sample(first)
    mean = " Metrics are means over the seeds of a run." if several else ""
    caption = (
        f"{_sample(first)}{mean} {_method(first['bootstrap'])} Parameters of one network; seconds "
        "of one training on the machine that trained it."
    )
    return Table("runs", caption, header, rows)


def _cost_cells(cost: Mapping[str, Any] | None) -> list[str]:
    if cost is None:
        return [NONE, NONE]
    parameters, seconds = cost["parameters"], cost["training_s"]
    return [
        NONE if parameters is None else f"{parameters:,}",
        NONE if seconds is None else f"{seconds:.3g}",
    ]


def comparison_table(content: Mapping[str, Any]) -> Table:
    """Build the table of paired differences.

    Parameters
    ----------
    content : mapping of str to object
        What :func:`~depmm.evaluation.reports.comparison_report.write_comparison` returns.

    Returns
    -------
    Table
        Difference, interval and p values of each metric and pair of runs.
    """
    header = [
        "Metric", "Runs", "Difference", f"{_percent(content['bootstrap'])} CI", "p", "Adjusted p",
    ]  # fmt: skip
    rows = [
        [
            METRICS[row["metric"]].label,
            f"{row['run_a']} minus {row['run_b']}",
            "undefined" if row["difference"] is None else number(row["difference"]),
            _interval(row),
            p_value(row["p"]),
            p_value(row["p_adjusted"]),
        ]
        for row in content["comparison"]
    ]
    first = content["comparison"][0]
    caption = (
        f"Paired differences. {describe_unit(content['unit'])} {first['sessions']} sessions of "
        f"{first['subjects']} subjects. CI and p: two-sided permutation test that exchanges the "
        f"predictions of the runs within subjects, or with several seeds a t test over subjects "
        f"and seeds; adjusted p: "
        f"{content['adjustment'].title()} for {len(content['comparison'])} tests."
    )
    return Table("comparison", caption, header, rows)


def _sample(content: Mapping[str, Any]) -> str:
    test = content["counts"]["test"]
    instrument = f" ({content['instrument']})" if content["instrument"] else ""
    n_repetitions = len(content["seeds"])
    repetitions = "seeds" if content["repeats"] == 1 else "repetitions"
    mean = f"; mean over {n_repetitions} {repetitions}" if n_repetitions > 1 else ""
    return (
        f"{describe_unit(content['unit'])} {test['sessions']} sessions of {test['subjects']} "
        f"subjects{instrument}{mean}."
    )


def _method(bootstrap: Mapping[str, Any]) -> str:
    return (
        f"{_percent(bootstrap)} confidence intervals (CI) over subjects, "
        f"{bootstrap['class_counts']} class counts."
    )


def _percent(bootstrap: Mapping[str, Any]) -> str:
    return f"{100 * bootstrap['confidence']:g} %"


def _interval(entry: Mapping[str, Any]) -> str:
    if entry["ci_low"] is None:
        return NONE
    return f"{number(entry['ci_low'])} to {number(entry['ci_high'])}"


def _latex(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in " ".join(str(text).split()))
