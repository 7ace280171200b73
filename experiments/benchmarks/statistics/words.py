"""False discoveries and power of the comparison of words between labels.

    python experiments/benchmarks/statistics/words.py [STUDIES]      (1000 studies: 80 seconds)
    python experiments/benchmarks/statistics/words.py limits         (17 seconds)

Subjects read 12 words with ``dim`` features each; neighbouring words correlate by .3, and each
subject has a common shift, or the words are independent. Models (nearest mean, ridge regression, a
network with 8 hidden units) are trained on half of the subjects, or cross-validated with 2, 5 or 10
folds or leaving one subject out. Attributions are occlusions: the logit minus the logit with the
training mean of the word (``training``) or the mean of the subject's other words (``relative``) in
the place of a word.

For each protocol, ``before`` is the permutation test of the labels over all subjects (by its normal
approximation) and ``now`` the test that ``depmm.interpret.query.label_tests`` chooses; both adjust
p for 12 words. ``any`` is the share of studies with a q < .05, ``power`` the share of planted words
with a q < .05, ``false`` the share of studies in which another word has one.

Truths: none; ``balanced`` (three words raised and three lowered), ``one-sided`` (six raised) and
``interacting`` (two words, whose product, but neither alone, differs between the labels).

``limits`` prints the rates of the one-sided test with several variances for attributions that are
linear in the training labels, by the number of independent features of a word.
"""

import sys
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from depmm.interpret.query.label_tests import LabelTest, compute_fold_p, compute_fold_z
from depmm.multiple_testing import benjamini_hochberg

N_WORDS, DIM, HIDDEN = 12, 2, 8
CORRELATION, SUBJECT_SHIFT = 0.3, 0.7  # of neighbouring words; SD common to a subject's words
RIDGE, STEPS, RATE, DECAY = 20.0, 120, 0.02, 0.05
BATCH = 2400  # models that are trained together
EFFECTS = {"none": 0.0, "balanced": 0.7, "one-sided": 1.0, "interacting": 0.7}
SIGNS = {"balanced": [1, -1] * 3, "one-sided": [1] * 6}

Floats = NDArray[np.float64]


class Setting(NamedTuple):
    """What is simulated; ``folds`` 1 is a split into halves, 0 leaves one subject out."""

    model: str = "ridge"
    folds: int = 5
    truth: str = "none"
    subjects: int = 48
    share: float = 0.5
    reference: str = "training"
    dim: int = DIM
    independent: bool = False  # words of a subject
    word_sd: float = 1.0  # of the means of the words


class Studies(NamedTuple):
    """Features (S, N, words, dim), labels (S, N) and planted words (S, words)."""

    features: Floats
    labels: NDArray[np.bool_]
    planted: NDArray[np.bool_]


def simulate(setting: Setting, n: int, rng: np.random.Generator) -> Studies:
    """Simulate ``n`` studies."""
    shape = (n, setting.subjects, N_WORDS, setting.dim)
    rank = rng.random(shape[:2]).argsort(axis=1)
    labels = rank < round(setting.share * setting.subjects)
    distance = np.subtract.outer(np.arange(N_WORDS), np.arange(N_WORDS))
    features = rng.standard_normal(shape)
    if not setting.independent:
        root = np.linalg.cholesky(CORRELATION ** np.abs(distance))
        features = np.einsum("vw,snwd->snvd", root, features)
        features += SUBJECT_SHIFT * rng.standard_normal((*shape[:2], 1, shape[3]))
    features += setting.word_sd * rng.standard_normal((n, 1, *shape[2:]))
    loadings = rng.choice([-1.0, 1.0], (n, 1, shape[3]))
    order = rng.random((n, N_WORDS)).argsort(axis=1)
    effect = EFFECTS[setting.truth]
    signs = np.zeros(N_WORDS)
    signs[: len(SIGNS.get(setting.truth, []))] = SIGNS.get(setting.truth, [])
    sign = signs[order]
    features += effect * labels[..., None, None] * (sign[..., None] * loadings)[:, None]
    planted = sign != 0
    if setting.truth == "interacting":
        first = 2 * effect * rng.choice([-1.0, 1.0], shape[:2])
        for word, shift in ((order == 0, first), (order == 1, np.where(labels, first, -first))):
            features += (word[:, None, :, None] * loadings[:, None]) * shift[..., None, None]
        planted = order < 2
    return Studies(features, labels, planted)


def assign_folds(
    labels: NDArray[np.bool_], folds: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Assign subjects to folds, stratified by label; (S, N)."""
    order = np.lexsort((rng.random(labels.shape), labels), axis=1)
    result = np.empty(labels.shape, dtype=np.int64)
    np.put_along_axis(result, order, np.arange(labels.shape[1])[None] % folds, axis=1)
    return result


def explain(studies: Studies, fold: NDArray[np.int64], setting: Setting, seed: int) -> Floats:
    """Train a model without each fold and compute its occlusions; (S, folds, N, words)."""
    x = torch.tensor(studies.features, dtype=torch.float32)
    y = torch.tensor(studies.labels, dtype=torch.float32)
    used = 1 if setting.folds == 1 else int(fold.max()) + 1
    train = torch.tensor(fold[:, None] != np.arange(used)[:, None]).float()
    flat = x.flatten(2)
    size = train.sum(-1, keepdim=True)
    mean = torch.einsum("sfn,snp->sfp", train, flat) / size
    if setting.reference == "relative":
        replacement = ((x.sum(2, keepdim=True) - x) / (N_WORDS - 1))[:, None]
    else:
        replacement = mean.reshape(*mean.shape[:2], 1, *x.shape[2:])
    if setting.model == "network":
        return _explain_network(flat, y, train, mean, replacement, seed)
    positive = torch.einsum("sfn,sn->sf", train, y)[..., None]
    if setting.model == "ridge":
        centred = (flat[:, None] - mean[:, :, None]) * train[..., None]
        gram = centred.mT @ centred + RIDGE * torch.eye(flat.shape[2])
        target = (y[:, None] - positive / size) * train
        weight = torch.linalg.solve(gram, centred.mT @ target[..., None])[..., 0]
    else:
        total = torch.einsum("sfn,snp->sfp", train * y[:, None], flat)
        weight = total / positive - (mean * size - total) / (size - positive)
    weight = weight.reshape(*weight.shape[:2], 1, *x.shape[2:])
    values: Floats = ((x[:, None] - replacement) * weight).sum(-1).double().numpy()
    return values


def _explain_network(
    x: Tensor, y: Tensor, train: Tensor, mean: Tensor, replacement: Tensor, seed: int
) -> Floats:
    """Train one hidden layer of rectified units per model with AdamW, and occlude words."""
    generator = torch.Generator().manual_seed(seed)
    models, width = train.shape[:2], x.shape[2]

    def draw(*shape: int, scale: float) -> Tensor:
        values = torch.randn(1, 1, *shape, generator=generator) * scale
        return values.expand(*models, *shape).clone().requires_grad_()

    first, bias = draw(width, HIDDEN, scale=width**-0.5), draw(1, HIDDEN, scale=0.0)
    second, offset = draw(HIDDEN, 1, scale=HIDDEN**-0.5), draw(1, 1, scale=0.0)

    def predict(values: Tensor) -> Tensor:
        hidden = torch.relu((values - mean[:, :, None]) @ first + bias)
        return (hidden @ second + offset)[..., 0]

    target = y[:, None].expand(*models, -1)
    optimizer = torch.optim.AdamW([first, bias, second, offset], lr=RATE, weight_decay=DECAY)
    weights = train / train.sum(-1, keepdim=True)
    for _ in range(STEPS):
        optimizer.zero_grad()
        losses = torch.nn.functional.softplus((1 - 2 * target) * predict(x[:, None]))
        (losses * weights).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    with torch.no_grad():
        logit, columns = predict(x[:, None]), []
        for word in range(N_WORDS):
            changed = x[:, None].repeat(1, models[1], 1, 1)
            changed = changed.reshape(*changed.shape[:3], N_WORDS, -1)
            changed[..., word, :] = replacement[..., word, :]
            columns.append(logit - predict(changed.flatten(3)))
    values_of_words: Floats = torch.stack(columns, dim=-1).double().numpy()
    return values_of_words


def compare_study(
    values: Floats, labels: NDArray[np.bool_], fold: NDArray[np.int64], setting: Setting
) -> tuple[Floats, Floats]:
    """Compute q before and now."""
    together = np.zeros(len(labels), dtype=np.int64)
    z = compute_fold_z(values, labels, together)
    before = 2 * stats.norm.sf(np.abs(z))
    if setting.folds == 1:
        now = before
    elif setting.folds == 0:
        now = compute_fold_p(z, LabelTest.BETWEEN_MODELS, models=1)
    else:
        z = compute_fold_z(values, labels, fold)
        now = compute_fold_p(z, LabelTest.CONCORDANCE, setting.folds)
    return benjamini_hochberg(before), benjamini_hochberg(now)


def run(setting: Setting, n: int = 200, seed: int = 0) -> pd.DataFrame:
    """Run ``n`` studies; one row each for before and now: any, power, false."""
    rng = np.random.default_rng(seed)
    results: dict[str, list[Floats]] = {"before": [], "now": []}
    planted = []
    models = {0: setting.subjects, 1: 1}.get(setting.folds, setting.folds)
    size = max(1, BATCH // models)
    for start in range(0, n, size):
        studies = simulate(setting, min(size, n - start), rng)
        if setting.folds == 0:
            fold = np.broadcast_to(np.arange(setting.subjects), studies.labels.shape)
        else:
            fold = assign_folds(studies.labels, max(setting.folds, 2), rng)
        values = explain(studies, fold, setting, seed)
        for study, labels in enumerate(studies.labels):
            own = np.zeros(len(labels), int) if setting.folds == 1 else fold[study]
            attribution = values[study][own, np.arange(len(labels))]
            tested = fold[study] == 0 if setting.folds == 1 else np.full(len(labels), True)
            before, now = compare_study(
                attribution[tested], labels[tested], fold[study][tested], setting
            )
            results["before"].append(before)
            results["now"].append(now)
        planted.append(studies.planted)
    truth = np.concatenate(planted)
    rows = []
    for name, q in results.items():
        found = np.array(q) < 0.05
        rows.append(
            {
                "test": name,
                "any": found.any(axis=1).mean(),
                "power": found[truth].mean() if truth.any() else np.nan,
                "false": (found & ~truth).any(axis=1).mean(),
            }
        )
    return pd.DataFrame(rows).set_index("test")


def list_settings() -> list[Setting]:
    """List the settings of the tables in the documentation."""
    settings = [
        Setting(model, folds)
        for model in ("nearest mean", "ridge", "network")
        for folds in (1, 2, 5, 10, 0)
    ]
    settings += [
        Setting("ridge", folds, dim=dim, independent=True)
        for dim in (1, 2)
        for folds in (1, 2, 5, 10, 0)
    ]
    settings += [
        Setting("nearest mean", folds, subjects=96, dim=64, independent=True)
        for folds in (1, 2, 5, 10, 0)
    ]
    settings += [
        Setting("ridge", folds, subjects=24, share=0.3, reference=reference, word_sd=word_sd)
        for reference, word_sd in (("training", 1.0), ("relative", 10.0))
        for folds in (1, 2, 5, 10, 0)
    ]
    settings += [
        Setting(model, folds, truth)
        for truth in ("balanced", "one-sided", "interacting")
        for model in ("ridge", "network")
        for folds in (1, 5, 10, 0)
    ]
    return settings + [
        Setting("ridge", folds, "one-sided", reference="relative") for folds in (1, 5)
    ]


def simulate_products(folds: int, dim: int, n: int, rng: np.random.Generator) -> Floats:
    """Simulate z of ``n`` studies of independent words whose attributions are linear in g.

    ``folds`` 0 is the limit of many folds, r - d / r; see ``label_tests``.
    """
    if folds == 0:
        r = np.sqrt(rng.chisquare(dim, (n, N_WORDS)))
        return np.asarray(r - dim / r)
    rows = []
    for _ in range(n):
        g = rng.standard_normal((N_WORDS, folds, dim), dtype=np.float32)
        weight = g.sum(1, keepdims=True) - g
        rows.append((g * weight).sum((1, 2)) / np.sqrt((weight**2).sum((1, 2))))
    return np.array(rows, dtype=np.float64)


def print_limits(n: int = 4000) -> None:
    """Print the share of null studies with a q < .05 by folds and features per word."""
    rng = np.random.default_rng(11)
    for folds in (2, 3, 5, 0):
        for dim in (2, 8, 64, 512):
            z = simulate_products(folds, dim, n if folds == 0 or dim < 512 else n // 2, rng)
            rates = {}
            for variance in (1.0, 1.5, 1.75, 2.0):
                q = np.array([benjamini_hochberg(p) for p in stats.norm.sf(z / variance**0.5)])
                rates[variance] = round(float((q < 0.05).any(axis=1).mean()), 3)
            print(f"folds {folds or 'many'}, {dim} features: {rates} (variance: rate)", flush=True)


def main(arguments: list[str]) -> None:
    """Print the rates of each setting."""
    if arguments == ["limits"]:
        return print_limits()
    studies = int(arguments[0]) if arguments else 1000
    for setting in list_settings():
        n = studies if setting.truth == "none" else max(60, studies // 10)
        if setting.model == "network":
            n = max(60, n // 5)
        rates = run(setting, n, seed=11).round(3).to_dict("index")
        print(f"{tuple(setting)}, {n} studies: {rates}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
