"""Train on one corpus of acted emotions and test on another: a table of experiments/README.md.

    python experiments/benchmarks/cross_corpus.py OUT --emodb DIR --ravdess DIR [--record]

Sad against neutral speech of Emo-DB (German) and RAVDESS (English), with ``depmm cross-corpus`` and
two classical models that have no random draws.
"""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.benchmarks.commands import depmm
from experiments.benchmarks.tables import prepare
from experiments.results import interval, publish
from experiments.results_source import describe_origin

CONFIGS = ("classical_svm", "classical_voice")
CORPORA = ("emodb", "ravdess")
TARGET = "target.positive=[sadness, sad]"
NOTES = (
    "Sad against neutral speech. Rows with one corpus are its cross-validation in five folds. The "
    "last columns are a logistic regression on covariates alone: duration and number of steps, or "
    "gender and age, whichever predicts the tested sessions better."
)


def main() -> None:
    """Train and test on every pair of corpora, and print or record the AUROC."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--emodb", type=Path, required=True)
    parser.add_argument("--ravdess", type=Path, required=True)
    parser.add_argument("--record", action="store_true", help="write the results file")
    options = parser.parse_args()
    base = options.out.absolute()
    for corpus in CORPORA:
        prepare(corpus, base, getattr(options, corpus).absolute())
    rows: list[dict[str, Any]] = []
    methods = set()
    for config in CONFIGS:
        command = ("cross-corpus", config, "--all-pairs", ",".join(CORPORA), TARGET)
        depmm(*command, "out=runs/cross_corpus", f"name={config}", cwd=base)
        cells = pd.read_csv(base / "runs/cross_corpus" / config / "cross_corpus.csv")
        for cell in cells[cells["metric"] == "auroc"].to_dict("records"):
            methods.add(cell["method"])
            rows.append(
                {
                    "config": config,
                    "trained on": cell["train"],
                    "tested on": cell["test"],
                    "subjects": int(cell["subjects"]),
                    "auroc": interval(cell["value"], cell["ci_low"], cell["ci_high"]),
                    "covariates": cell["covariate_baseline"],
                    "AUROC of covariates": float(cell["covariate_value"]),
                }
            )
    script = "experiments/benchmarks/cross_corpus.py"
    publish(
        "cross_corpus",
        rows,
        options.record,
        command=f"python {script} OUT --emodb EMODB --ravdess RAVDESS --record",
        seeds="Folds: seed 0",
        interval=f"95 % over subjects: AUROC by {' or '.join(sorted(methods))}",
        notes=NOTES,
        origin=describe_origin([base / "runs/cross_corpus" / config for config in CONFIGS]),
    )


if __name__ == "__main__":
    main()
