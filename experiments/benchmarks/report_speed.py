"""Write the full report of 10,000 predictions with 2,000 bootstrap samples: seconds and memory.

    python experiments/benchmarks/report_speed.py [PREDICTIONS] [SAMPLES]

The report contains every metric of both kinds of target with interval, baseline and gain; there is
one session per subject. Target: 30 s and 1 GB. The memory is that of the whole process; the memory
after imports is also printed.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from depmm.evaluation.reports.report import write_report

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


def main(arguments: list[str]) -> None:
    """Print the figures of one report."""
    sessions = int(arguments[0]) if arguments else 10_000
    n_bootstrap = int(arguments[1]) if len(arguments) > 1 else 2000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    predictions = make_predictions(sessions)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter(), time.process_time()
        content = write_report(
            predictions, Path(folder), title="speed", n_bootstrap=n_bootstrap, confidence=0.95
        )
        wall, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    count = len(content["metrics"])
    print(f"{sessions} predictions, {n_bootstrap} bootstrap samples, {count} metrics")
    print(f"report {wall:.1f} s ({cpu:.1f} s of processor time)")
    print(f"peak memory {peak:.0f} MiB, of which {before:.0f} MiB after imports")


if __name__ == "__main__":
    main(sys.argv[1:])
