"""Write a simulated corpus of a design, and the best possible AUROC on its test subjects."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depmm.config import StreamConfig
from depmm.corpora.spec_schema import TRUTH_FILE
from depmm.errors import did_you_mean
from depmm.files.writing import write_text
from depmm.simulation.designs import DESIGNS, DesignSample
from depmm.simulation.participants import GENERATOR, SimulationError, check_arguments, check_empty
from depmm.simulation.writers import write_array

STREAM = StreamConfig(name="rows", rate_hz=1.0, format="npy")  # format of all feature files
N_VALIDATION, N_TEST = 500, 2000  # subjects; a standard error of the AUROC below .012


def sample_design(
    design: str, subjects: int, seed: int
) -> tuple[NDArray[np.str_], NDArray[np.int64], DesignSample]:
    """Sample the sessions of a design, one per subject.

    Parameters
    ----------
    design : str
        A key of :data:`depmm.simulation.designs.DESIGNS`.
    subjects : int
        Number of training subjects; 500 validation and 2,000 test subjects are added.
    seed : int
        Seed of all random numbers.

    Returns
    -------
    splits : ndarray of str, shape (N,)
        ``train``, ``validation`` or ``test``.
    labels : ndarray of int64, shape (N,)
        0 or 1.
    sample : DesignSample
        Features and logits of the sessions.
    """
    splits = np.repeat(["train", "validation", "test"], [subjects, N_VALIDATION, N_TEST])
    rng = np.random.default_rng((seed, list(DESIGNS).index(design)))
    labels = rng.integers(0, 2, len(splits))
    return splits, labels, DESIGNS[design](np.where(labels == 1, 1.0, -1.0), rng)


def simulate_design(
    out: Path, design: str, *, subjects: int = 150, seed: int = 0
) -> dict[str, Any]:
    """Write the features of a design in the layout of the data spec ``simulated_design``.

    Parameters
    ----------
    out : Path
        A new or empty folder.
    design : str
        A key of :data:`depmm.simulation.designs.DESIGNS`.
    subjects : int, default 150
        Number of training subjects; 500 validation and 2,000 test subjects are added.
    seed : int, default 0
        Seed of all random numbers.

    Returns
    -------
    dict of str to Any
        The content of ``truth.json``; ``bayes_auroc`` has the AUROC of the Bayes classifier on the
        test subjects, for ``audio``, ``face``, ``both``, and for the sum of the unimodal logits;
        ``oracle_auroc`` that of the readers that know the design.

    Raises
    ------
    SimulationError
        If the design is unknown, an argument is out of range, or ``out`` is not empty.
    """
    from sklearn.metrics import roc_auc_score

    if design not in DESIGNS:
        raise SimulationError(
            f"The design {design!r} is unknown.",
            setting="design",
            value=design,
            remedy=did_you_mean(design, DESIGNS),
        )
    check_arguments({"subjects": (subjects, 2), "seed": (seed, 0)}, 0.0)
    check_empty(out)
    splits, labels, sample = sample_design(design, subjects, seed)

    features = out / "features"
    features.mkdir(parents=True)
    ids = [f"S{index:05d}" for index in range(1, len(splits) + 1)]
    for name, values in {"audio": sample.audio, "face": sample.face}.items():
        for subject, rows in zip(ids, values.astype(np.float32), strict=True):
            write_array(features / f"{subject}_{name}.npy", rows, STREAM, [rows.shape[1]])
    tested = splits == "test"
    logits = sample.logits | {"sum_of_logits": sample.logits["audio"] + sample.logits["face"]}

    def score(values: dict[str, NDArray[np.float64]]) -> dict[str, float]:
        return {name: roc_auc_score(labels[tested], x[tested]) for name, x in values.items()}

    truth = {
        "generator": GENERATOR,
        "design": design,
        "n_subjects": dict(zip(*np.unique(splits, return_counts=True), strict=True)),
        "n_steps": sample.audio.shape[1],
        "n_features": {"audio": sample.audio.shape[2], "face": sample.face.shape[2]},
        "seed": seed,
        "bayes_auroc": score(logits),
        "oracle_auroc": score(sample.oracles),
    }
    write_text(out / TRUTH_FILE, json.dumps(truth, indent=1, default=int) + "\n")
    table = [f"{row[0]},{row[1]},{row[2]}" for row in zip(ids, labels, splits, strict=True)]
    # last: without the table, no incomplete corpus is mistaken for a complete one
    write_text(out / "labels.csv", "\n".join(["subject,label,split", *table]) + "\n")
    return truth
