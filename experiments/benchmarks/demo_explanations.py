"""Explain trainings of the demo, and compare with random orders and with its planted words.

    python experiments/benchmarks/demo_explanations.py TRUTH RUN... [--record]

TRUTH is ``corpora/demo/recordings/truth.json``; the runs are trainings of ``demo`` with different
seeds (``depmm train demo seed=1 name=demo-1``). Each run is explained with all methods of steps.
The table ``faithfulness`` has the areas under deletion and insertion curves
(``faithfulness.parquet``), for each subject the mean over the runs, and the AUC with which the
order of the words of ``depmm ask RUN words-by-label`` identifies the planted ones. The table
``demo_words`` has q of every word, which depends on the training.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.metrics import roc_auc_score

from depmm.config import load_config
from depmm.files.checksums import read_table
from depmm.interpret.attribution.explain import explain
from depmm.interpret.attribution.faithfulness import CURVES, compare_with_random
from depmm.interpret.attribution.methods import ON_REQUEST, SHAPLEY
from depmm.interpret.query.word_effects import compare_words
from experiments.results import interval, publish
from experiments.results_source import describe_origin

Q_LEVEL = 0.05
SCRIPT = "python experiments/benchmarks/demo_explanations.py"


def compare_run(run: Path) -> dict[str, pd.DataFrame]:
    """Compare the words of an explained run by every method that it has."""
    attributions = read_table(run / "attributions.parquet")
    methods = [m.name for m in ON_REQUEST] + ["occlusion", "selected"]
    return {
        name: compare_words(attributions, name, draws=0) for name in methods if name in attributions
    }


def make_faithfulness_rows(
    areas: pd.DataFrame, words: Sequence[dict[str, pd.DataFrame]], planted: Sequence[str]
) -> list[dict[str, Any]]:
    """Make one row per method, the most faithful by deletion first, and one of random orders."""
    table = compare_with_random(areas.rename(columns={"label": "y_true"})).set_index(
        ["method", "curve"]
    )
    rows: list[dict[str, Any]] = []
    for method in table["area"].xs("deletion", level="curve").sort_values().index:
        row: dict[str, Any] = {"method": method}
        for curve in CURVES:
            of_curve = table.loc[(method, curve)]
            row[curve] = round(float(of_curve["area"]), 3)
            bounds = (float(of_curve[name]) for name in ("gain", "ci_low", "ci_high"))
            row[f"{curve}: gain over random"] = interval(*bounds)
            better, subjects = int(of_curve["n_better"]), int(of_curve["n_subjects"])
            row[f"{curve}: better subjects"] = f"{better} of {subjects}"
        aucs = [rank_planted(of_run[method], planted) for of_run in words]
        row["AUC of planted words"] = round(sum(aucs) / len(aucs), 3)
        row["lowest AUC"] = round(min(aucs), 3)
        rows.append(row)
    first = table.iloc[0].name[0]
    random: dict[str, Any] = {"method": "random orders"}
    for curve in CURVES:
        random[curve] = round(float(table.loc[(first, curve), "random"]), 3)
    return [*rows, {name: random.get(name) for name in rows[0]}]


def rank_planted(table: pd.DataFrame, planted: Sequence[str]) -> float:
    """Compute the AUC of the order of the words for the planted ones."""
    return float(roc_auc_score(table["word"].isin(planted), -table.index.to_numpy()))


def make_word_rows(
    words: Sequence[dict[str, pd.DataFrame]], planted: Sequence[str]
) -> list[dict[str, Any]]:
    """Make one row per word with q by Shapley values over the runs, planted words first."""
    q = pd.concat([of_run[SHAPLEY.name].set_index("word")["q"] for of_run in words], axis=1)
    order = sorted(q.index, key=lambda word: (word not in planted, float(q.loc[word].median())))
    return [
        {
            "word": word,
            "planted": "yes" if word in planted else "no",
            "median q": round(float(q.loc[word].median()), 4),
            "lowest q": round(float(q.loc[word].min()), 4),
            "highest q": round(float(q.loc[word].max()), 4),
            "runs with q < .05": f"{int((q.loc[word] < Q_LEVEL).sum())} of {q.shape[1]}",
        }
        for word in order
    ]


def main() -> None:
    """Explain the runs, and print or record both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("truth", type=Path)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--record", action="store_true", help="write the results files")
    arguments = parser.parse_args()
    truth = json.loads(arguments.truth.read_text(encoding="utf-8"))
    planted = [word for words in truth["planted_words"].values() for word in words]
    areas, words = [], []
    for run in arguments.runs:
        explain(run, methods=[method.name for method in ON_REQUEST])
        areas.append(read_table(run / "faithfulness.parquet"))
        words.append(compare_run(run))
    tables = {
        "faithfulness": make_faithfulness_rows(pd.concat(areas), words, planted),
        "demo_words": make_word_rows(words, planted),
    }
    seeds = {load_config(run / "config.yaml").seed: run for run in arguments.runs}
    lines = [f"depmm train demo seed={seed} name={run.name}" for seed, run in seeds.items()]
    folders = " ".join(f"runs/{run.name}" for run in arguments.runs)
    source: dict[str, Any] = {
        "command": "\n".join(
            [*lines, f"{SCRIPT} corpora/demo/recordings/truth.json {folders} --record"]
        ),
        "seeds": sorted(seeds),
        "origin": describe_origin(arguments.runs),
    }
    for name, rows in tables.items():
        method = "95 %, BCa bootstrap over subjects" if name == "faithfulness" else None
        publish(name, rows, arguments.record, interval=method, **source)


if __name__ == "__main__":
    main()
