"""Index a corpus of 100,000 files, and audit 50,000 sessions: seconds and memory.

    python experiments/benchmarks/indexing.py [FILES] [--record]

The corpus has 10 steps per session, two sessions per subject and a table of labels. The audited
corpus has two steps per session. Each row is a command, its start included. Aim: 60 s each, and
1 GB. The creation of the files is not timed.
"""

import argparse
import tempfile
from pathlib import Path

from depmm.corpora.manifest import read_manifest
from experiments.benchmarks.commands import Cost, measure_depmm
from experiments.results import aim, publish, refuse_settings

VISITS, STEPS_INDEXED, STEPS_AUDITED = 2, 10, 2
SPEC = """
name: many
title: Many files
citation: none
licence: none
access: none
recordings:
  - pattern: "{part}/{subject}_{visit:int}_{task}.wav"
    modalities: [audio]
session: "{subject}_{visit}"
steps: {order: [task]}
tables:
  - file: labels.csv
    join: {subject: subject}
    fields: {bdi: score, gender: gender, split: split}
label: {instrument: BDI-II, score: bdi}
"""


def make_corpus(root: Path, n_subjects: int, n_steps: int) -> None:
    """Write empty recordings and the table of labels."""
    rows = ["subject,score,gender,split"]
    for index in range(n_subjects):
        folder = root / f"part{index % 100}"  # a folder per subject would take minutes to create
        folder.mkdir(parents=True, exist_ok=True)
        for visit in range(VISITS):
            for task in range(n_steps):
                (folder / f"S{index:05d}_{visit + 1}_task{task}.wav").touch()
        split = ("train", "train", "validation", "test")[index % 4]
        rows.append(f"S{index:05d},{index * 7 % 40},{('female', 'male')[index % 2]},{split}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")


def measure(files: int) -> list[dict[str, object]]:
    """Measure the index of files, and the audit of its sessions, as commands of their own."""
    rows: list[dict[str, object]] = []
    for n_steps in (STEPS_INDEXED, STEPS_AUDITED):
        with tempfile.TemporaryDirectory() as folder:
            root, manifest = Path(folder) / "corpus", Path(folder) / "manifest"
            spec = Path(folder) / "many.yaml"
            spec.write_text(SPEC, encoding="utf-8")
            make_corpus(root, files // VISITS // n_steps, n_steps)
            index = measure_depmm("index", spec, root, "--out", manifest)
            found = read_manifest(manifest)
            assert len(found.steps) == files
            audit = measure_depmm("audit", manifest)
            sessions = f"{len(found.sessions):,} sessions"
            rows.append(make_row("index", f"{files:,} files, {sessions}", index))
            rows.append(make_row("audit", sessions, audit))
    return rows


def make_row(stage: str, size: str, cost: Cost) -> dict[str, object]:
    """Make the row of a stage."""
    return {
        "stage": stage,
        "size": size,
        "s": cost.seconds,
        "s, processor": cost.processor_s,
        "aim": aim("s", at_most=60),
        "peak memory, MiB": cost.memory_mib,
        "aim of the memory": aim("peak memory, MiB", at_most=1000),
    }


def main() -> None:
    """Print or record one row per stage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=int, nargs="?", default=100_000)
    parser.add_argument("--record", action="store_true", help="write the results file")
    options = parser.parse_args()
    refuse_settings(parser, options, "files")
    rows = measure(options.files)
    command = "python experiments/benchmarks/indexing.py --record"
    publish("indexing", rows, options.record, command=command)


if __name__ == "__main__":
    main()
