"""Pre-train EmoAudioNet on gender and train it on emotion: a table of experiments/README.md.

    python experiments/benchmarks/transfer.py OUT --emodb DIR [--record]

In each of five folds, the network learns the gender of the training speakers, and then the emotion,
with these weights and without. The test speakers of a fold are unknown to both trainings. The
spectrogram branch is left out, and both trainings have ten epochs, because of their duration.
"""

import argparse
import json
from pathlib import Path

import pandas as pd

from experiments.benchmarks.commands import depmm
from experiments.benchmarks.table_definitions import Row, Table
from experiments.benchmarks.tables import paired_rows, prepare
from experiments.results import publish
from experiments.results_source import describe_origin
from experiments.run_results import describe_intervals, metric_cells

FOLDS = 5
SETTINGS = ("model.encoders.audio.branches=[mfcc]", "training.epochs=10", "out=runs/transfer")
GENDER, EMOTION, TRANSFER = "gender", "emotion", "gender, then emotion"
METRICS = ("balanced_accuracy", "auroc")
PAIRS = Table("emodb", (Row("transfer"), Row("emotion")), (("transfer", "emotion"),), "", METRICS)
NOTES = (
    "The MFCC branch of EmoAudioNet with 32 channels, ten epochs per training, one seed: 10 "
    "speakers, 339 utterances for gender, 268 for sad and angry against neutral. The folds are "
    "stratified by gender, and the thresholds are chosen on validation speakers. No setting was "
    "chosen on these results."
)


def train_fold(fold: int, base: Path) -> None:
    """Train the three models of a fold.

    Parameters
    ----------
    fold : int
        Index of the fold.
    base : Path
        Folder of corpora, stores and runs.
    """
    common = (*SETTINGS, f"split.fold={fold}")
    gender = f"gender-{fold}"
    depmm("train", "emoaudionet_gender", *common, f"name={gender}", cwd=base)
    start = f"training.init_from=runs/transfer/{gender}"
    depmm("train", "emoaudionet_transfer", *common, f"name=transfer-{fold}", start, cwd=base)
    start = "training.init_from=null"
    depmm("train", "emoaudionet_transfer", *common, f"name=emotion-{fold}", start, cwd=base)
    print(f"fold {fold} of {FOLDS}", flush=True)


def main() -> None:
    """Train all folds, and print or record the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--emodb", type=Path, required=True)
    parser.add_argument("--record", action="store_true", help="write the results file")
    options = parser.parse_args()
    base = options.out.absolute()
    prepare("emodb", base, options.emodb.absolute())
    for fold in range(FOLDS):
        train_fold(fold, base)
    runs = base / "runs/transfer"
    for name in ("gender", "emotion", "transfer"):
        tables = [
            pd.read_parquet(runs / f"{name}-{fold}/predictions.parquet") for fold in range(FOLDS)
        ]
        pd.concat(tables, ignore_index=True).to_parquet(runs / f"{name}.parquet")
    out = base / "comparisons/transfer"
    depmm("compare", runs / "transfer.parquet", runs / "emotion.parquet", "--out", out, cwd=base)
    depmm("evaluate", runs / "gender.parquet", "--out", runs / "gender_report", cwd=base)
    compared = json.loads((out / "metrics.json").read_text(encoding="utf-8"))["runs"]
    gender = json.loads((runs / "gender_report/metrics.json").read_text(encoding="utf-8"))
    rows = [
        {"trained on": label, "tested on": tested} | metric_cells(content, METRICS)
        for label, tested, content in (
            (GENDER, "gender", gender),
            (EMOTION, "emotion", compared["emotion"]),
            (TRANSFER, "emotion", compared["transfer"]),
        )
    ]
    pairs = paired_rows(PAIRS, pd.read_csv(out / "differences.csv"))
    source = {
        "command": "python experiments/benchmarks/transfer.py OUT --emodb EMODB --record",
        "seeds": [0],
        "origin": describe_origin([runs]),
    }
    described = describe_intervals([gender, *compared.values()], METRICS)
    publish("transfer", rows, options.record, interval=described, notes=NOTES, **source)
    bounds = "95 % of the paired difference over subjects; p by permutation, adjusted (Holm)"
    publish("transfer_pairs", pairs, options.record, interval=bounds, **source)


if __name__ == "__main__":
    main()
