"""Tables of the study of DEP-Former's parts, made from the results of ``ablations.py``."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import ttest_1samp, ttest_rel

from depmm.files.writing import write_text
from depmm.multiple_testing import holm
from depmm.simulation.design_corpus import sample_design
from experiments.results import interval, record
from experiments.results_source import describe_source, merge_sources
from experiments.results_tables import markdown_rows

MODALITIES = ("audio", "face")
UNIMODAL = {"voice alone": "audio", "face alone": "face"}
CHOSEN_UNIMODAL = {f"{variant} with chosen parts": name for variant, name in UNIMODAL.items()}
SUM = "sum of unimodal logits"
CHOSEN_SUM = f"{SUM} with chosen parts"
SOURCE = "source.json"
BRANCHES = ("multimodal", "audio", "face", "cross")
BOUNDS = {"multimodal": "both", "audio": "audio", "face": "face", "cross": "both"}
LONG = ("long", "spread")  # designs of 512 steps
N_SEEDS = 20  # of a finished study
DIFFERENCE = "full less this"
NEGATIVE_CONTROL = 0.01  # largest difference that the additive design should show
INFORMATIVE = (*UNIMODAL, "mean over tokens")  # variants that lack information in this design
LEVEL = 0.05
MARGIN = 0.02  # of non-inferiority to dense attention, in AUROC
CHANCE = 0.5  # AUROC
INTERVAL = (
    "95 % t interval of the paired difference over corpora; p of the paired t test, adjusted over "
    "the rows of the table (Holm)"
)
N_TEST = "2,000 test subjects per corpus."
N_TEST_LONG = "500 test subjects per corpus. Seconds: processor time of a training, one thread."
PART = "Part: whether it helps or costs (adjusted p below .05); otherwise no difference was shown."
NON_INFERIORITY = (
    f"Not inferior: the lower bound of the difference to dense attention is above -{MARGIN}, a "
    "one-sided test of level .025. This shows nothing where the AUROC of dense attention is not "
    f"shown to exceed {CHANCE + MARGIN}."
)


@dataclass
class Table:
    """The variants of one design and number of training subjects.

    Attributes
    ----------
    design : str
        Simulated design.
    subjects : int
        Number of training subjects.
    seeds : list of int
        Seeds with at least one training.
    rows : list of dict
        Column -> value: first the Bayes classifier and the oracles, then the variants.
    origin : dict
        Commits, date, machine and versions of the trainings; empty if they are unknown.
    """

    design: str
    subjects: int
    seeds: list[int]
    rows: list[dict[str, Any]]
    origin: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of the results file."""
        return f"ablations_{self.design}_{self.subjects}"

    def record(self) -> Path:
        """Write the results file."""
        return record(
            self.name,
            self.rows,
            command=f"python experiments/ablations.py train OUT --designs {self.design} "
            f"--subjects {self.subjects}{_seeds_option(self)}\n"
            "python experiments/ablations.py table OUT --record",
            seeds=self.seeds,
            interval=INTERVAL,
            notes=" ".join(
                [N_TEST_LONG if self.design in LONG else N_TEST, PART, *_warnings(self)]
            ),
            origin=self.origin,
        )


def _seeds_option(table: Table) -> str:
    """Return the option that trains the corpora of a table, which may be fewer than planned."""
    n_seeds = max(table.seeds) + 1
    return "" if n_seeds == N_SEEDS else f" --seeds {n_seeds}"


def record_summary(tables: list[Table], subjects: int) -> Path | None:
    """Write the differences of all designs of 24 steps, one row per variant.

    Parameters
    ----------
    tables : list of Table
        Tables of all designs and numbers of subjects.
    subjects : int
        Number of training subjects.

    Returns
    -------
    Path or None
        The results file, or None without a difference.
    """
    used = [t for t in tables if t.subjects == subjects and t.design not in LONG]
    rows: dict[str, dict[str, Any]] = {}
    for table in used:
        for row in table.rows:
            if DIFFERENCE in row:
                cells = rows.setdefault(row["variant"], {"variant": row["variant"]})
                cells[table.design] = row[DIFFERENCE]
    if not rows:
        return None
    corpora = ", ".join(f"{t.design} {len(t.seeds)}" for t in used)
    options = {_seeds_option(table) for table in used}
    trained = [
        f"train OUT --designs {','.join(t.design for t in used if _seeds_option(t) == option)} "
        f"--subjects {subjects}{option}"
        for option in sorted(options)
    ]
    outcomes = ". ".join(f"`{t.design}`: {_describe_outcomes(t)}" for t in used)
    warnings = [line for table in used for line in _warnings(table) if "Unfinished" not in line]
    if any(len(table.seeds) < N_SEEDS for table in used):
        warnings.append(f"Unfinished: {N_SEEDS} corpora are planned.")
    return record(
        f"ablations_{subjects}",
        rows.values(),
        command="\n".join(
            f"python experiments/ablations.py {part}" for part in (*trained, "table OUT --record")
        ),
        seeds=sorted({seed for table in used for seed in table.seeds}),
        interval="95 % t interval of the paired difference over corpora, not adjusted",
        notes=" ".join(
            [
                f"AUROC of the full model less that of the variant. Corpora: {corpora}. {N_TEST}",
                "By the paired t test, adjusted over the rows of a design (Holm), the full model "
                f"exceeds (+) or falls below (-) these variants. {outcomes}. For the other cells "
                "no difference was shown.",
                *warnings,
            ]
        ),
        origin=used[0].origin,
    )


def _describe_outcomes(table: Table) -> str:
    """List the variants with a significant difference, with its sign."""
    signs = {"helps": "+", "costs": "-"}
    shown = [f"{row['variant']} ({signs[row['part']]})" for row in table.rows if row.get("part")]
    return ", ".join(shown) or "none"


def _warnings(table: Table) -> list[str]:
    """State what a reader must not conclude from a table."""
    lines = []
    if len(table.seeds) < N_SEEDS:
        lines.append(f"Unfinished: {len(table.seeds)} of {N_SEEDS} corpora.")
    if table.design in LONG:
        lines.append(NON_INFERIORITY)
    if table.design == "additive":
        gains = [
            row[DIFFERENCE]["value"]
            for row in table.rows
            if DIFFERENCE in row and row["variant"] not in INFORMATIVE
        ]
        largest = max(map(abs, gains), default=0.0)
        if largest > NEGATIVE_CONTROL:
            lines.append(
                f"The full model and a variant differ by up to {largest:.3f} in `additive`, where "
                "no part adds information: a difference of this size in another design is no "
                "evidence that a part reads more."
            )
    return lines


def read_results(out: Path) -> pd.DataFrame:
    """Read all results, with a row for each sum of unimodal logits of each corpus.

    Parameters
    ----------
    out : Path
        Folder of the study.

    Returns
    -------
    DataFrame
        One row per training.
    """
    from sklearn.metrics import roc_auc_score

    rows = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(out.glob("*-*-*.json"))]
    table = pd.DataFrame(rows)
    sums = []
    for (design, n, seed), group in table.groupby(["design", "subjects", "seed"]):
        for variant, unimodal in {SUM: UNIMODAL, CHOSEN_SUM: CHOSEN_UNIMODAL}.items():
            halves = group[group["variant"].isin(unimodal)]
            if len(halves) < len(unimodal):
                continue
            logits = np.sum(halves["logits"].tolist(), axis=0)
            splits, labels, _ = sample_design(design, n, seed)
            tested = labels[splits == "test"][: len(logits)]
            sums.append(
                {
                    "design": design, "subjects": n, "seed": seed, "variant": variant,
                    "auroc": roc_auc_score(tested, logits), "seconds": halves["seconds"].sum(),
                    "bayes": halves["bayes"].iloc[0], "oracles": halves["oracles"].iloc[0],
                }
            )  # fmt: skip
    return pd.concat([table, pd.DataFrame(sums)], ignore_index=True)


def read_origin(out: Path) -> dict[str, Any]:
    """Read the source of the trainings of a study.

    Parameters
    ----------
    out : Path
        Folder of the study.

    Returns
    -------
    dict
        Content of ``source.json``, which is written when a training starts.
    """
    origin: dict[str, Any] = json.loads((out / SOURCE).read_text(encoding="utf-8"))
    return origin


def write_origin(out: Path) -> None:
    """Write the source of the trainings; a continued study adds its commit and machine.

    Parameters
    ----------
    out : Path
        Folder of the study.
    """
    now = describe_source()
    if (out / SOURCE).is_file():
        now = merge_sources([read_origin(out), now])
    write_text(out / SOURCE, json.dumps(now) + "\n")


def make_tables(results: pd.DataFrame, origin: dict[str, Any] | None = None) -> list[Table]:
    """Make a table per design and number of subjects.

    Parameters
    ----------
    results : DataFrame
        From `read_results`.
    origin : dict, optional
        From `read_origin`.

    Returns
    -------
    list of Table
        In the order of design and number of subjects.
    """
    tables = []
    for (design, n), group in results.groupby(["design", "subjects"]):
        corpora = group.drop_duplicates("seed")
        rows = [*_bound_rows(corpora), *_variant_rows(group)]
        tables.append(Table(design, int(n), sorted(corpora["seed"].tolist()), rows, origin or {}))
    return tables


def _bound_rows(corpora: pd.DataFrame) -> list[dict[str, Any]]:
    bayes = pd.DataFrame(corpora["bayes"].tolist()).mean()
    rows: list[dict[str, Any]] = [
        {"variant": "Bayes classifier", "corpora": len(corpora), "AUROC": float(bayes["both"])}
        | {branch: float(bayes[name]) for branch, name in BOUNDS.items()}
        | {"without voice": float(bayes["face"]), "without face": float(bayes["audio"])},
        {"variant": f"Bayes classifiers: {SUM}", "corpora": len(corpora)}
        | {"AUROC": float(bayes[SUM])},
    ]
    for name, value in pd.DataFrame(corpora["oracles"].tolist()).mean().items():
        label = f"oracle: {str(name).replace('_', ' ')}"
        rows.append({"variant": label, "corpora": len(corpora), "AUROC": float(value)})
    return rows


def compare_pairs(first: pd.Series, second: pd.Series) -> tuple[dict[str, float], float]:
    """Compare values of the same corpora by the paired t test.

    Parameters
    ----------
    first, second : Series
        A value per corpus, in the same order.

    Returns
    -------
    difference : dict
        Cell of the mean of ``first - second`` with its 95 % interval.
    p : float
        Of the test, not adjusted.
    """
    test = ttest_rel(first, second)
    bounds = test.confidence_interval()
    return interval((first - second).mean(), bounds.low, bounds.high), float(test.pvalue)


def _variant_rows(group: pd.DataFrame) -> list[dict[str, Any]]:
    auroc = group.pivot_table("auroc", "seed", "variant")
    variants = [v for v in group["variant"].unique() if v not in ("full", SUM)]
    order = [v for v in ("full", *variants, SUM) if v in auroc]
    pairs = {v: auroc[["full", v]].dropna() for v in order if v != "full" and "full" in auroc}
    tests = {v: compare_pairs(x["full"], x[v]) for v, x in pairs.items() if len(x) > 1}
    adjusted = dict(zip(tests, holm([p for _, p in tests.values()]), strict=True))
    rows = []
    for variant in order:
        trained = group[group["variant"] == variant]
        row: dict[str, Any] = {"variant": variant, "corpora": len(trained)}
        row |= {"AUROC": float(trained["auroc"].mean()), "SD": _sd(trained["auroc"])}
        if variant in tests:
            row[DIFFERENCE] = difference = tests[variant][0]
            row["p"] = float(adjusted[variant])
            significant = row["p"] < LEVEL
            row["part"] = ("helps" if difference["value"] > 0 else "costs") if significant else ""
        row |= _means(trained, "branches", dict(zip(BRANCHES, BRANCHES, strict=True)))
        row |= _means(trained, "without", {"audio": "without voice", "face": "without face"})
        row |= _means(trained, "shut_off", {b: f"{b} shut off" for b in BRANCHES})
        row["seconds"] = float(trained["seconds"].mean())
        if group["design"].iloc[0] in LONG and trained["peak_mib"].notna().all():
            row["MiB"] = float(trained["peak_mib"].mean())
        rows.append(row)
    if "dense attention" in tests and group["design"].iloc[0] in LONG:
        column = f"not inferior to dense attention (margin {MARGIN})"
        low = tests["dense attention"][0]["low"]
        rows[0][column] = _judge_non_inferiority(low, pairs["dense attention"]["dense attention"])
    return rows


def _judge_non_inferiority(low: float, dense: "pd.Series[float]") -> str:
    """Judge by the lower bound of the difference; two models at chance do not differ either."""
    learned = ttest_1samp(dense, CHANCE + MARGIN).confidence_interval().low > CHANCE + MARGIN
    if not learned:
        return "not shown: dense attention has not learned"
    return "yes" if low > -MARGIN else "not shown"


def _sd(values: pd.Series) -> float | None:
    return float(values.std()) if len(values) > 1 else None


def _means(trained: pd.DataFrame, column: str, names: dict[str, str]) -> dict[str, float]:
    """Average the values of each branch or modality over the corpora."""
    if trained[column].isna().any():
        return {}
    means = pd.DataFrame(trained[column].tolist()).mean()
    if column == "branches" and len(means) < 2:  # the branch of a unimodal model is the model
        return {}
    return {label: float(means[name]) for name, label in names.items() if name in means}


def to_markdown(table: Table) -> str:
    """Format a table in Markdown, below its title.

    Parameters
    ----------
    table : Table
        The table.
    """
    n = len(table.seeds)
    title = f"### {table.design}, {table.subjects} training subjects, {n} corp"
    return f"{title}{'us' if n == 1 else 'ora'}\n\n{markdown_rows(table.rows)}\n"
