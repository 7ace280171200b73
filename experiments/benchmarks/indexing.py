"""Index a corpus of 100,000 files, and audit 50,000 sessions: seconds and memory.

    python experiments/benchmarks/indexing.py [FILES] [--record]

The corpus has 10 steps per session, two sessions per subject and a table of labels. The audited
corpus has two steps per session. Aim: 60 s each, and 1 GB. The creation of the files is not timed.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from depmm.audit.audit import audit_manifest
from depmm.audit.findings import AuditInput
from depmm.corpora.index import index_corpus
from depmm.corpora.spec import parse_spec
from experiments.results import aim, publish

T = TypeVar("T")

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


def measure_stage(name: str, size: str, stage: Callable[[], T]) -> tuple[dict[str, object], T]:
    """Measure seconds and the largest memory of the process so far."""
    wall, processor = time.perf_counter(), time.process_time()
    result = stage()
    row: dict[str, object] = {
        "stage": name,
        "size": size,
        "s": time.perf_counter() - wall,
        "s, processor": time.process_time() - processor,
        "aim": aim("s", at_most=60),
        "peak memory, MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "aim of the memory": aim("peak memory, MiB", at_most=1000),
    }
    return row, result


def measure(files: int) -> list[dict[str, object]]:
    """Measure the index of files, and the audit of half as many sessions."""
    rows = []
    for n_steps in (STEPS_INDEXED, STEPS_AUDITED):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "corpus"
            make_corpus(root, files // VISITS // n_steps, n_steps)
            row, (manifest, report) = measure_stage(
                "index",
                f"{files:,} files",
                lambda root=root: index_corpus(parse_spec(SPEC, "many"), root),
            )
            assert report.complete
            assert len(manifest.steps) == files
            rows.append(row | {"size": f"{row['size']}, {len(manifest.sessions):,} sessions"})
            size = f"{len(manifest.sessions):,} sessions"
            row, _ = measure_stage(
                "audit", size, lambda manifest=manifest: audit_manifest(AuditInput(manifest))
            )
            rows.append(row)
    return rows


def main() -> None:
    """Print or record one row per stage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=int, nargs="?", default=100_000)
    parser.add_argument("--record", action="store_true", help="write the results file")
    options = parser.parse_args()
    rows = measure(options.files)
    command = "python experiments/benchmarks/indexing.py --record"
    publish("indexing", rows, options.record, command=command)


if __name__ == "__main__":
    main()
