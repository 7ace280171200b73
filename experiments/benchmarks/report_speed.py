"""Write the full report of 10,000 predictions with 2,000 bootstrap samples: seconds and memory.

    OMP_NUM_THREADS=2 python experiments/benchmarks/report_speed.py [--record]

The report contains every metric of both kinds of target with interval, baseline and gain; there is
one session per subject. Aim: 15 s on two cores, and 600 MiB. The memory is that of the whole
process; the memory after imports is also printed.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from depmm.evaluation.reports.report import write_report
from experiments.results import aim, publish, refuse_settings

N_FOLDS = 5


def make_predictions(sessions: int) -> pd.DataFrame:
    """Make predictions of five folds; every subject is tested in one of them."""
    rng = np.random.default_rng(0)
    subject = np.arange(sessions)
    score = rng.integers(0, 64, sessions).astype(float)
    label = (score >= 14).astype(int)
    logit = label - 0.5 + rng.normal(size=sessions)
    score_pred = np.clip(score + rng.normal(0, 9, sessions), 0, 63)
    folds = []
    for fold in range(N_FOLDS):
        position = (subject - fold) % N_FOLDS
        folds.append(
            pd.DataFrame(
                {
                    "corpus": "c",
                    "subject": [f"p{index}" for index in subject],
                    "session": "1",
                    "split": np.choose(position, ["test", "validation", "train", "train", "train"]),
                    "fold": fold,
                    "seed": 0,
                    "y_true": label,
                    "y_prob": 1 / (1 + np.exp(-logit)),
                    "score": score,
                    "score_pred": score_pred,
                    "instrument": "BDI-II",
                    "gender": np.where(subject % 3, "female", "male"),
                }
            )
        )
    return pd.concat(folds)


def measure(sessions: int, n_bootstrap: int) -> dict[str, object]:
    """Measure one report."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    predictions = make_predictions(sessions)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter(), time.process_time()
        content = write_report(
            predictions, Path(folder), title="speed", n_bootstrap=n_bootstrap, confidence=0.95
        )
        wall, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
    return {
        "predictions": sessions,
        "bootstrap samples": n_bootstrap,
        "metrics": len(content["metrics"]),
        "s": wall,
        "aim": aim("s", at_most=15),
        "s, all cores": cpu,
        "peak memory, MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "aim of the memory": aim("peak memory, MiB", at_most=600),
        "MiB after imports": before,
    }


def main() -> None:
    """Print or record the figures of one report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("predictions", type=int, nargs="?", default=10_000)
    parser.add_argument("samples", type=int, nargs="?", default=2000)
    parser.add_argument("--record", action="store_true", help="write the results file")
    options = parser.parse_args()
    refuse_settings(parser, options, "predictions", "samples")
    rows = [measure(options.predictions, options.samples)]
    command = "OMP_NUM_THREADS=2 python experiments/benchmarks/report_speed.py --record"
    publish("report_speed", rows, options.record, command=command)


if __name__ == "__main__":
    main()
