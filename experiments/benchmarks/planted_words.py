"""Compare the ranking of words by explanations with planted words.

    python experiments/benchmarks/planted_words.py run OUT [--designs balanced,one_sided]
        [--corpora 20] [--first 100]
    python experiments/benchmarks/planted_words.py table OUT [--record]

48 simulated subjects read 12 words. DEP-Former (``configs/planted_words.yaml``) is cross-validated
with 5 folds and one seed, and each subject is explained by the model that was neither trained nor
validated on it. The words are compared between the labels and ranked as in ``depmm ask RUN
words-by-label rank_by=METHOD``. Designs:

``balanced``     six words are planted: depressed subjects show an effect of 1 in three, healthy
                 subjects in the other three
``one_sided``    depressed subjects show the effect in all six, so that the session mean also
                 carries the label
``interacting``  voice and face deviate in the same direction in depressed subjects and in opposite
                 directions in healthy ones: neither alone carries the label
``null``         nothing is planted
``gender``       nothing is planted, but 85 % of the depressed and 15 % of the healthy subjects are
                 women, whose features differ in half of the words, by 1.5 standard deviations
``duration``     nothing is planted, but words of depressed subjects are longer by half

``one_sided_subtracted_mean`` is ``one_sided`` with ``model.subtract_session_mean: true``, and
``interacting_240`` is ``interacting`` with 240 subjects. ``run`` writes one file per corpus and
continues an interrupted study. ``table`` prints, for each design and method, the AUC with which the
order of the words identifies the planted ones, the planted and other words with q < .05, the false
discovery rate, and the share of corpora that report a word that is not planted.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import beta, t
from sklearn.metrics import roc_auc_score

from depmm.files.writing import write_text
from depmm.interpret.query.word_effects import compare_words
from experiments.benchmarks.planted_corpora import DESIGNS, N_SUBJECTS, sample_corpus
from experiments.benchmarks.planted_training import METHODS, SESSION_SUFFIX, cross_validate
from experiments.results import aim, interval, publish
from experiments.results_source import describe_source, merge_sources

Q_LEVEL = 0.05  # nominal false discovery rate, see docs/concepts/explanations.md
FIRST_SEED = 100  # settings were chosen on the corpora 0, 1, 2, 10 and 12
DEFAULTS = ("shapley", "occlusion")  # of depmm ask, with and without Shapley values
FEW_METHODS = ("selected", "occlusion", "shapley")


@dataclass(frozen=True)
class Study:
    """A design with the settings of its training.

    Attributes
    ----------
    design : str
        Key of ``DESIGNS``.
    subjects : int
        Number of subjects.
    settings : tuple of str
        Settings of the config that differ.
    methods : tuple of str
        Attributions that are computed.
    by_session : bool
        Whether occlusion and Shapley values are also computed relative to the session's mean.
    """

    design: str
    subjects: int = N_SUBJECTS
    settings: tuple[str, ...] = ()
    methods: tuple[str, ...] = METHODS
    by_session: bool = False


STUDIES = {
    "balanced": Study("balanced", by_session=True),
    "one_sided": Study("one_sided", by_session=True),
    "one_sided_subtracted_mean": Study(
        "one_sided", settings=("model.subtract_session_mean=true",), by_session=True
    ),
    "interacting": Study("interacting"),
    "interacting_240": Study("interacting", subjects=240, methods=FEW_METHODS),
    "null": Study("null", methods=FEW_METHODS),
    "gender": Study("gender", methods=FEW_METHODS),
    "duration": Study("duration", methods=FEW_METHODS),
}


def run_corpus(name: str, seed: int) -> dict[str, Any]:
    """Train and explain one corpus, and compare its words by each method.

    Parameters
    ----------
    name : str
        Key of ``STUDIES``.
    seed : int
        Seed of corpus and folds.

    Returns
    -------
    dict of str to Any
        ``study``, ``seed``, ``source``, ``auroc`` of the predictions (mean over folds),
        ``planted``, the planted words, and ``words``, the comparison by each method.
    """
    study = STUDIES[name]
    corpus = sample_corpus(DESIGNS[study.design], study.subjects, seed)
    attributions, predictions = cross_validate(
        corpus, seed, study.methods, overrides=study.settings, by_session=study.by_session
    )
    folds = predictions.groupby(["seed", "fold"])
    auroc = np.mean([roc_auc_score(fold["y_true"], fold["y_prob"]) for _, fold in folds])
    words = {}
    for method in [m for m in attributions if m.removesuffix(SESSION_SUFFIX) in study.methods]:
        words[method] = _compare(attributions, method)
        if DESIGNS[study.design].gender:
            words[f"{method}, within gender"] = _compare(attributions, method, "gender")
    return {
        "study": name,
        "seed": seed,
        "source": describe_source(),
        "auroc": float(auroc),
        "planted": [step.word for step in corpus.reading if step.planted_for is not None],
        "words": words,
    }


def _compare(
    attributions: pd.DataFrame, method: str, stratify_by: str | None = None
) -> list[dict[str, Any]]:
    """Compare the words as ``depmm ask words-by-label`` does, in its order."""
    table = compare_words(attributions, method, stratify_by, draws=0)
    columns: list[dict[str, Any]] = table[["word", "effect", "p", "q"]].to_dict("records")
    return columns


def run_studies(out: Path, names: Sequence[str], corpora: int, first: int) -> None:
    """Measure the corpora that have no file yet, corpus by corpus."""
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for seed in range(first, first + corpora):
        for name in names:
            file = out / f"{name}-{seed}.json"
            if not file.is_file():
                write_text(file, json.dumps(run_corpus(name, seed)) + "\n")
                print(file.name, flush=True)


def read_studies(out: Path) -> pd.DataFrame:
    """Read the files of all corpora: one row per study, corpus and method."""
    rows = []
    for file in sorted(out.glob("*.json")):
        result = json.loads(file.read_text(encoding="utf-8"))
        planted = set(result["planted"]) if not is_null(result["study"]) else set()
        for method, words in result["words"].items():
            table = pd.DataFrame(words)
            is_planted = table["word"].isin(result["planted"])
            found = table["q"] < Q_LEVEL
            false = int((found & ~table["word"].isin(planted)).sum())
            # in the order of the answer, whose first word is the first of the ranking
            auc = roc_auc_score(is_planted, -table.index.to_numpy())
            rows.append(
                {
                    "study": result["study"],
                    "method": method,
                    "seed": result["seed"],
                    "auroc": result["auroc"],
                    "auc": auc if planted else np.nan,
                    "found": int(found.sum()) - false,
                    "false": false,
                    "proportion": false / max(1, int(found.sum())),
                    "source": result["source"],
                }
            )
    return pd.DataFrame(rows)


def is_null(study: str) -> bool:
    """Whether nothing is planted in the corpora of a study."""
    return DESIGNS[STUDIES[study].design].effect == 0


def make_rows(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Summarise each study and method over its corpora.

    Intervals of means are t intervals over corpora. Those of the false discovery rate and of the
    share of corpora are Clopper-Pearson intervals of the sum over corpora; for proportions between
    0 and 1, which vary less than 0 and 1 themselves, they are too wide.
    """
    for name in STUDIES:
        of_study = table[table["study"] == name]
        for method in dict.fromkeys(of_study["method"]):
            rows = of_study[of_study["method"] == method]
            shown = method.replace(SESSION_SUFFIX, ", session mean")
            row: dict[str, Any] = {"design": name, "method": shown, "corpora": len(rows)}
            row["AUROC of predictions"] = round(float(rows["auroc"].mean()), 3)
            if is_null(name):
                row |= {"AUC": None, "lowest AUC": None, "planted words with q < .05": None}
            else:
                row["AUC"] = _mean_interval(rows["auc"])
                row["lowest AUC"] = round(float(rows["auc"].min()), 3)
                row["planted words with q < .05"] = round(float(rows["found"].mean()), 2)
            row["other words with q < .05"] = round(float(rows["false"].mean()), 2)
            row["false discovery rate"] = _share_interval(rows["proportion"])
            row["corpora with a false word"] = _share_interval(rows["false"] > 0)
            aimed = name in ("balanced", "one_sided") and method in DEFAULTS
            row["aim of AUC"] = aim("AUC", at_least=0.95) if aimed else None
            yield row


def _mean_interval(values: pd.Series) -> dict[str, float]:
    n, mean = len(values), float(values.mean())
    half = t.ppf(0.975, n - 1) * float(values.std()) / n**0.5 if n > 1 else 1.0
    return interval(mean, max(0.0, mean - half), min(1.0, mean + half))


def _share_interval(values: pd.Series) -> dict[str, float]:
    n, total = len(values), float(values.sum())
    low = beta.ppf(0.025, total, n - total + 1) if total > 0 else 0.0
    high = beta.ppf(0.975, total + 1, n - total) if total < n else 1.0
    return interval(total / n, low, high)


def main() -> None:
    """Measure corpora, or print and record the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=["run", "table"])
    parser.add_argument("out", type=Path)
    parser.add_argument("--designs", default=",".join(STUDIES))
    parser.add_argument("--corpora", type=int, default=20)
    parser.add_argument("--first", type=int, default=FIRST_SEED)
    parser.add_argument("--record", action="store_true", help="write the results file")
    arguments = parser.parse_args()
    if arguments.action == "run":
        if arguments.record:
            parser.error("--record is an option of table")
        names = arguments.designs.split(",")
        run_studies(arguments.out, names, arguments.corpora, arguments.first)
        return
    table = read_studies(arguments.out)
    seeds = table.groupby("study", sort=False)["seed"].agg(["min", "max"])
    command = "python experiments/benchmarks/planted_words.py"
    publish(
        "planted_words",
        list(make_rows(table)),
        arguments.record,
        command=f"{command} run OUT\n{command} table OUT --record",
        seeds="; ".join(f"{name}: {low} to {high}" for name, (low, high) in seeds.iterrows()),
        interval="95 %, over corpora: t for the AUC (no width if all corpora have the same AUC), "
        "Clopper-Pearson for rates",
        origin=merge_sources(table["source"].tolist()),
    )


if __name__ == "__main__":
    main()
