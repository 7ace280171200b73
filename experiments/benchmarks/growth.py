"""Measure how time and memory of every stage grow with the number of sessions.

    OMP_NUM_THREADS=1 python experiments/benchmarks/growth.py [--sessions 200,2000,20000] [--record]

Each stage is a command of depmm in a process of its own, on sessions of 8 steps with one feature
per modality, so that the numbers are those of the bookkeeping and not of sound or video. ``growth``
is the increase of the time per session from the second to the third size, divided by that from the
first to the second: 1 if the stage is linear, 10 if it is quadratic. The latter increase counts as
at least 5 % of the time of the first size, because less cannot be told from noise. The memory is
the largest of the process; that of 200 sessions is nearly that of the imports.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from experiments.benchmarks.commands import Cost, measure_depmm
from experiments.results import aim, publish, refuse_settings

SESSIONS = (200, 2000, 20_000)
N_STEPS = 8
GROWTH_AIM = 1.5
NOISE = 0.05  # of the time at the first size, which is that of the imports
CONFIG = """
name: growth
split: {kind: official}
out: runs
data:
  manifest: manifest
  store: store
  modalities: [audio, face]
  features: {audio: simulated_voice, face: simulated_face}
  max_rows: 1
model:
  encoders:
    audio: {kind: feature_cnn, features: 1, channels: [8], embed_dim: 8}
    face: {kind: feature_cnn, features: 1, channels: [8], embed_dim: 8}
  fusion: {kind: mean_pool}
training: {epochs: 1, batch_size: 32}
evaluation: {n_bootstrap: 200}
"""
STAGES = (
    ("index", "index simulated_design recordings --out manifest"),
    ("audit", "audit manifest"),
    ("audit of files", "audit manifest --root recordings"),
    ("extract", "extract manifest recordings --out store --workers 1"),
    ("train (1 epoch)", "train config.yaml"),
    ("evaluate", "evaluate runs/growth"),
    ("explain", "explain runs/growth"),
    ("look", "look store --out look.html"),
)


def write_corpus(folder: Path, n_sessions: int) -> None:
    """Write features and labels in the layout of ``depmm simulate --design``."""
    rng = np.random.default_rng(0)
    features = folder / "recordings" / "features"
    features.mkdir(parents=True)
    lines = ["subject,label,split"]
    for index in range(n_sessions):
        label = int(rng.integers(2))
        for modality in ("audio", "face"):
            rows = rng.normal(0.3 * label, 1, (N_STEPS, 1)).astype(np.float32)
            np.save(features / f"S{index:05d}_{modality}.npy", rows)
        split = ("train", "train", "train", "validation", "test")[index % 5]
        lines.append(f"S{index:05d},{label},{split}")
    (folder / "recordings" / "labels.csv").write_text("\n".join(lines) + "\n")
    (folder / "config.yaml").write_text(CONFIG)


def run_stage(command: str, folder: Path) -> Cost:
    """Run a command of depmm and measure it; findings of an audit are no failure."""
    allowed = (0, 1) if command.startswith("audit") else (0,)
    return measure_depmm(*command.split(), cwd=folder, allowed=allowed)


def growth_of(costs: dict[int, Cost]) -> float:
    """Return the ratio of the last two increases per session; 1 is linear."""
    sizes = sorted(costs)[-3:]
    first, second, third = (costs[size].processor_s for size in sizes)
    early = max(second - first, NOISE * first) / (sizes[1] - sizes[0])
    return (third - second) / (sizes[2] - sizes[1]) / early


def measure(sizes: tuple[int, ...], stages: tuple[tuple[str, str], ...]) -> list[dict[str, object]]:
    """Measure all stages at all sizes, the first one twice: its first run fills the file cache."""
    costs: dict[str, dict[int, Cost]] = {name: {} for name, _ in stages}
    for size in (sizes[0], *sizes):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            write_corpus(folder, size)
            for name, command in stages:
                cost = costs[name][size] = run_stage(command, folder)
                print(f"{size} {name}: {cost}", file=sys.stderr, flush=True)
    rows = []
    for name, measured in costs.items():
        row: dict[str, object] = {"stage": name}
        for size, cost in measured.items():
            row[f"s, {size:,} sessions"] = cost.processor_s
        for size, cost in measured.items():
            row[f"MiB, {size:,}"] = cost.memory_mib
        if len(sizes) > 2:
            row |= {"growth": growth_of(measured), "aim": aim("growth", at_most=GROWTH_AIM)}
        rows.append(row)
    return rows


def main() -> None:
    """Print or record the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", default=",".join(map(str, SESSIONS)))
    parser.add_argument("--stages", help="names, separated by commas; default: all")
    parser.add_argument("--record", action="store_true", help="write the results file")
    options = parser.parse_args()
    refuse_settings(parser, options, "sessions", "stages")
    chosen = options.stages.split(",") if options.stages else [name for name, _ in STAGES]
    stages = tuple(stage for stage in STAGES if stage[0] in chosen)
    rows = measure(tuple(map(int, options.sessions.split(","))), stages)
    command = "OMP_NUM_THREADS=1 python experiments/benchmarks/growth.py --record"
    notes = "Seconds of processor time of the whole command, the imports included."
    publish("growth", rows, options.record, command=command, notes=notes)


if __name__ == "__main__":
    main()
