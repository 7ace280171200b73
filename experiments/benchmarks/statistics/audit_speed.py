"""Time of the audit of the tables of a large corpus.

    python experiments/benchmarks/statistics/audit_speed.py [SUBJECTS]

A clean corpus of ``audit_corpora.py`` with the given number of subjects (default 25,000, with about
75,000 steps) is audited with and without the texts of the steps. Recordings are not read.
"""

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from depmm.audit.audit import audit_manifest
from depmm.audit.findings import AuditInput
from depmm.corpora.manifest import read_manifest
from experiments.benchmarks.statistics.audit_corpora import sample_corpus, write_corpus


def main(arguments: list[str]) -> None:
    """Print the processor time and the elapsed time of two audits."""
    n_subjects = int(arguments[0]) if arguments else 25_000
    corpus = sample_corpus(n_subjects, 1)
    corpus.subjects["subject"] = [f"{number:06d}" for number in range(n_subjects)]
    with tempfile.TemporaryDirectory() as folder:
        manifest = read_manifest(write_corpus(corpus, Path(folder))[0])
    without_texts = replace(manifest, steps=manifest.steps.assign(text=None))
    for title, audited in (("with texts", manifest), ("without texts", without_texts)):
        began, began_cpu = time.perf_counter(), time.process_time()
        audit_manifest(AuditInput(audited))
        print(
            f"{n_subjects} subjects, {len(audited.steps)} steps, {title}: "
            f"{time.process_time() - began_cpu:.1f} s of processor time, "
            f"{time.perf_counter() - began:.1f} s elapsed",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
