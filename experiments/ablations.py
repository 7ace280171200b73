"""Measure what each part of DEP-Former contributes, on simulated designs with a known best AUROC.

    python experiments/ablations.py train OUT [--designs congruence,additive] [--subjects 150,1500]
        [--seeds 20] [--jobs 2]
    python experiments/ablations.py table OUT

``train`` trains every variant on every corpus: design x number of training subjects x seed. Each
training is one file in ``OUT``; the same command continues an interrupted study. ``table`` writes
``OUT/table.md``: AUROC on 2,000 test subjects, and the paired difference to the full model over the
seeds of corpus and training.

The training is that of ``depmm train``: the same steps of the optimizer, on features in memory
instead of a store.
"""

import argparse
import copy
import json
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import ttest_rel

from depmm.config import Config
from depmm.data.epoch_plan import MicroBatch
from depmm.files.writing import write_text
from depmm.inputs import Inputs
from depmm.models.model import DepressionModel, build_model
from depmm.multiple_testing import holm
from depmm.simulation.design_corpus import sample_design
from depmm.simulation.designs import DESIGNS
from depmm.training.experiment import build_accelerator
from depmm.training.phase import PhaseTrainer

MODALITIES = ("audio", "face")
FULL: dict[str, object] = {
    "kind": "dep_former",
    "adapter_hidden_dim": 48,
    "adapter_dim": 24,
    "embed_dim": 48,
    "n_heads": 4,
    "head_dim": 12,
    "ffn_dim": 48,
    "layers": [1],
    "sampling_factor": 1,
}
# what differs from the full model; "num_steps" is replaced by the number of steps of the design
VARIANTS: dict[str, dict[str, object]] = {
    "full": {},
    "sharing in every layer": {"attention_sharing": "every_layer"},
    "no sharing": {"attention_sharing": "none"},
    "no cross-attention": {"cross_attention": []},
    "face as query": {"cross_attention": ["face", "audio"]},
    "no multimodal branch": {"multimodal_branch": False, "attention_sharing": "none"},
    "no adapter": {"adapter": False},
    "dense attention": {"sampling_factor": 1000},
    "fixed weights": {"fusion_weights": "fixed"},
    "logits added": {"fuse": "logits"},
    "tokens of all positions": {"num_steps": True},
    "voice alone": {},
    "face alone": {},
}
UNIMODAL = {"voice alone": "audio", "face alone": "face"}
SUM = "sum of unimodal logits"


@dataclass(frozen=True)
class Study:
    """One training.

    Attributes
    ----------
    design : str
        Simulated design.
    subjects : int
        Number of training subjects.
    seed : int
        Seed of corpus and training.
    variant : str
        Key of ``VARIANTS``.
    epochs : int
        Largest number of epochs.
    """

    design: str
    subjects: int
    seed: int
    variant: str
    epochs: int

    def path(self, out: Path) -> Path:
        """Return the file of the result."""
        name = f"{self.design}-{self.subjects}-{self.seed}-{self.variant.replace(' ', '_')}.json"
        return out / name


class MemoryData:
    """Sessions of a design in memory, in the place of the data and the loader of a training.

    Parameters
    ----------
    design : str
        Simulated design.
    subjects, seed : int
        Number of training subjects, and seed.
    """

    def __init__(self, design: str, subjects: int, seed: int):
        splits, labels, sample = sample_design(design, subjects, seed)
        self.sessions = pd.DataFrame({"split": splits, "target": labels})
        rows = {"audio": sample.audio, "face": sample.face}
        # one row per step: (N, L, 1, F)
        self.values = {
            m: torch.from_numpy(x.astype(np.float32))[:, :, None] for m, x in rows.items()
        }
        self.bayes = sample.logits | {SUM: sample.logits["audio"] + sample.logits["face"]}
        self.dataset = None
        self.device = torch.device("cpu")

    def indices(self, split: str) -> list[int]:
        """Return the rows of a split."""
        return np.flatnonzero(self.sessions["split"] == split).tolist()

    def inputs(self, rows: list[int], missing: str | None = None) -> dict[str, Inputs]:
        """Return the inputs of some sessions, without one modality if it is given."""
        return {
            name: Inputs(
                x[rows], np.full((len(rows), x.shape[1]), 0 if name == missing else 1, np.int64)
            )
            for name, x in self.values.items()
        }

    def read(
        self, plan: list[MicroBatch], epoch: int | None
    ) -> Iterator[tuple[torch.Tensor, dict[str, Inputs]]]:
        """Yield the batches of a plan, as a ``SessionLoader`` does."""
        for part in plan:
            yield torch.tensor(part.indices), self.inputs(part.indices)


def build_config(data: MemoryData, study: Study) -> Config:
    """Build the config of a training, that of ``design_congruence`` but for the variant."""
    only = UNIMODAL.get(study.variant)
    names = [name for name in MODALITIES if only in (None, name)]
    fusion = FULL | VARIANTS[study.variant]
    if fusion.get("num_steps"):
        fusion["num_steps"] = data.values["audio"].shape[1]
    encoder: dict[str, object] = {"kind": "feature_cnn", "channels": [16], "embed_dim": 16}
    encoders = {name: encoder | {"features": data.values[name].shape[-1]} for name in names}
    streams = {"audio": "simulated_voice", "face": "simulated_face"}
    return Config.model_validate(
        {
            "name": study.variant.replace(" ", "_"),
            "seed": study.seed,
            "split": {"kind": "official"},
            "data": {
                "manifest": "unused",
                "store": "unused",
                "modalities": names,
                "features": {name: streams[name] for name in names},
                "max_rows": 1,
            },
            "model": {"encoders": encoders, "fusion": fusion},
            "training": {
                "epochs": study.epochs,
                "batch_size": 16,
                "learning_rate": 2.0e-3,
                "warmup_epochs": 2.0,
                "patience": 10,
            },
        }
    )


@torch.no_grad()
def predict(
    model: DepressionModel, data: MemoryData, split: str, missing: str | None = None
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    """Predict the logits of a split, fused and of each branch."""
    model.eval()
    rows = data.indices(split)
    fused, branches = [], []
    for first in range(0, len(rows), 250):
        output = model(data.inputs(rows[first : first + 250], missing))
        fused.append(output.logits[:, 0])
        branches.append({name: x[:, 0] for name, x in output.branch_logits.items()})
    joined = {name: torch.cat([b[name] for b in branches]).double().numpy() for name in branches[0]}
    return torch.cat(fused).double().numpy(), joined


def train(data: MemoryData, study: Study) -> tuple[DepressionModel, int]:
    """Train a model, and return it with the weights of its best epoch, and this epoch."""
    config = build_config(data, study)
    torch.manual_seed(config.seed)
    model = build_model(config.model).train()
    train_rows, validation_rows = data.indices("train"), data.indices("validation")
    for name, encoder in model.encoders.items():
        rows = data.values[name][train_rows].double().flatten(0, 2)
        encoder.set_scale(rows.mean(0).float(), rows.std(0, correction=0).float())
    trainer = PhaseTrainer(config, data, model, build_accelerator(config), data)  # type: ignore[arg-type]
    target = torch.tensor(data.sessions["target"].to_numpy(np.float32)[validation_rows])
    best, best_epoch, weights = np.inf, -1, {}
    for epoch in range(config.training.epochs):
        if epoch - best_epoch > (config.training.patience or epoch):
            break
        trainer.train_epoch(epoch, 0, config.training.epochs, config.training.learning_rate, [])
        logits, _ = predict(model, data, "validation")
        loss = float(model.head.loss(torch.tensor(logits).float()[:, None], target).mean())
        if loss < best:
            best, best_epoch = loss, epoch
            weights = copy.deepcopy(model.state_dict())
    model.load_state_dict(weights)
    return model, best_epoch


def run(study: Study, out: Path) -> None:
    """Train one variant on one corpus and write its result."""
    from sklearn.metrics import roc_auc_score

    torch.set_num_threads(1)
    began = time.perf_counter()
    data = MemoryData(study.design, study.subjects, study.seed)
    model, best_epoch = train(data, study)
    tested = data.indices("test")
    labels = data.sessions["target"].to_numpy()[tested]

    def score(logits: NDArray[np.float64]) -> float:
        return float(roc_auc_score(labels, logits))

    logits, branches = predict(model, data, "test")
    result = asdict(study) | {
        "auroc": score(logits),
        "branches": {name: score(x) for name, x in branches.items()},
        "bayes": {name: score(x[tested]) for name, x in data.bayes.items()},
        "best_epoch": best_epoch + 1,
        "parameters": sum(p.numel() for p in model.parameters()),
        "seconds": round(time.perf_counter() - began, 2),
    }
    if study.variant in UNIMODAL:
        result["logits"] = [round(x, 5) for x in logits.tolist()]
    else:
        result["without"] = {m: score(predict(model, data, "test", m)[0]) for m in MODALITIES}
    write_text(study.path(out), json.dumps(result) + "\n")


def train_all(
    out: Path, designs: list[str], subjects: list[int], seeds: int, epochs: int, jobs: int
) -> None:
    """Train all variants on all corpora, seed by seed, in parallel processes."""
    out.mkdir(parents=True, exist_ok=True)
    studies = [
        Study(design, n, seed, variant, epochs)
        for seed in range(seeds)
        for n in subjects
        for design in designs
        for variant in VARIANTS
    ]
    missing = [study for study in studies if not study.path(out).is_file()]
    print(f"{len(studies) - len(missing)} of {len(studies)} trainings are done", flush=True)
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        futures = {pool.submit(run, study, out): study for study in missing}
        for done, future in enumerate(as_completed(futures), start=1):
            future.result()
            if done % 20 == 0 or done == len(missing):
                print(f"{done} of {len(missing)}", flush=True)


def read_results(out: Path) -> pd.DataFrame:
    """Read all results, with a row for the sum of the unimodal logits of each corpus."""
    rows = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(out.glob("*-*-*.json"))]
    table = pd.DataFrame(rows)
    sums = []
    for (design, n, seed), group in table.groupby(["design", "subjects", "seed"]):
        halves = group[group["variant"].isin(UNIMODAL)]
        if len(halves) == 2:
            from sklearn.metrics import roc_auc_score

            splits, labels, _ = sample_design(design, n, seed)
            logits = np.sum(halves["logits"].tolist(), axis=0)
            sums.append(
                {
                    "design": design, "subjects": n, "seed": seed, "variant": SUM,
                    "auroc": roc_auc_score(labels[splits == "test"], logits),
                    "seconds": halves["seconds"].sum(), "parameters": halves["parameters"].sum(),
                    "bayes": halves["bayes"].iloc[0],
                }
            )  # fmt: skip
    return pd.concat([table, pd.DataFrame(sums)], ignore_index=True)


def format_auroc(value: float) -> str:
    """Format a value below 1 without its leading zero."""
    return f"{value:.3f}".replace("0.", ".", 1)


def make_table(results: pd.DataFrame) -> str:
    """Make a Markdown table per design and number of subjects."""
    lines = []
    for (design, n), group in results.groupby(["design", "subjects"], sort=False):
        auroc = group.pivot_table("auroc", "seed", "variant").dropna()
        bayes = pd.DataFrame(group.drop_duplicates("seed")["bayes"].tolist()).mean()
        values = group.set_index(["seed", "variant"])
        others = [v for v in [*VARIANTS, SUM] if v in auroc and v != "full"]
        tests = {v: ttest_rel(auroc["full"], auroc[v]) for v in others}
        adjusted = dict(zip(others, holm([tests[v].pvalue for v in others]), strict=True))
        bounds = ", ".join(f"{name} {format_auroc(x)}" for name, x in bayes.items())
        lines += [
            f"### {design}, {n} training subjects, {len(auroc)} corpora",
            "",
            f"Bayes AUROC: {bounds}.",
            "",
            "| variant | AUROC (SD) | full less this | p | branches | without voice | "
            "without face | s |",
            "|---|--:|--:|--:|---|--:|--:|--:|",
        ]
        for variant in [v for v in [*VARIANTS, SUM] if v in auroc]:
            rows = values.xs(variant, level="variant").loc[auroc.index]
            test = tests.get(variant)
            interval = test.confidence_interval() if test is not None else None
            difference = (
                f"{(auroc['full'] - auroc[variant]).mean():+.3f} "
                f"[{interval.low:+.3f}, {interval.high:+.3f}]"
                if interval is not None
                else ""
            )
            p = f"{adjusted[variant]:.3f}" if test is not None else ""
            branches, without = [], ["", ""]
            if rows["branches"].notna().all():
                branch = pd.DataFrame(rows["branches"].tolist()).mean()
                if len(branch) > 1:
                    branches = [f"{name} {format_auroc(x)}" for name, x in branch.items()]
            if variant not in UNIMODAL and variant != SUM:
                mean = pd.DataFrame(rows["without"].tolist()).mean()
                without = [format_auroc(mean[name]) for name in MODALITIES]
            spread = auroc[variant].std()
            cells = [
                variant, f"{format_auroc(auroc[variant].mean())} ({format_auroc(spread)})",
                difference, p, ", ".join(branches), *without, f"{rows['seconds'].mean():.1f}",
            ]  # fmt: skip
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Train the variants, or write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=["train", "table"])
    parser.add_argument("out", type=Path)
    parser.add_argument("--designs", default=",".join(DESIGNS))
    parser.add_argument("--subjects", default="150,1500")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.action == "train":
        designs = arguments.designs.split(",")
        subjects = [int(n) for n in arguments.subjects.split(",")]
        train_all(
            arguments.out, designs, subjects, arguments.seeds, arguments.epochs, arguments.jobs
        )
    text = make_table(read_results(arguments.out))
    write_text(arguments.out / "table.md", text)
    print(text)


if __name__ == "__main__":
    main()
