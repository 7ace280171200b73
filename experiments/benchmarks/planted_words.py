"""Compare explanations with planted words, confounders, or no effect.

    python experiments/benchmarks/planted_words.py [CORPORA] [CONDITION...]

48 simulated subjects read 12 emotion words. The bluntness of ``depmm simulate`` raises two features
of the voice and two of the face by one standard deviation per unit and lowers two others, at ten
rows per second. Each corpus is indexed, extracted, cross-validated (``configs/planted_words.yaml``)
and explained with the commands of depmm; each subject is explained by the model that was neither
trained nor validated on it. The words are ranked by each explanation, as in ``depmm ask RUN
words-by-label``, and compared with the planted words:

``planted``   effect 1.0: AUC of the ranking for planted words
``nothing``   effect 0: the same AUC (for words that would have been planted), false discoveries
``gender``    effect 0; 85 % of the depressed and 15 % of the healthy subjects are women, whose
              features differ in half of the words, by 1.5 standard deviations
``duration``  effect 0; every word of a depressed subject is longer by half

Explanations depend on what a model has learned: the AUROC of its predictions is also printed.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from depmm.config import TRACKS
from depmm.corpora.word_lists import ENGLISH_WORDS
from depmm.interpret.query.ask import ask
from depmm.simulation.reading_list import Step, read_word_lists, sample_reading_list
from depmm.simulation.word_reading import SimulatedSubject, sample_subjects
from depmm.training.cross_validation import cross_validate

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
DEFAULT_METHODS = ("selected", "occlusion")  # always computed by depmm explain
METHODS = (*DEFAULT_METHODS, "permutation", "integrated_gradients", "shapley")
N_WORDS = 12
N_SUBJECTS = 48
LOADINGS = np.array([1.0, 1.0, -1.0, -1.0])  # of bluntness on features, standard deviations
ROWS_PER_WORD = 10  # 1 s
Q_LEVEL = 0.05  # false discovery rate
FIRST_SEED = 3  # the sizes in configs/planted_words.yaml were chosen on the corpora 0, 1 and 2
SEEDS = (0, 1, 2)  # of the trainings; attributions of a subject are the mean over its models
GENDER_SHARE, GENDER_SHIFT = 0.85, 1.5
STRETCH = 1.5


@dataclass(frozen=True)
class Condition:
    """Effect and confounders that are planted in a corpus."""

    name: str
    effect: float = 0.0
    gender: bool = False
    stretch: float = 1.0


CONDITIONS = {
    condition.name: condition
    for condition in (
        Condition("planted", effect=1.0),
        Condition("nothing"),
        Condition("gender", gender=True),
        Condition("duration", stretch=STRETCH),
    )
}


def simulate(out: Path, condition: Condition, n_subjects: int, seed: int) -> list[Step]:
    """Write a corpus in the layout of ``planted_words_spec.yaml`` and return the reading list."""
    lists = read_word_lists(ENGLISH_WORDS)
    reading = sample_reading_list(N_WORDS, lists, np.random.default_rng((seed, 0)))
    subjects = sample_subjects(n_subjects, reading, seed, condition.effect)
    rng = np.random.default_rng((seed, 1))
    if condition.gender:
        subjects = _confound_gender(subjects, rng)
    words, labels = [], []
    for subject in subjects:
        noise, traits = np.random.default_rng((seed, subject.index, 3)), subject.traits
        stretch = condition.stretch if traits.diagnosis == "depressed" else 1.0
        rows = round(ROWS_PER_WORD * stretch)
        for modality in TRACKS:
            shift = np.repeat(subject.bluntness[modality], rows)[:, None]
            values = noise.standard_normal((len(shift), len(LOADINGS))) + shift * LOADINGS
            file = out / modality / f"{subject.subject}_1.npy"
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, values.astype(np.float32))
        for index, step in enumerate(reading):
            times = index * rows / ROWS_PER_WORD, (index + 1) * rows / ROWS_PER_WORD
            words.append((subject.subject, 1, index, *times, step.word, step.valence))
        labels.append((subject.subject, 1, traits.score, traits.gender, traits.age))
    columns = ["subject", "session", "step", "start_s", "end_s", "word", "valence"]
    pd.DataFrame(words, columns=columns).to_csv(out / "words.csv", index=False)
    columns = ["subject", "session", "score", "gender", "age"]
    pd.DataFrame(labels, columns=columns).to_csv(out / "labels.csv", index=False)
    return reading


def _confound_gender(
    subjects: list[SimulatedSubject], rng: np.random.Generator
) -> list[SimulatedSubject]:
    """Make most depressed subjects women and most healthy ones men; women differ in some words."""
    shifted = rng.permutation(N_WORDS)[: N_WORDS // 2]
    result = []
    for majority, minority, diagnosis in (
        ("female", "male", "depressed"),
        ("male", "female", "healthy"),
    ):
        group = [subject for subject in subjects if subject.traits.diagnosis == diagnosis]
        in_majority = rng.permutation(len(group)) < round(GENDER_SHARE * len(group))
        for is_majority, subject in zip(in_majority, group, strict=True):
            gender = majority if is_majority else minority
            bluntness = {name: values.copy() for name, values in subject.bluntness.items()}
            if gender == "female":
                for values in bluntness.values():
                    values[shifted] += GENDER_SHIFT
            traits = replace(subject.traits, gender=gender)
            result.append(replace(subject, traits=traits, bluntness=bluntness))
    return sorted(result, key=lambda subject: subject.index)


def make_explained_run(
    folder: Path,
    condition: Condition,
    n_subjects: int,
    seed: int,
    methods: Sequence[str] = METHODS,
    seeds: Sequence[int] = SEEDS,
) -> list[Step]:
    """Simulate, index, extract, cross-validate and explain a run in ``folder/runs/run``."""
    reading = simulate(folder / "recordings", condition, n_subjects, seed)
    settings = [
        f"out={folder / 'runs'}",
        "name=run",
        f"data.manifest={folder / 'manifest'}",
        f"data.store={folder / 'store'}",
        f"split.seed={seed}",
    ]
    spec, recordings = HERE / "planted_words_spec.yaml", folder / "recordings"
    _call(BIN / "depmm", "index", spec, recordings, "--out", folder / "manifest")
    _call(BIN / "depmm", "extract", folder / "manifest", recordings, "--out", folder / "store")
    cross_validate("planted_words", settings, seeds)
    options = [
        part for name in methods if name not in DEFAULT_METHODS for part in ("--method", name)
    ]
    _call(BIN / "depmm", "explain", folder / "runs" / "run", *options)
    return reading


def _call(*command: object) -> None:
    result = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        env={**os.environ, "TOKENIZERS_PARALLELISM": "false"},
    )
    if result.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}:\n{result.stdout}{result.stderr}")


def measure(
    folder: Path, condition: Condition, reading: list[Step], methods: Sequence[str] = METHODS
) -> Iterator[dict[str, object]]:
    """Rank the words of a run by each explanation, with and without stratification by gender."""
    planted = {step.word: step.planted_for is not None for step in reading}
    has_effect = {word: flag and condition.effect > 0 for word, flag in planted.items()}
    predictions = pd.read_parquet(folder / "runs" / "run" / "predictions.parquet")
    folds = predictions[predictions["split"] == "test"].groupby(["seed", "fold"])
    auroc = np.mean([roc_auc_score(fold["y_true"], fold["y_prob"]) for _, fold in folds])
    for stratify_by in (None, "gender") if condition.gender else (None,):
        for method in methods:
            ranking = ask(
                folder / "runs" / "run",
                "words-by-label",
                rank_by=method,
                top=N_WORDS,
                stratify_by=stratify_by,
            )
            ranking = ranking[ranking["word"].isin(planted)]  # without all steps together
            strength = ranking["effect"].abs().fillna(0.0)
            discovered = ranking["q"] < Q_LEVEL
            yield {
                "condition": condition.name + (", within gender" if stratify_by else ""),
                "method": method,
                "auroc": auroc,
                "auc": roc_auc_score(ranking["word"].map(planted), strength),
                "discoveries": int(discovered.sum()),
                "false": int((discovered & ~ranking["word"].map(has_effect)).sum()),
            }


def main(arguments: list[str]) -> None:
    """Print means over corpora for each condition and method."""
    corpora = int(arguments[0]) if arguments else 3
    rows = []
    for name in arguments[1:] or CONDITIONS:
        for seed in range(FIRST_SEED, FIRST_SEED + corpora):
            with tempfile.TemporaryDirectory() as folder:
                reading = make_explained_run(Path(folder), CONDITIONS[name], N_SUBJECTS, seed)
                rows += measure(Path(folder), CONDITIONS[name], reading)
            print(f"{name}, corpus {seed}: AUROC {rows[-1]['auroc']:.3f}", flush=True)
    grouped = pd.DataFrame(rows).groupby(["condition", "method"], sort=False)
    summary = grouped[["auroc", "auc", "discoveries", "false"]].mean().round(3)
    summary["lowest auc"] = grouped["auc"].min().round(3)
    print(f"{corpora} corpora per condition, {N_SUBJECTS} subjects, {N_WORDS} words, q < {Q_LEVEL}")
    print(summary.to_string())


if __name__ == "__main__":
    main(sys.argv[1:])
