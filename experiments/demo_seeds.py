"""Run both corpora of the demo with other seeds, and record what ``make demo`` should print.

    python experiments/demo_seeds.py OUT [--seeds 10] [--workers 1] [--record]

Each seed simulates, indexes and extracts both corpora, and trains and evaluates DEP-Former and its
unimodal halves with the same seed. The first is ``FIRST_SEED``: settings of the demo were chosen
when the figures of the seeds below it were known. A finished seed is one file in ``OUT``; the same
command continues an interrupted study, and recordings, stores and runs of a finished seed are
deleted. Seeds that were measured with other commands or configs are refused. ``--record`` writes
``results/demo_seeds.json``.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t

from depmm.config import load_config
from depmm.files.writing import write_text
from experiments.benchmarks.commands import depmm
from experiments.demo_summary import CORPORA, DIFFERENCE, SYSTEMS, prediction_interval, read_figures
from experiments.results import interval, publish
from experiments.results_source import describe_source, merge_sources

SIMULATIONS = {
    "demo": ["--subjects", "96", "--steps", "12", "--effect", "1.25"],
    "demo_fusion": [
        *("--pattern", "congruence"),
        *("--subjects", "160", "--steps", "6", "--effect", "3"),
    ],
}
FIRST_SEED = 10
EXPLAIN = ["--method", "grad_cam", "--method", "region_occlusion"]


def commands(corpus: str, seed: int, workers: int) -> list[list[str]]:
    """Return the commands of depmm for one corpus and seed, in a folder of their own.

    Parameters
    ----------
    corpus : str
        Key of ``CORPORA``.
    seed : int
        Seed of the corpus and of the trainings.
    workers : int
        Processes of simulation and extraction.

    Returns
    -------
    list of list of str
        Arguments of depmm.
    """
    recordings, manifest = f"corpora/{corpus}/recordings", f"corpora/{corpus}/manifest"
    processes = ["--workers", str(workers)]
    runs = [f"runs/{corpus}{suffix}" for suffix in SYSTEMS]
    trainings = [
        ["train", f"{corpus}{suffix}", f"seed={seed}"] for suffix in SYSTEMS if suffix != "_sum"
    ]
    return [
        ["simulate", recordings, *SIMULATIONS[corpus], "--seed", str(seed), *processes],
        ["index", "ewre_simulated", recordings, "--out", manifest],
        [
            *("extract", manifest, recordings, "--out", f"stores/{corpus}"),
            *("--config", corpus, *processes),
        ],
        *trainings,
        ["combine", runs[1], runs[2], "--out", runs[3]],
        *([["explain", runs[0], *EXPLAIN]] if corpus == "demo_fusion" else []),
        ["compare", *runs, "--out", f"runs/{corpus}_compared"],
    ]


def describe_study() -> dict[str, object]:
    """Describe what all seeds have in common: commands, and the configs with their defaults."""
    names = [f"{corpus}{suffix}" for corpus in CORPORA for suffix in SYSTEMS if suffix != "_sum"]
    configs = {name: load_config(name).model_dump(mode="json") for name in names}
    return {"commands": {name: commands(name, 0, 1) for name in CORPORA}, "configs": configs}


def check_study(path: Path) -> None:
    """Refuse results, or an unfinished seed, of another study.

    Parameters
    ----------
    path : Path
        File with the key ``study``.

    Raises
    ------
    ValueError
        If simulations or configs are not those of today.
    """
    study = describe_study()
    if json.loads(path.read_text(encoding="utf-8")).get("study") != study:
        raise ValueError(
            f"{path}: the commands or configs have changed. Choose another folder, or delete it."
        )


def run_seed(out: Path, seed: int, workers: int) -> None:
    """Run both corpora with one seed and write their figures; repeats no finished command.

    Parameters
    ----------
    out : Path
        Folder of the study.
    seed, workers : int
        As in ``commands``.

    Raises
    ------
    CalledProcessError
        If a command fails; ``OUT/seed_SEED/log.txt`` has its output.
    ValueError
        If the seed was begun with other commands or configs.
    """
    folder = out / f"seed_{seed}"
    path = folder / "progress.json"
    progress: dict[str, Any] = {
        "study": describe_study(), "source": describe_source(), "finished": [],
    }  # fmt: skip
    if path.is_file():
        check_study(path)
        earlier = json.loads(path.read_text(encoding="utf-8"))
        progress["source"] = merge_sources([earlier["source"], progress["source"]])
        progress["finished"] = earlier["finished"]
    folder.mkdir(parents=True, exist_ok=True)
    for corpus in CORPORA:
        for command in commands(corpus, seed, workers):
            line = " ".join(command)
            if line in progress["finished"]:
                continue
            print(f"seed {seed}: depmm {line}", flush=True)
            depmm(*command, cwd=folder)
            progress["finished"].append(line)
            write_text(path, json.dumps(progress) + "\n")
    figures = {f"{f.corpus}/{f.system}": f.value for f in read_figures(folder / "runs")}
    result = {name: progress[name] for name in ("study", "source")} | {"figures": figures}
    write_text(out / f"seed_{seed}.json", json.dumps(result, indent=1) + "\n")
    shutil.rmtree(folder)


def make_rows(results: list[dict[str, float]]) -> list[dict[str, object]]:
    """Make the rows of the results file.

    Parameters
    ----------
    results : list of dict of str to float
        Figures of each seed.
    """
    rows: list[dict[str, object]] = []
    for name in results[0]:
        corpus, system = name.split("/", 1)
        values = [result[name] for result in results]
        lowest = -1.0 if system == DIFFERENCE else 0.0
        low, high = prediction_interval(values, lowest)
        mean, sd = float(np.mean(values)), float(np.std(values, ddof=1))
        half = t.ppf(0.975, len(values) - 1) * sd / np.sqrt(len(values))
        rows.append(
            {
                "corpus": corpus,
                "system": system,
                "mean": interval(mean, max(lowest, mean - half), min(1.0, mean + half)),
                "SD": round(sd, 4),
                "lowest": round(min(values), 4),
                "highest": round(max(values), 4),
                "lowest expected": round(low, 4),
                "highest expected": round(high, 4),
            }
        )
    return rows


def main() -> None:
    """Run the seeds that are missing, and print or record the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    seeds = list(range(FIRST_SEED, FIRST_SEED + options.seeds))
    for seed in seeds:
        if not (options.out / f"seed_{seed}.json").is_file():
            run_seed(options.out.absolute(), seed, options.workers)
    files = [options.out / f"seed_{seed}.json" for seed in seeds]
    for file in files:
        check_study(file)
    results = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    publish(
        "demo_seeds",
        make_rows([result["figures"] for result in results]),
        options.record,
        command=f"python experiments/demo_seeds.py OUT --seeds {options.seeds} --record",
        seeds=seeds,
        notes="AUROC of the test subjects of each seed: 28 of 96 in demo, 48 of 160 in "
        "demo_fusion. Intervals of the mean end at 0 and 1.",
        interval="95 % confidence interval of the mean over seeds of corpus and training "
        "(Student's t); expected: 99.9 % prediction interval of one further seed, on the scale "
        "of arcsin(sqrt(value)) unless it is a difference; level approximate near 1",
        origin=merge_sources([result["source"] for result in results]),
    )


if __name__ == "__main__":
    main()
