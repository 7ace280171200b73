"""Simulate what attributions report about words and modalities without an effect.

    python experiments/benchmarks/statistics/attributions.py [words|methods|dummy|branches]

``words``     Labels of 80 training and 60 test subjects, 12 words with two features. Both features
              of planted words differ between the labels: six words in one direction (one-sided),
              three in each direction (balanced), all words (common shift), or none. Subjects
              differ in all words by a common offset. A network is trained for each of 60
              studies, with and without subtraction of the session mean, and
              explained by each method with each reference. Words with a q < .05 are reported (as
              in ``depmm ask RUN words-by-label``): the share of studies that report a word without
              effect, the false discovery rate (which q controls at .05: with six planted words that
              are all found, a valid test reports a word without effect in 16 % of studies), the
              share of planted words that are reported, and the share of studies in which all steps
              removed have a p < .05. ``linear`` networks have no hidden layer.
``methods``   The same for occlusion, Shapley values and integrated gradients, in 40 studies.
``dummy``     A DEP-Former that reads 6 of 8 steps: the largest Shapley value of a step that it does
              not read, relative to the largest of all, if removed steps are replaced by the mean of
              the kept steps, and by a fixed reference.
``branches``  DEP-Formers with and without attention sharing are trained on corpora in which one
              modality carries no information of its own: the AUROC of the logit of its branch, and
              of its Shapley value by masks.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from depmm.config import DepFormerConfig
from depmm.interpret.attribution.integrated_gradients import compute_integrated_gradients
from depmm.interpret.attribution.methods import SESSION, TRAINING
from depmm.interpret.attribution.occlusion import occlude_steps, remove_all_steps
from depmm.interpret.attribution.removal import (
    Reference,
    compute_kept_logits,
    make_session_reference,
)
from depmm.interpret.attribution.shapley import (
    compute_exact_values,
    compute_modality_shapley,
    compute_step_shapley,
    list_subsets,
)
from depmm.interpret.query.group_effects import UNIT, compare_columns
from depmm.models.fusion.build import build_fusion

N_WORDS, N_FEATURES, HIDDEN = 12, 2, 16
N_TRAIN, N_TEST = 80, 60
EFFECT = 1.0  # standard deviations of a reading
OFFSET = 1.0  # standard deviation of the subjects' common offset, in the same unit
TRUTHS = {
    "one-sided": np.array([EFFECT] * 6 + [0.0] * 6),
    "balanced": np.array([EFFECT] * 3 + [-EFFECT] * 3 + [0.0] * 6),
    "common shift": np.full(N_WORDS, EFFECT / 2),
    "none": np.zeros(N_WORDS),
}
METHODS = ("occlusion", "shapley", "integrated_gradients")
EPOCHS = 60
PERMUTATIONS = 999
Q_LEVEL = 0.05


def draw_studies(
    truth: str, studies: int, subjects: int, offset: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw readings (studies, subjects, words, features) and labels (studies, subjects)."""
    labels = torch.arange(subjects).remainder(2).double().expand(studies, -1)
    shape = studies, subjects, N_WORDS, N_FEATURES
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    x += offset * torch.randn(studies, subjects, 1, 1, generator=generator, dtype=torch.float64)
    return x + labels[..., None, None] * torch.from_numpy(TRUTHS[truth])[:, None], labels


def fit_networks(
    x: Tensor, y: Tensor, kind: str, centred: bool, generator: torch.Generator
) -> list[Any]:
    """Train a network for each study at once; return models with ``fuse`` and ``head``."""
    studies, size = len(x), N_WORDS * N_FEATURES
    shapes = (size, HIDDEN), (1, HIDDEN), (HIDDEN, 1), (1, 1)
    weights = [
        (torch.randn(studies, *shape, generator=generator, dtype=torch.float64) / shape[0] ** 0.5)
        .mul(shape[0] > 1)
        .requires_grad_()
        for shape in shapes
    ]
    optimizer = torch.optim.AdamW(weights, lr=0.01, weight_decay=0.3)
    for _ in range(EPOCHS):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            run_networks(x, weights, kind, centred), y, reduction="sum"
        )
        optimizer.zero_grad()
        (loss / y.shape[1]).backward()
        optimizer.step()
    models = []
    for k in range(studies):
        own = [weight[k : k + 1].detach() for weight in weights]

        def fuse(features: dict[str, Tensor], masks: dict[str, Tensor], own=own) -> Any:  # type: ignore[no-untyped-def]
            return run_networks(features["audio"][None], own, kind, centred)[0].unsqueeze(1), {}

        head = SimpleNamespace(logit=lambda output: output.squeeze(-1), out_features=1)
        models.append(SimpleNamespace(fuse=fuse, head=head, parameters=lambda own=own: iter(own)))
    return models


def run_networks(x: Tensor, weights: list[Tensor], kind: str, centred: bool) -> Tensor:
    """Compute the logits (studies, subjects) of readings (studies, subjects, words, features)."""
    if centred:
        x = x - x.mean(dim=2, keepdim=True)
    hidden = x.flatten(2) @ weights[0] + weights[1]
    if kind == "tanh":
        hidden = hidden.tanh()
    return (hidden @ weights[2] + weights[3]).squeeze(2)


def explain_study(
    model: Any, train: Tensor, test: Tensor, reference: str, methods: tuple[str, ...]
) -> pd.DataFrame:
    """Attribute to the words of the test subjects: columns row, step, the methods; step -1: all."""
    features, masks = {"audio": test}, {"audio": torch.ones(test.shape[:2], dtype=torch.bool)}
    replaced = make_session_reference(features, masks)
    if reference == TRAINING:
        means = {"audio": train.mean(dim=0).expand_as(test)}
        replaced = Reference(TRAINING, means, replaced.kinds)
    table = occlude_steps(model, features, masks, replaced).drop(columns="occlusion_audio")
    if "shapley" in methods:
        seeds = range(len(test))
        values = compute_step_shapley(model, features, masks, replaced, seeds, pairs=4)
        table = table.merge(values, on=["row", "step"])
    if "integrated_gradients" in methods:
        values = compute_integrated_gradients(model, features, masks, replaced, points=16)
        table = table.merge(values, on=["row", "step"])
    whole = remove_all_steps(model, features, masks, replaced)
    alone = pd.DataFrame({"row": whole["row"], "step": -1})
    return pd.concat([table, alone.assign(**dict.fromkeys(methods, whole["all_steps"]))])


def count_reported(table: pd.DataFrame, truth: str, methods: tuple[str, ...]) -> dict[str, float]:
    """Test the words of a study: a false report, the share of found words, and all steps."""
    counts: dict[str, float] = {}
    for method in methods:
        matrix = table.pivot_table(index="row", columns="step", values=method)
        index = pd.DataFrame({"corpus": "c", "subject": matrix.index, "stratum": 0})
        index["label"], index["models"] = index["subject"] % 2, 0  # one model explains all
        matrix.index = pd.MultiIndex.from_frame(index[UNIT])
        words = compare_columns(matrix[range(N_WORDS)], PERMUTATIONS, draws=0)
        reported = (words.set_index("step")["q"] < Q_LEVEL).sort_index().to_numpy()
        planted = TRUTHS[truth] != 0
        counts[f"{method} false"] = bool(reported[~planted].any())
        counts[f"{method} FDR"] = reported[~planted].sum() / max(reported.sum(), 1)
        counts[f"{method} found"] = reported[planted].mean() if planted.any() else np.nan
        if method == methods[0]:
            all_steps = compare_columns(matrix[[-1]], PERMUTATIONS, draws=0)
            counts["all steps"] = bool((all_steps["p"] < Q_LEVEL).item())
    return counts


def simulate_words(
    studies: int,
    truths: Sequence[str],
    kinds: Sequence[str] = ("linear", "tanh"),
    methods: tuple[str, ...] = ("occlusion",),
    offsets: Sequence[float] = (0.0, OFFSET),
    centring: Sequence[bool] = (False, True),
    seed: int = 0,
) -> Iterator[dict[str, Any]]:
    """Yield one row of rates for each kind of network, truth, offset and reference."""
    for kind, truth, offset, centred in product(kinds, truths, offsets, centring):
        generator = torch.Generator().manual_seed(seed)
        train, y = draw_studies(truth, studies, N_TRAIN, offset, generator)
        test, _ = draw_studies(truth, studies, N_TEST, offset, generator)
        models = fit_networks(train, y, kind, centred, generator)
        for reference in (SESSION, TRAINING):
            tables = [
                explain_study(model, train[k], test[k], reference, methods)
                for k, model in enumerate(models)
            ]
            rates = pd.DataFrame([count_reported(table, truth, methods) for table in tables])
            yield {
                **{"network": kind, "truth": truth, "offset": offset, "centred": centred},
                **{"reference": reference, **rates.mean().to_dict()},
            }


def build_dep_former(sharing: str, **sizes: Any) -> torch.nn.Module:
    """Build a small DEP-Former of two modalities with four features."""
    settings = {
        **{"adapter_hidden_dim": 48, "adapter_dim": 24, "embed_dim": 48, "n_heads": 4},
        **{"head_dim": 12, "ffn_dim": 48, "layers": [1], "sampling_factor": 1, "dropout": 0.0},
        **sizes,
    }
    config = DepFormerConfig(kind="dep_former", attention_sharing=sharing, **settings)
    return build_fusion(config, {"audio": 4, "face": 4}, 1)


def as_model(fusion: torch.nn.Module) -> Any:
    """Give a fusion the attributes of a ``DepressionModel`` that attributions use."""
    head = SimpleNamespace(logit=lambda output: output.squeeze(-1), out_features=1)
    return SimpleNamespace(fuse=fusion, head=head, parameters=fusion.parameters)


def measure_unread_steps(seed: int) -> dict[str, float]:
    """Measure the largest value of an unread step, relative to the largest value of all steps."""
    torch.manual_seed(seed)
    fusion, n_read = build_dep_former("after_encoders").eval(), 6
    features = {name: 2 * torch.randn(1, 8, 4) for name in ("audio", "face")}
    masks = mark_all(features)
    model = as_model(fusion)
    model.fuse = lambda x, mask: fusion(
        {name: part[:, :n_read] for name, part in x.items()},
        {name: part[:, :n_read] for name, part in mask.items()},
    )
    kept = list_subsets(8)
    reference = make_session_reference(features, masks)
    fixed = compute_kept_logits(model, features, masks, reference, np.zeros(len(kept), int), kept)
    worth = []
    for members in kept:  # the previous game: removed steps are the mean of the kept steps
        steps = torch.from_numpy(members if members.any() else ~members)
        changed = {
            name: torch.where(
                torch.from_numpy(members)[:, None], x, x[:, steps].mean(1, keepdim=True)
            )
            for name, x in features.items()
        }
        with torch.no_grad():
            worth.append(model.fuse(changed, masks)[0].item())
    shares = {}
    for name, game in (("mean of the kept steps", np.array(worth)), ("fixed reference", fixed)):
        values = np.abs(compute_exact_values(game))
        shares[name] = float(values[n_read:].max() / values.max())
    return shares


def draw_modalities(
    arm: str, subjects: int, generator: torch.Generator
) -> tuple[dict[str, Tensor], Tensor]:
    """Draw two modalities with 24 steps, of which one or both know nothing alone.

    ``noise``: the face is noise; the voice is shifted in six of the steps. ``congruence``: in each
    step, voice and face have the same random sign if the label is 1, and opposite signs otherwise.
    """
    y = torch.arange(subjects).remainder(2).float()
    z = (2 * y - 1)[:, None, None]
    x = {name: torch.randn(subjects, 24, 4, generator=generator) for name in ("audio", "face")}
    if arm == "noise":
        signs = torch.tensor([1.0, -1.0]).repeat(3)[:, None]
        x["audio"][:, :6, :1] += 0.5 * z * signs
    else:
        u = torch.randint(2, (subjects, 24, 1), generator=generator) * 2.0 - 1
        x["audio"][..., :1] += 0.9 * u
        x["face"][..., :1] += 0.9 * u * z
    return x, y


def mark_all(features: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return masks of sessions without missing steps."""
    return {name: torch.ones(x.shape[:2], dtype=torch.bool) for name, x in features.items()}


def measure_branches(
    arm: str, sharing: str, seed: int, subjects: int = 1500, epochs: int = 12
) -> dict[str, float]:
    """Train a DEP-Former; measure the AUROC of branches and of modalities by masks."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    fusion = build_dep_former(sharing, num_steps=24).train()
    x, y = draw_modalities(arm, subjects, generator)
    test, labels = draw_modalities(arm, 1000, generator)
    optimizer = torch.optim.AdamW(fusion.parameters(), lr=2e-3, weight_decay=0.01)
    for _ in range(epochs):
        for rows in torch.randperm(subjects, generator=generator).split(50):
            part = {name: value[rows] for name, value in x.items()}
            logit = fusion(part, mark_all(part), complete=True)[0].squeeze(1)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logit, y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    fusion.eval()
    masks = mark_all(test)
    with torch.no_grad():
        logit, branches = fusion(test, masks)
    none = torch.zeros_like(masks["face"])
    result = {"whole": float(roc_auc_score(labels, logit))}
    for name in ("audio", "face"):
        other = {"audio": "face", "face": "audio"}[name]
        with torch.no_grad():
            alone = fusion(test, {**masks, other: none})[0]
        result[f"{name} branch"] = float(roc_auc_score(labels, branches[name]))
        result[f"{name} alone (mask)"] = float(roc_auc_score(labels, alone))
    shapley = compute_modality_shapley(as_model(fusion), test, masks)
    for name, values in shapley.groupby("modality")["shapley"]:
        result[f"{name} Shapley value"] = float(roc_auc_score(labels, values))
    return result


def main(parts: list[str]) -> None:
    """Print the tables of the simulations."""
    torch.set_num_threads(1)
    for part in parts or ("words", "methods", "dummy", "branches"):
        start = time.perf_counter()
        if part == "words":
            table = pd.DataFrame(simulate_words(60, list(TRUTHS)))
        elif part == "methods":
            truths = ["one-sided", "balanced"]
            table = pd.DataFrame(simulate_words(40, truths, methods=METHODS, seed=1))
        elif part == "dummy":
            table = pd.DataFrame([measure_unread_steps(seed) for seed in range(50)]).describe()
        else:
            rows = [
                {"arm": arm, "sharing": sharing, **measure_branches(arm, sharing, seed)}
                for arm in ("noise", "congruence")
                for sharing in ("every_layer", "after_encoders", "none")
                for seed in range(5)
            ]
            table = pd.DataFrame(rows).groupby(["arm", "sharing"], sort=False).mean().reset_index()
        print(table.round(3).to_string(index=part == "dummy"))
        print(f"{part}: {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
