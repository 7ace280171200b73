"""Compare the fusions and baselines of depmm on simulated designs and on acted speech.

    python experiments/benchmarks/systems.py designs OUT
    python experiments/benchmarks/systems.py speech OUT --emodb DIR --ravdess DIR

Every row is trained with three seeds through the command line (``depmm cross-validate``), and all
rows of a corpus are compared by ``depmm compare``, in ``OUT/tables/CORPUS/tables.md``. The
script can be interrupted: finished runs are kept. ``--jobs 2`` trains two rows at a time.
``--record`` writes the results files ``systems_CORPUS``.
"""

import argparse
import copy
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml

from depmm.multiple_testing import holm
from experiments.benchmarks.commands import depmm
from experiments.benchmarks.tables import is_simulated
from experiments.results import interval, record, refuse_settings
from experiments.results_source import describe_origin
from experiments.run_results import describe_intervals, metric_cells

SEEDS = "0,1,2"
# small sizes for sessions of 24 steps and corpora of tens to hundreds of sessions
DEP_FORMER = {
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
FUSIONS: dict[str, dict[str, object]] = {
    "dep_former": DEP_FORMER,
    "dep_former_no_multimodal_branch": DEP_FORMER
    | {"multimodal_branch": False, "attention_sharing": "none"},
    "mult": {"kind": "cross_modal_transformer", "n_layers": 2, "n_self_layers": 2},
    "perceiver": {
        "kind": "perceiver",
        "n_latents": 8,
        "latent_dim": 48,
        "context_dim": 48,
        "n_heads": 4,
        "head_dim": 12,
        "n_layers": 2,
    },
    "dep_mamba": {
        "kind": "dep_mamba",
        "embed_dim": 32,
        "layers": [32],
        "expand": 2,
        "state_dim": 8,
    },
    "gru_attention": {"kind": "gru_attention", "hidden_dim": 32, "attention_dim": 32},
    "gated_multimodal_unit": {"kind": "gated_multimodal_unit", "hidden_dim": 64},
    "mean_pool": {"kind": "mean_pool"},
}
TRAINING = {
    "batch_size": 16,
    "learning_rate": 2.0e-3,
    "warmup_epochs": 2.0,
    "patience": 10,
}
DESIGNS = ("additive", "congruence")
SUM = "sum_of_logits"
COMMANDS = {
    "designs": "python experiments/benchmarks/systems.py designs OUT --record",
    "speech": "python experiments/benchmarks/systems.py speech OUT --emodb EMODB --ravdess RAVDESS "
    "--record",
}


@dataclass
class Corpus:
    """A corpus on which all systems are compared.

    Attributes
    ----------
    name : str
        Name of its folder below ``corpora`` and ``stores``.
    spec : str
        Data spec.
    recordings : Path
        Folder of the recordings.
    config : dict
        Settings common to all rows: target, split, data, encoders and training.
    classical : dict of str to dict
        Rows of classical models: name -> section ``classical:`` of the config.
    """

    name: str
    spec: str
    recordings: Path
    config: dict[str, object]
    classical: dict[str, dict[str, object]]


def design_corpus(name: str, base: Path) -> Corpus:
    """Describe a simulated design."""
    encoder = {"kind": "feature_cnn", "features": 1, "channels": [16], "embed_dim": 16}
    config = {
        "split": {"kind": "official"},
        "data": {
            "modalities": ["audio", "face"],
            "features": {"audio": "simulated_voice", "face": "simulated_face"},
            "max_rows": 1,
        },
        "model": {"encoders": {"audio": encoder, "face": encoder}},
        "training": TRAINING | {"epochs": 25},
    }
    pooled = {
        "model": {"kind": "svm"},
        "measures": {"audio": ["stream"], "face": ["stream"]},
        "pooling": ["mean", "std"],
    }
    classical = {"svm_early": pooled, "svm_late": pooled | {"fusion": "late"}}
    recordings = base / "corpora" / name / "recordings"
    return Corpus(name, "simulated_design", recordings, config, classical)


def speech_corpus(name: str, recordings: Path, target: dict[str, object]) -> Corpus:
    """Describe a corpus of acted emotions: waveform and voice contours as two modalities."""
    config = {
        "target": {"column": "emotion", **target},
        "split": {"kind": "k_fold", "folds": 3, "validation": 0.3},
        "data": {
            "modalities": ["audio", "prosody"],
            "features": {"prosody": "voice"},
            "max_rows": 400,
            "remove_silence": name == "ravdess",
        },
        "model": {
            "encoders": {
                "audio": {
                    "kind": "mfcc_cnn",
                    "n_mfcc": 20,
                    "channels": [32],
                    "embed_dim": 32,
                    "dropout": 0.3,
                },
                "prosody": {
                    "kind": "feature_cnn",
                    "features": 35,
                    "channels": [32],
                    "embed_dim": 32,
                },
            }
        },
        "training": TRAINING | {"epochs": 25},
    }
    svm, mfcc, voice = {"kind": "svm"}, {"audio": ["mfcc"]}, {"audio": ["voice"]}
    classical = {
        "svm_mfcc": {"model": svm, "measures": mfcc},
        "svm_voice": {"model": svm, "measures": voice},
        "svm_egemaps": {"model": svm, "measures": {"audio": ["egemaps"]}},
        "logistic_regression_voice": {
            "model": {"kind": "logistic_regression", "C": 0.1},
            "measures": voice,
        },
        "random_forest_voice": {"model": {"kind": "random_forest"}, "measures": voice},
        "gradient_boosting_voice": {"model": {"kind": "gradient_boosting"}, "measures": voice},
    }
    return Corpus(name, name, recordings, config, classical)


def prepare(corpus: Corpus, base: Path) -> None:
    """Simulate, index and extract a corpus, unless it is in the store."""
    manifest, store = base / "corpora" / corpus.name / "manifest", base / "stores" / corpus.name
    if (store / "index.parquet").is_file():
        return
    if corpus.spec == "simulated_design" and not is_simulated(corpus.recordings):
        depmm("simulate", corpus.recordings, "--design", corpus.name, cwd=base)
    depmm("index", corpus.spec, corpus.recordings, "--out", manifest, cwd=base)
    depmm("extract", manifest, corpus.recordings, "--out", store, cwd=base)


def base_config(corpus: Corpus, name: str, modalities: list[str]) -> dict[str, object]:
    """Copy the config of a corpus, for a row that reads some modalities."""
    config = copy.deepcopy(corpus.config)
    config |= {"name": name, "out": f"runs/{corpus.name}"}
    features = {k: v for k, v in config["data"]["features"].items() if k in modalities}
    config["data"] |= {
        "manifest": f"corpora/{corpus.name}/manifest",
        "store": f"stores/{corpus.name}",
        "modalities": list(modalities),
        "features": features,
    }
    return config


def write_config(corpus: Corpus, name: str, fusion: dict[str, object], only: str | None) -> str:
    """Write the config of a row; with ``only``, of one modality."""
    modalities = corpus.config["data"]["modalities"] if only is None else [only]
    config = base_config(corpus, name, modalities)
    encoders = config["model"]["encoders"]
    config["model"]["encoders"] = {modality: encoders[modality] for modality in modalities}
    config["model"]["fusion"] = dict(fusion)
    if fusion["kind"] == "dep_former" and only is None:
        config["model"]["fusion"]["cross_attention"] = list(modalities)
    return to_yaml(config)


def to_yaml(config: dict[str, object]) -> str:
    """Write a config as YAML, without the aliases of values that occur twice."""
    return yaml.safe_dump(json.loads(json.dumps(config)), sort_keys=False)


def write_classical(corpus: Corpus, name: str, section: dict[str, object]) -> str:
    """Write the config of a classical row."""
    config = base_config(corpus, name, list(section["measures"]))
    del config["model"], config["training"]
    return to_yaml(config | {"classical": section})


def compare(corpus: Corpus, base: Path, jobs: int) -> None:
    """Train all rows of a corpus, combine the unimodal ones, and write the comparison."""
    prepare(corpus, base)
    folder = base / "configs" / corpus.name
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str, Path]] = []
    modalities = corpus.config["data"]["modalities"]
    texts = {name: write_config(corpus, name, fusion, None) for name, fusion in FUSIONS.items()}
    for modality in modalities:
        name = f"{modality}_only"
        texts[name] = write_config(corpus, name, FUSIONS["dep_former"], modality)
    if corpus.spec == "simulated_design":
        positions = FUSIONS["dep_former"] | {"num_steps": 24}
        texts["dep_former_positions"] = write_config(
            corpus, "dep_former_positions", positions, None
        )
    for name, section in corpus.classical.items():
        texts[name] = write_classical(corpus, name, section)
    for name, text in texts.items():
        path = folder / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
        rows.append((name, path))

    def train(row: tuple[str, Path]) -> None:
        depmm("cross-validate", row[1], "--seeds", SEEDS, cwd=base)
        print(f"{corpus.name}: {row[0]}", flush=True)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(train, rows))
    runs = base / "runs" / corpus.name
    halves = [runs / f"{name}_only" for name in modalities]
    depmm("combine", *halves, "--out", runs / SUM, cwd=base)
    names = [name for name, _ in rows] + [SUM]
    out = base / "tables" / corpus.name
    depmm("compare", *(runs / name for name in names), "--out", out, cwd=base)
    print((out / "tables.md").read_text(encoding="utf-8"), flush=True)


def record_comparison(corpus: str, base: Path, command: str) -> Path:
    """Write the results file of a corpus: AUROC, and the paired difference to the sum of logits.

    Parameters
    ----------
    corpus : str
        Name of the corpus.
    base : Path
        Folder of the runs and tables.
    command : str
        Command that trains and compares them.
    """
    content = json.loads((base / "tables" / corpus / "metrics.json").read_text(encoding="utf-8"))
    rows, paired = [], differences(content["comparison"])
    for name, run in content["runs"].items():
        cost = run["cost"] or {}
        rows.append(
            {
                "system": name,
                "parameters": cost.get("parameters"),
                **metric_cells(run, ["auroc"]),
                **paired.get(name, {"minus sum of logits": None, "p": None}),
            }
        )
    intervals = describe_intervals(content["runs"].values(), ["auroc"])
    return record(
        f"systems_{corpus}",
        rows,
        command=command,
        seeds=[int(seed) for seed in SEEDS.split(",")],
        interval=f"{intervals}; differences: as depmm compare, widened near an AUROC of "
        "one; p adjusted (Holm) for the rows",
        origin=describe_origin([base / "runs" / corpus / name for name in content["runs"]]),
    )


def differences(comparison: list[dict[str, object]]) -> dict[str, dict[str, object]]:
    """Return the paired differences to the sum of logits in AUROC: row -> cells."""
    cells = {}
    pairs = [pair for pair in comparison if pair["metric"] == "auroc"]
    for pair in pairs:
        (name, *others) = {pair["run_a"], pair["run_b"]} - {SUM}
        if others:
            continue
        cell = interval(pair["difference"], pair["ci_low"], pair["ci_high"])
        if pair["run_a"] == SUM:
            cell = interval(-cell["value"], -cell["high"], -cell["low"])
        cells[name] = {"minus sum of logits": cell, "p": pair["p"]}
    adjusted = holm([row["p"] for row in cells.values()])
    return {
        name: row | {"p": float(p)} for (name, row), p in zip(cells.items(), adjusted, strict=True)
    }


def main() -> None:
    """Compare all systems on the chosen corpora."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=["designs", "speech"])
    parser.add_argument("out", type=Path)
    parser.add_argument("--emodb", type=Path)
    parser.add_argument("--ravdess", type=Path)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--designs", default=",".join(DESIGNS))
    parser.add_argument("--record", action="store_true", help="write the results files")
    arguments = parser.parse_args()
    refuse_settings(parser, arguments, "designs")
    missing = None in (arguments.emodb, arguments.ravdess)
    if arguments.part == "speech" and arguments.record and missing:
        parser.error("--record needs --emodb and --ravdess, as the recorded command states")
    base = arguments.out.absolute()
    base.mkdir(parents=True, exist_ok=True)
    if arguments.part == "designs":
        corpora = [design_corpus(name, base) for name in arguments.designs.split(",")]
    else:
        emodb = {"positive": ["sadness", "anger"], "negative": ["neutral"]}
        ravdess = {"positive": ["sad"], "negative": ["neutral", "calm", "happy"]}
        corpora = [
            speech_corpus(name, folder.absolute(), target)
            for name, folder, target in (
                ("emodb", arguments.emodb, emodb),
                ("ravdess", arguments.ravdess, ravdess),
            )
            if folder is not None
        ]
    for corpus in corpora:
        compare(corpus, base, arguments.jobs)
        if arguments.record:
            print(record_comparison(corpus.name, base, COMMANDS[arguments.part]))


if __name__ == "__main__":
    main()
