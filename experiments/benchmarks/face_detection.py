"""Extract real talking faces, and count the frames with a face: a table of experiments/README.md.

    python experiments/benchmarks/face_detection.py OUT --grid DIR --ravdess DIR [--record]

The folders contain video clips of GRID and of RAVDESS. ``depmm extract`` samples five frames per
second of every step.
"""

import argparse
from pathlib import Path

import pandas as pd

from experiments.benchmarks.commands import depmm
from experiments.results import publish


def main() -> None:
    """Extract both corpora, and print or record the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--grid", type=Path, required=True)
    parser.add_argument("--ravdess", type=Path, required=True)
    parser.add_argument("--record", action="store_true", help="write the results file")
    options = parser.parse_args()
    base = options.out.absolute()
    base.mkdir(parents=True, exist_ok=True)
    rows = []
    for corpus in ("grid", "ravdess"):
        recordings = getattr(options, corpus).absolute()
        manifest, store = base / f"corpora/{corpus}_video/manifest", base / f"stores/{corpus}_video"
        depmm("index", corpus, recordings, "--out", manifest, cwd=base)
        depmm("extract", manifest, recordings, "--out", store, cwd=base)
        steps = pd.read_parquet(manifest / "steps.parquet")
        index = pd.read_parquet(store / "index.parquet")
        rows.append(
            {
                "corpus": corpus,
                "clips": int(steps["face"].dropna().nunique()),
                "subjects": int(index["subject"].nunique()),
                "sampled frames": int(index["n_frames"].sum()),
                "with a face": int(index["n_frames_with_face"].sum()),
                "failures": len(pd.read_parquet(store / "failures.parquet")),
            }
        )
    command = "python experiments/benchmarks/face_detection.py"
    command += " OUT --grid GRID --ravdess RAVDESS_VIDEO --record"
    publish("face_detection", rows, options.record, command=command)


if __name__ == "__main__":
    main()
