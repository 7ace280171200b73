"""Measure the shipped configs on free corpora: tables of experiments/README.md.

    python experiments/benchmarks/tables.py OUT TABLE... --emodb DIR --ravdess DIR [--record]

The rows of a table (``table_definitions.py``) are configs that are cross-validated on the same
folds (``depmm cross-validate``) and compared on the same subjects (``depmm compare``). The script
can be interrupted: finished folds are kept. ``--record`` writes the results file ``TABLE``, and
``TABLE_pairs`` with the tested differences.
"""

import argparse
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from depmm.multiple_testing import holm
from experiments.benchmarks.commands import depmm
from experiments.benchmarks.table_definitions import (
    CORPORA,
    RANDOM_TRANSFORMER,
    TABLES,
    Table,
)
from experiments.results import interval, publish
from experiments.results_source import describe_origin
from experiments.results_tables import heading
from experiments.run_results import describe_intervals, metric_cells

COVARIATES = {"duration": "duration and steps alone", "demographics": "gender and age alone"}
PAIRED = (
    "First minus second, on the same subjects. p: permutation of predictions within subjects, or a "
    "t test over subjects and seeds if a row has several trainings; adjusted (Holm) for the rows "
    "of this table."
)


def run_table(name: str, base: Path, recordings: Path | None, write: bool) -> None:
    """Cross-validate the rows of a table, compare them, and print or record the results.

    Parameters
    ----------
    name : str
        Name of the table.
    base : Path
        Folder of corpora, stores and runs.
    recordings : Path or None
        Folder of the recordings; None if the corpus is simulated.
    write : bool
        Whether the results files are written.
    """
    table = TABLES[name]
    prepare(table.corpus, base, recordings)
    if any(row.name == RANDOM_TRANSFORMER for row in table.rows):
        write_random_transformer(base / "sources" / RANDOM_TRANSFORMER)
    contents, differences = measure(name, table, base)
    publish_table(name, table, base / "runs" / name, contents, differences, write)


def prepare(corpus: str, base: Path, recordings: Path | None) -> None:
    """Run the commands that write the store of a corpus, unless it exists.

    Parameters
    ----------
    corpus : str
        Key of ``CORPORA``.
    base : Path
        Folder of corpora, stores and runs.
    recordings : Path or None
        Folder of the recordings.
    """
    if (base / "stores" / corpus / "index.parquet").is_file():
        return
    base.mkdir(parents=True, exist_ok=True)
    for command in CORPORA[corpus]:
        words = shlex.split(command)
        if words[0] == "simulate" and is_simulated(base / words[1]):
            continue
        depmm(*(recordings if word == "{recordings}" else word for word in words), cwd=base)


def is_simulated(recordings: Path) -> bool:
    """Check whether a simulation is complete: it writes ``truth.json`` at its end."""
    return (recordings / "truth.json").is_file()


def measure(name: str, table: Table, base: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """Cross-validate and evaluate the rows of a table, and compare them if there are several.

    Parameters
    ----------
    name : str
        Name of the folders of the runs and of the comparison.
    table : Table
        The table.
    base : Path
        Folder of corpora, stores and runs.

    Returns
    -------
    contents : dict of str to dict
        Name of the row -> metrics, as in ``metrics.json``.
    differences : DataFrame
        All pairs, as ``depmm compare`` writes them; empty for one row.
    """
    runs, out = base / "runs" / name, base / "comparisons" / name
    for row in table.rows:
        settings = (f"out=runs/{name}", f"name={row.name}", *row.settings)
        depmm("cross-validate", row.config, "--seeds", row.seeds, *settings, cwd=base)
        print(f"{name}: {row.name}", flush=True)
    names = [row.name for row in table.rows]
    if len(names) == 1:
        depmm("evaluate", runs / names[0], cwd=base)
        text = (runs / names[0] / "metrics.json").read_text(encoding="utf-8")
        return {names[0]: json.loads(text)}, pd.DataFrame()
    depmm("compare", *(runs / name for name in names), "--out", out, cwd=base)
    content = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    return content["runs"], pd.read_csv(out / "differences.csv")


def publish_table(
    name: str,
    table: Table,
    runs: Path,
    contents: Mapping[str, Any],
    differences: pd.DataFrame,
    write: bool,
) -> None:
    """Print a table and its tested differences, and write their results files if asked for.

    Parameters
    ----------
    name : str
        Name of the table.
    table : Table
        The table.
    runs : Path
        Folder of its runs.
    contents : mapping of str to mapping
        Metrics of the rows.
    differences : DataFrame
        All pairs, as ``depmm compare`` writes them.
    write : bool
        Whether the results files are written.
    """
    seeds = sorted({int(s) for row in table.rows for s in row.seeds.split(",") if "," in row.seeds})
    real = any("{recordings}" in command for command in CORPORA[table.corpus])
    option = f" --{table.corpus} {table.corpus.upper()}" if real else ""
    source: dict[str, Any] = {
        "command": f"python experiments/benchmarks/tables.py OUT {name}{option} --record",
        "seeds": seeds or table.draws,
        "origin": describe_origin([runs / row.name for row in table.rows]),
    }
    counts = contents[table.rows[0].name]["counts"]["test"]
    notes = table.notes.format(subjects=counts["subjects"], sessions=counts["sessions"])
    described = describe_intervals(contents.values(), table.metrics)
    publish(name, metric_rows(table, contents), write, interval=described, notes=notes, **source)
    if pairs := paired_rows(table, differences):
        bounds = f"95 % of the paired difference over subjects{' and seeds' if seeds else ''}"
        publish(f"{name}_pairs", pairs, write, interval=bounds, notes=PAIRED, **source)


def metric_rows(table: Table, contents: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the metrics of every row, best first, and those of the covariate baselines.

    Parameters
    ----------
    table : Table
        The table.
    contents : mapping of str to mapping
        Name of the row -> metrics.
    """
    last = table.metrics[-1]
    above = f"{last} above duration and steps"
    baselines = covariates(contents[table.rows[0].name])
    rows = []
    for row in table.rows:
        content = contents[row.name]
        cells = {"config": row.name, "trainings": content["bootstrap"]["n_trainings"]}
        cells |= metric_cells(content, table.metrics)
        if "duration" in baselines:
            gain = covariates(content)["duration"]["metrics"][last]["gain"]
            cells[above] = interval(gain["value"], gain["ci_low"], gain["ci_high"])
        rows.append(cells)
    rows.sort(key=lambda cells: -cells[last]["value"])
    for name, label in COVARIATES.items():
        if name in baselines:
            cells = metric_cells(baselines[name], table.metrics)
            rows.append({"config": label, "trainings": None, **cells})
    return rows


def covariates(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the covariate baselines of a run.

    Parameters
    ----------
    content : mapping
        Its metrics, as in ``metrics.json``.
    """
    (target,) = content["covariate_baselines"].values()
    baselines: Mapping[str, Any] = target["baselines"]
    return baselines


def paired_rows(table: Table, differences: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the tested differences, with p adjusted for them.

    Parameters
    ----------
    table : Table
        The table.
    differences : DataFrame
        All pairs, as ``depmm compare`` writes them.
    """
    rows: list[dict[str, Any]] = []
    p: list[float] = []
    # depmm compare has no test of some metrics, such as the CCC
    compared = [name for name in table.metrics if name in set(differences["metric"])]
    for first, second in table.pairs:
        for metric in compared:
            value, of_pair = find_difference(differences, metric, first, second)
            rows.append(
                {"difference": f"{first} minus {second}", "metric": heading(metric), "value": value}
            )
            p.append(of_pair)
    adjusted = [float(value) for value in holm(p)]
    return [
        row | {"p": None if np.isnan(value) else value}
        for row, value in zip(rows, adjusted, strict=True)
    ]


def find_difference(
    differences: pd.DataFrame, metric: str, first: str, second: str
) -> tuple[dict[str, float], float]:
    """Find the difference of a pair, which may be listed in the other order.

    Parameters
    ----------
    differences : DataFrame
        All pairs.
    metric, first, second : str
        Metric and names of the runs.

    Returns
    -------
    difference : dict
        Cell of the first run less the second one, with its interval.
    p : float
        Not adjusted.
    """
    of_metric = differences[differences["metric"] == metric]
    for a, b, sign in ((first, second, 1), (second, first, -1)):
        pair = of_metric[(of_metric["run_a"] == a) & (of_metric["run_b"] == b)]
        if len(pair):
            found = pair.iloc[0]
            low, high = sorted((sign * float(found["ci_low"]), sign * float(found["ci_high"])))
            return interval(sign * float(found["difference"]), low, high), float(found["p"])
    raise ValueError(f"{first} and {second} are not compared in {metric}.")


def write_random_transformer(folder: Path) -> None:
    """Write a small wav2vec 2.0 with random weights in the layout of the hub.

    Parameters
    ----------
    folder : Path
        Created, unless it exists.
    """
    if folder.exists():
        return
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    torch.manual_seed(0)
    config = Wav2Vec2Config(
        hidden_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=128,
        conv_dim=[64] * 7,
        num_conv_pos_embeddings=32,
        num_conv_pos_embedding_groups=4,
    )
    Wav2Vec2Model(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(return_attention_mask=False).save_pretrained(folder)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the chosen tables.

    Parameters
    ----------
    arguments : sequence of str, optional
        Arguments of the command line; by default those of this process.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("tables", nargs="+", choices=[*TABLES], metavar="TABLE")
    parser.add_argument("--emodb", type=Path, help="recordings of Emo-DB")
    parser.add_argument("--ravdess", type=Path, help="speech recordings of RAVDESS")
    parser.add_argument("--record", action="store_true", help="write the results files")
    options = parser.parse_args(arguments)
    base = options.out.absolute()
    for name in options.tables:
        corpus = TABLES[name].corpus
        recordings = getattr(options, corpus, None)
        if recordings is None and hasattr(options, corpus):
            parser.error(f"{name} needs --{corpus}.")
        run_table(name, base, recordings and recordings.absolute(), options.record)


if __name__ == "__main__":
    main()
