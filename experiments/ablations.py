"""Measure what each part of DEP-Former contributes, on simulated designs with a known best AUROC.

    python experiments/ablations.py train OUT [--designs congruence,additive] [--subjects 150,1500]
        [--seeds 20] [--jobs 2]
    python experiments/ablations.py table OUT [--record]

``train`` trains every variant on every corpus: design x number of training subjects x seed. Each
training is one file in ``OUT``; the same command continues an interrupted study. Seed by seed, so
that an unfinished study is balanced. At its end, or by ``table`` at any time, the tables of
``ablation_tables.py`` are printed, and written to ``experiments/results`` with ``--record``.

The training is that of ``depmm train``: the same steps of the optimizer, on features in memory
instead of a store. Batches have 16 sessions, or 64 with 1,000 subjects or more. Of designs with 512
steps, fewer variants are trained, for fewer epochs in batches of 4 sessions, and 100 validation and
500 test subjects are used.
"""

import argparse
import copy
import gc
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

from depmm.config import Config
from depmm.data.epoch_plan import MicroBatch
from depmm.files.writing import write_text
from depmm.inputs import Inputs
from depmm.models.model import DepressionModel, build_model
from depmm.simulation.design_corpus import sample_design
from depmm.simulation.designs import DESIGNS
from depmm.training.experiment import build_accelerator
from depmm.training.phase import PhaseTrainer
from experiments.ablation_tables import (
    CHOSEN_UNIMODAL,
    LONG,
    MODALITIES,
    N_SEEDS,
    SUM,
    UNIMODAL,
    make_tables,
    read_origin,
    read_results,
    record_summary,
    to_markdown,
    write_origin,
)
from experiments.results import refuse_settings

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
# what differs from the full model in the fusion; "num_steps" is replaced by that of the design
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
    "branch losses": {},
    "tokens of all positions": {"num_steps": True},
    "mean over tokens": {"num_steps": None},
    "voice alone": {},
    "face alone": {},
}
# what costs in a design of the study with 150 subjects left out, and branch losses; the voice stays
# the query of the cross-attention, as published. ``ablation_choice.py`` compares it on corpora that
# the study does not use, also with its unimodal halves
CHOICE = "dep_former_few_subjects"
CHOSEN: dict[str, object] = {
    "adapter": False,
    "attention_sharing": "none",
    "sampling_factor": 1000,
    "fusion_weights": "fixed",
}
TRAINING: dict[str, dict[str, object]] = {
    variant: {"branch_loss_weight": 1.0} for variant in ("branch losses", CHOICE, *CHOSEN_UNIMODAL)
}
# the evidence of this design depends on the position of a step and vanishes in the mean over steps:
# the full model has the tokens of all positions
POSITIONS = ("additive",)
LONG_VARIANTS = ("full", "dense attention", "tokens of all positions", *UNIMODAL)
LONG_EPOCHS, LONG_BATCH, LONG_VALIDATION, LONG_TEST = 6, 4, 100, 500


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


class DesignData:
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
        self.rows = {name: np.flatnonzero(splits == name).tolist() for name in set(splits)}
        if design in LONG:
            self.rows["validation"] = self.rows["validation"][:LONG_VALIDATION]
            self.rows["test"] = self.rows["test"][:LONG_TEST]
        self.sessions = pd.DataFrame({"split": splits, "target": labels})
        rows = {"audio": sample.audio, "face": sample.face}
        # one row per step: (N, L, 1, F)
        self.values = {
            m: torch.from_numpy(x.astype(np.float32))[:, :, None] for m, x in rows.items()
        }
        self.bayes = sample.logits | {SUM: sample.logits["audio"] + sample.logits["face"]}
        self.oracles = sample.oracles
        self.dataset = None
        self.device = torch.device("cpu")

    def indices(self, split: str) -> list[int]:
        """Return the rows of a split."""
        return self.rows[split]

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


def batch_size(study: Study) -> int:
    """Return the sessions of a batch: more where there are many, as the steps take most time."""
    if study.design in LONG:
        return LONG_BATCH
    return 16 if study.subjects < 1000 else 64


def fusion_settings(study: Study) -> dict[str, object]:
    """Return the fusion of a variant; ``num_steps: True`` stands for all steps."""
    positions = {"num_steps": True} if study.design in POSITIONS else {}
    variants = VARIANTS | dict.fromkeys((CHOICE, *CHOSEN_UNIMODAL), CHOSEN)
    return FULL | positions | variants[study.variant]


def training_settings(study: Study) -> dict[str, object]:
    """Return the settings of a training."""
    return {
        "epochs": study.epochs,
        "batch_size": batch_size(study),
        "learning_rate": 2.0e-3,
        "warmup_epochs": 2.0,
        "patience": 10,
        **TRAINING.get(study.variant, {}),
    }


def describe(study: Study) -> dict[str, object]:
    """Return what identifies a training in its result: its fields and settings."""
    return asdict(study) | {
        "fusion": fusion_settings(study),
        "training": training_settings(study),
    }


def build_config(data: DesignData, study: Study) -> Config:
    """Build the config of a training, that of ``design_congruence`` but for the variant."""
    only = (UNIMODAL | CHOSEN_UNIMODAL).get(study.variant)
    names = [name for name in MODALITIES if only in (None, name)]
    fusion = fusion_settings(study)
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
            "training": training_settings(study),
        }
    )


@torch.no_grad()
def predict(
    model: DepressionModel, data: DesignData, split: str, missing: str | None = None
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


def train(data: DesignData, study: Study) -> tuple[DepressionModel, int]:
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
        patience = config.training.patience
        if patience is not None and epoch - best_epoch > patience:
            break
        trainer.train_epoch(epoch, 0, config.training.epochs, config.training.learning_rate, [])
        logits, _ = predict(model, data, "validation")
        loss = float(model.head.loss(torch.tensor(logits).float()[:, None], target).mean())
        if loss < best:
            best, best_epoch = loss, epoch
            weights = copy.deepcopy(model.state_dict())
    model.load_state_dict(weights)
    return model, best_epoch


def shut_off(
    model: DepressionModel, branches: dict[str, NDArray[np.float64]]
) -> dict[str, NDArray[np.float64]]:
    """Compute the logits of the trained model with the gate of one branch set to 0.

    The fused logit is the sum of the branch logits, weighted by the gates, but for a constant.
    """
    gates = model.fusion.fusion.probabilities().double().detach().numpy()
    weighted = {
        name: gate * branches[name] for name, gate in zip(model.fusion.branches, gates, strict=True)
    }
    total = np.sum(list(weighted.values()), axis=0)
    return {name: total - x for name, x in weighted.items()}


def memory_mib(field: str) -> float:
    """Read the memory of this process: ``VmRSS`` now, ``VmHWM`` at most."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(float(x.split()[1]) / 1024 for x in lines if x.startswith(f"{field}:"))


def run(study: Study, out: Path) -> None:
    """Train one variant on one corpus and write its result."""
    from sklearn.metrics import roc_auc_score

    torch.set_num_threads(1)
    gc.freeze()  # accelerate collects garbage; the imported modules are none
    data = DesignData(study.design, study.subjects, study.seed)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the peak so far
    memory, began = memory_mib("VmRSS"), time.process_time()
    model, best_epoch = train(data, study)
    seconds, peak = time.process_time() - began, memory_mib("VmHWM") - memory
    tested = data.indices("test")
    labels = data.sessions["target"].to_numpy()[tested]

    def score(logits: dict[str, NDArray[np.float64]]) -> dict[str, float]:
        return {name: float(roc_auc_score(labels, x)) for name, x in logits.items()}

    logits, branches = predict(model, data, "test")
    result = describe(study) | {
        "auroc": score({"fused": logits})["fused"],
        "branches": score(branches),
        "bayes": score({name: x[tested] for name, x in data.bayes.items()}),
        "oracles": score({name: x[tested] for name, x in data.oracles.items()}),
        "best_epoch": best_epoch + 1,
        "parameters": sum(p.numel() for p in model.parameters()),
        "seconds": round(seconds, 2),
        "peak_mib": round(peak, 1),
    }
    if study.variant in UNIMODAL | CHOSEN_UNIMODAL:
        result["logits"] = [round(x, 5) for x in logits.tolist()]
    else:
        result["without"] = score({m: predict(model, data, "test", m)[0] for m in MODALITIES})
        result["shut_off"] = score(shut_off(model, branches))
    write_text(study.path(out), json.dumps(result) + "\n")


def list_variants(design: str) -> list[str]:
    """List the variants of a design, without that which equals its full model."""
    if design in LONG:
        return list(LONG_VARIANTS)
    same = "tokens of all positions" if design in POSITIONS else "mean over tokens"
    return [variant for variant in VARIANTS if variant != same]


def list_trainings(designs: list[str], subjects: list[int], seeds: int, epochs: int) -> list[Study]:
    """List all trainings, seed by seed."""
    return [
        Study(design, n, seed, variant, LONG_EPOCHS if design in LONG else epochs)
        for seed in range(seeds)
        for n in subjects
        for design in designs
        for variant in list_variants(design)
    ]


def is_trained(study: Study, out: Path) -> bool:
    """Check whether a training is finished.

    Raises
    ------
    ValueError
        If it was made with other settings.
    """
    path = study.path(out)
    if not path.is_file():
        return False
    found = json.loads(path.read_text(encoding="utf-8"))
    for name, value in describe(study).items():
        if found.get(name) != value:
            raise ValueError(
                f"{path}: {name} is {found.get(name)!r} instead of {value!r}. Choose another "
                "folder, or delete the file."
            )
    return True


def train_all(out: Path, studies: list[Study], jobs: int) -> None:
    """Carry out the trainings that are missing, each in a process of its own."""
    out.mkdir(parents=True, exist_ok=True)
    missing = [study for study in studies if not is_trained(study, out)]
    if missing:
        write_origin(out)
    print(f"{len(studies) - len(missing)} of {len(studies)} trainings are done", flush=True)
    # a new process for each, so that its peak memory is that of the training
    context = get_context("forkserver")
    context.set_forkserver_preload(["depmm.training.phase", "experiments.ablation_tables"])
    with ProcessPoolExecutor(jobs, context, max_tasks_per_child=1) as pool:
        futures = {pool.submit(run, study, out): study for study in missing}
        for done, future in enumerate(as_completed(futures), start=1):
            future.result()
            if done % 20 == 0 or done == len(missing):
                print(f"{done} of {len(missing)}", flush=True)


def main() -> None:
    """Train the variants, and print or record the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=["train", "table"])
    parser.add_argument("out", type=Path)
    parser.add_argument("--designs", default=",".join(DESIGNS))
    parser.add_argument("--subjects", default="150,1500")
    parser.add_argument("--seeds", type=int, default=N_SEEDS)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--record", action="store_true", help="write the results files")
    arguments = parser.parse_args()
    refuse_settings(parser, arguments, "epochs")
    if arguments.action == "train":
        designs = arguments.designs.split(",")
        subjects = [int(n) for n in arguments.subjects.split(",")]
        studies = list_trainings(designs, subjects, arguments.seeds, arguments.epochs)
        train_all(arguments.out, studies, arguments.jobs)
    results = read_results(arguments.out)
    # corpora of other seeds belong to ablation_choice.py
    results = results[results["seed"] < N_SEEDS]
    tables = make_tables(results, read_origin(arguments.out))
    for table in tables:
        print(to_markdown(table))
        if arguments.record:
            table.record()
    if arguments.record:
        for n in sorted({table.subjects for table in tables}):
            record_summary(tables, n)


if __name__ == "__main__":
    main()
