"""Index a corpus of 100,000 files with a table of 5,000 subjects: seconds and memory.

    python experiments/benchmarks/indexing.py [FILES]

Target: 60 s and 1 GB for 100,000 files. The creation of the files takes longer than the index and
is not timed.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

from depmm.audit.audit import audit_manifest
from depmm.audit.findings import AuditInput
from depmm.corpora.index import index_corpus
from depmm.corpora.manifest import write_manifest
from depmm.corpora.spec import parse_spec

FILES_PER_SUBJECT = 20
SPEC = """
name: many
title: Many files
citation: none
licence: none
access: none
recordings:
  - pattern: "{part}/{subject}/{subject}_{visit:int}_{task}.wav"
    modalities: [audio]
session: "{subject}_{visit}"
steps: {order: [task]}
tables:
  - file: labels.csv
    join: {subject: subject}
    fields: {bdi: score, gender: gender, split: split}
label: {instrument: BDI-II, score: bdi}
"""


def make_corpus(root: Path, n_subjects: int) -> None:
    """Write empty recordings and the table of labels."""
    rows = ["subject,score,gender,split"]
    for index in range(n_subjects):
        folder = root / f"part{index % 10}" / f"S{index:05d}"
        folder.mkdir(parents=True)
        for visit in range(2):
            for task in range(FILES_PER_SUBJECT // 2):
                (folder / f"S{index:05d}_{visit + 1}_task{task}.wav").touch()
        split = ("train", "train", "validation", "test")[index % 4]
        rows.append(f"S{index:05d},{index * 7 % 40},{('female', 'male')[index % 2]},{split}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")


def main(arguments: list[str]) -> None:
    """Print one line per stage."""
    files = int(arguments[0]) if arguments else 100_000
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_corpus(root / "corpus", files // FILES_PER_SUBJECT)
        clock = [time.perf_counter()]
        manifest, report = index_corpus(parse_spec(SPEC, "many"), root / "corpus")
        clock.append(time.perf_counter())
        write_manifest(manifest, root / "manifest")
        clock.append(time.perf_counter())
        audit_manifest(AuditInput(manifest))
        clock.append(time.perf_counter())
    assert report.complete
    assert len(manifest.steps) == files
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for name, start, end in zip(("index", "write", "audit"), clock, clock[1:], strict=False):
        print(f"{name:6s} {end - start:6.1f} s")
    print(f"{files} files, {len(manifest.sessions)} sessions; peak memory {peak:.0f} MiB")


if __name__ == "__main__":
    main(sys.argv[1:])
