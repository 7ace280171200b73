"""Plant words, confounds or nothing, and see what each explanation reports.

    python experiments/benchmarks/planted_words.py [CORPORA] [CONDITION...]

48 simulated people read 12 emotion words: the bluntness of ``depmm simulate`` shifts two features
of the voice and two of the face up by a standard deviation a unit, two others down, ten rows a
second. Each corpus is indexed, extracted, cross-validated (``configs/planted_words.yaml``) and
explained with the commands of a user: everybody is explained by the model that neither trained nor
validated on them. The words are ranked by each explanation, as ``depmm ask RUN words-by-label``
does, and compared with the truth:

``planted``   effect 1.0: AUC of the ranking for planted words
``nothing``   effect 0: the same AUC (of words that would have been planted), and false discoveries
``gender``    effect 0; 85 % of the depressed are women, as few of the healthy, and women speak and
              move differently in half of the words, by 1.5 standard deviations
``duration``  effect 0; every word takes the depressed half as long again

A model cannot be asked about what it did not learn: the AUROC of its predictions stands beside.
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

from depmm.config import MODALITIES
from depmm.corpora.word_lists import ENGLISH_WORDS
from depmm.interpret.query.ask import ask
from depmm.simulation.reading_list import Step, read_word_lists, sample_reading_list
from depmm.simulation.word_reading import SimulatedSubject, sample_subjects

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
GIVEN = ("selected", "occlusion")  # what depmm explain computes unasked
METHODS = (*GIVEN, "permutation", "integrated_gradients", "shapley")
WORDS = 12
PEOPLE = 48
LOADINGS = np.array([1.0, 1.0, -1.0, -1.0])  # of bluntness on features, standard deviations
ROWS_PER_WORD = 10  # 1 s
LEVEL = 0.05  # of q
FIRST = 3  # corpus; 0, 1 and 2 chose the sizes of configs/planted_words.yaml
SEEDS = "0,1,2"  # of the trainings; a person's attributions are the mean over their models
GENDER_SHARE, GENDER_SHIFT = 0.85, 1.5
LONGER = 1.5


@dataclass(frozen=True)
class Condition:
    """What is planted."""

    name: str
    effect: float = 0.0
    gender: bool = False
    longer: float = 1.0


CONDITIONS = {
    condition.name: condition
    for condition in (
        Condition("planted", effect=1.0),
        Condition("nothing"),
        Condition("gender", gender=True),
        Condition("duration", longer=LONGER),
    )
}


def simulate(out: Path, condition: Condition, people: int, seed: int) -> list[Step]:
    """Write a corpus in the layout of ``planted_words_spec.yaml`` and return what was read."""
    lists = read_word_lists(ENGLISH_WORDS)
    reading = sample_reading_list(WORDS, lists, np.random.default_rng((seed, 0)))
    persons = sample_subjects(people, reading, seed, condition.effect)
    rng = np.random.default_rng((seed, 1))
    if condition.gender:
        persons = _by_gender(persons, rng)
    words, labels = [], []
    for person in persons:
        own, traits = np.random.default_rng((seed, person.index, 3)), person.traits
        stretch = condition.longer if traits.diagnosis == "depressed" else 1.0
        rows = round(ROWS_PER_WORD * stretch)
        for modality in MODALITIES:
            shift = np.repeat(person.bluntness[modality], rows)[:, None]
            values = own.standard_normal((len(shift), len(LOADINGS))) + shift * LOADINGS
            file = out / modality / f"{person.subject}_1.npy"
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, values.astype(np.float32))
        for number, step in enumerate(reading):
            times = number * rows / ROWS_PER_WORD, (number + 1) * rows / ROWS_PER_WORD
            words.append((person.subject, 1, number, *times, step.word, step.valence))
        labels.append((person.subject, 1, traits.score, traits.gender, traits.age))
    columns = ["subject", "session", "step", "start_s", "end_s", "word", "valence"]
    pd.DataFrame(words, columns=columns).to_csv(out / "words.csv", index=False)
    columns = ["subject", "session", "score", "gender", "age"]
    pd.DataFrame(labels, columns=columns).to_csv(out / "labels.csv", index=False)
    return reading


def _by_gender(persons: list[SimulatedSubject], rng: np.random.Generator) -> list[SimulatedSubject]:
    """Make most of the depressed women, most of the healthy men, and women differ in some words."""
    special = rng.permutation(WORDS)[: WORDS // 2]
    result = []
    for group, other in (("female", "depressed"), ("male", "healthy")):
        own = [person for person in persons if person.traits.diagnosis == other]
        same_gender = rng.permutation(len(own)) < round(GENDER_SHARE * len(own))
        for same, person in zip(same_gender, own, strict=True):
            gender = group if same else {"female": "male", "male": "female"}[group]
            bluntness = {name: values.copy() for name, values in person.bluntness.items()}
            if gender == "female":
                for values in bluntness.values():
                    values[special] += GENDER_SHIFT
            traits = replace(person.traits, gender=gender)
            result.append(replace(person, traits=traits, bluntness=bluntness))
    return sorted(result, key=lambda person: person.index)


def explained_run(
    folder: Path,
    condition: Condition,
    people: int,
    seed: int,
    methods: Sequence[str] = METHODS,
    seeds: str = SEEDS,
) -> list[Step]:
    """Simulate, index, extract, cross-validate and explain; the run is ``folder/runs/run``."""
    reading = simulate(folder / "recordings", condition, people, seed)
    program = HERE.parent / "cross_validate.py"
    config = HERE.parent / "configs" / "planted_words.yaml"
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
    _call(sys.executable, program, config, "--seeds", seeds, *settings)
    asked = [part for name in methods if name not in GIVEN for part in ("--method", name)]
    _call(BIN / "depmm", "explain", folder / "runs" / "run", *asked)
    return reading


def _call(*command: object) -> None:
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        env={**os.environ, "TOKENIZERS_PARALLELISM": "false"},
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}:\n{done.stdout}{done.stderr}")


def measure(
    folder: Path, condition: Condition, reading: list[Step], methods: Sequence[str] = METHODS
) -> Iterator[dict[str, object]]:
    """Rank the words of a run by each explanation, with and without regard to gender."""
    planted = {step.word: step.planted_for is not None for step in reading}
    truth = {word: here and condition.effect > 0 for word, here in planted.items()}
    predictions = pd.read_parquet(folder / "runs" / "run" / "predictions.parquet")
    folds = predictions[predictions["split"] == "test"].groupby(["seed", "fold"])
    auroc = np.mean([roc_auc_score(own["y_true"], own["y_prob"]) for _, own in folds])
    for within in (None, "gender") if condition.gender else (None,):
        for method in methods:
            ranking = ask(
                folder / "runs" / "run",
                "words-by-label",
                rank_by=method,
                top=WORDS,
                stratify_by=within,
            )
            strength = ranking["effect"].abs().fillna(0.0)
            yield {
                "condition": condition.name + (", within gender" if within else ""),
                "method": method,
                "auroc": auroc,
                "auc": roc_auc_score(ranking["word"].map(planted), strength),
                "found": int((ranking["q"] < LEVEL).sum()),
                "false": int(((ranking["q"] < LEVEL) & ~ranking["word"].map(truth)).sum()),
            }


def main(arguments: list[str]) -> None:
    """Print a table of conditions and methods, means over corpora."""
    corpora = int(arguments[0]) if arguments else 3
    rows = []
    for name in arguments[1:] or CONDITIONS:
        for seed in range(FIRST, FIRST + corpora):
            with tempfile.TemporaryDirectory() as folder:
                reading = explained_run(Path(folder), CONDITIONS[name], PEOPLE, seed)
                rows += measure(Path(folder), CONDITIONS[name], reading)
            print(f"{name}, corpus {seed}: AUROC {rows[-1]['auroc']:.3f}", flush=True)
    grouped = pd.DataFrame(rows).groupby(["condition", "method"], sort=False)
    summary = grouped[["auroc", "auc", "found", "false"]].mean().round(3)
    summary["lowest auc"] = grouped["auc"].min().round(3)
    print(f"{corpora} corpora a condition, {PEOPLE} people, {WORDS} words, q < {LEVEL}")
    print(summary.to_string())


if __name__ == "__main__":
    main(sys.argv[1:])
