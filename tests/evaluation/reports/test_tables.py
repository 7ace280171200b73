"""Tables for papers, in Markdown and LaTeX."""

from report_predictions import noisy_predictions

from depmm.evaluation.baselines import BASELINE_LABELS
from depmm.evaluation.reports.content import evaluate_predictions
from depmm.evaluation.reports.tables import Table, metrics_table


def test_the_table_of_metrics_contains_those_of_metrics_json():
    content = evaluate_predictions(noisy_predictions(0.2), n_bootstrap=100, confidence=0.9)
    table = metrics_table(content, "a_run")
    entry = content["metrics"]["auroc"]
    value, interval = f"{entry['value']:.3f}", f"{entry['ci_low']:.3f} to {entry['ci_high']:.3f}"
    baseline = f"0.500 ({BASELINE_LABELS[entry['baseline']['name']]})"
    row = next(row for row in table.rows if row[0] == "AUROC")
    assert row[:4] == ["AUROC", value, interval, baseline]
    for part in ("24 sessions of 24 subjects", "BDI-II", "90 %", "random class counts"):
        assert part in table.caption
    assert f"| AUROC | {value} | {interval} | {baseline} |" in table.markdown()
    latex = table.latex()
    assert rf"AUROC & {value} & {interval} & {baseline}" in latex
    assert r"90 \%" in latex
    assert r"\label{tab:a-run-metrics}" in latex


def test_cells_are_escaped_in_both_languages():
    hostile = "_a & b|<i>$x$"
    rows = [[hostile, "\N{MINUS SIGN}1"], ["a\\b{c}", "2"]]
    table = Table("t", "50 % of <b>", ["run", "x"], rows)
    assert table.markdown().splitlines() == [
        "Table: 50 % of &lt;b&gt;",
        "",
        "| run | x |",
        "| :-- | --: |",
        "| \\_a &amp; b\\|&lt;i&gt;\\$x\\$ | \N{MINUS SIGN}1 |",
        "| a\\\\b{c} | 2 |",
    ]
    body = table.latex().split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    assert body == [
        r"\_a \& b\textbar{}\textless{}i\textgreater{}\$x\$ & $-$1 \\",
        r"a\textbackslash{}b\{c\} & 2 \\",
    ]
    assert r"\caption{50 \% of \textless{}b\textgreater{}}" in table.latex()
