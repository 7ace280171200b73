"""False alarms of the audit on clean corpora, whose properties are independent of the label.

    python experiments/benchmarks/statistics/audit_false_alarms.py [TABLES] [WITH_FILES]

The stated rate is 5 % of the corpora (Holm over all tests of a corpus). Default: 200 corpora of
tables with simulated statistics of recordings (about 90 s), and 20 corpora with sounds or videos.
"""

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from depmm.audit.audit import Audit, audit_manifest
from depmm.audit.audit_folders import audit_folders
from depmm.audit.findings import AuditInput, RecordingStatistics, recordings_table
from depmm.corpora.manifest import read_manifest
from experiments.benchmarks.statistics.audit_corpora import Corpus, sample_corpus, write_corpus

SIZES = (16, 24, 40, 60, 100, 180)
CODECS = ("pcm_s16le", "aac", "opus")


def sample_clean(seed: int, kind: str = "tables") -> Corpus:
    """Sample a corpus of any size and share of positive subjects, with further columns."""
    rng = np.random.default_rng([seed, 77])
    n_subjects = int(rng.choice(SIZES if kind == "tables" else (16, 24)))
    corpus = sample_corpus(n_subjects, seed, kind, share=float(rng.uniform(0.25, 0.5)))
    subjects = corpus.subjects
    subjects["weak_rare"] = rng.choice(["yes", "no"], n_subjects, p=[0.06, 0.94])
    subjects["weak_many"] = rng.choice([f"c{k}" for k in range(n_subjects // 3)], n_subjects)
    subjects["weak_heavy"] = [f"{x:.3f}" for x in rng.lognormal(0, 2, n_subjects)]
    subjects["weak_counts"] = [str(x) for x in rng.poisson(1.0, n_subjects)]
    subjects["has_face"] = (rng.random(n_subjects) < 0.9) | (kind == "video")
    if kind != "tables":
        subjects["rate"] = rng.choice([16_000, 32_000], n_subjects)
    return corpus


def sample_statistics(files: pd.DataFrame, rng: np.random.Generator) -> RecordingStatistics:
    """Draw statistics of recordings: correlated numbers, few settings, and a device per file."""
    rows = {}
    for corpus, path in files.itertuples(index=False):
        device = int(rng.integers(3))
        level = rng.normal(-20, 3)
        rows[corpus, path] = {
            "container": "matroska",
            "audio_codec": CODECS[device],
            "sample_rate": (16_000.0, 44_100.0, 48_000.0)[device],
            "channels": float(rng.integers(1, 3)),
            "length_s": float(rng.gamma(4, 30)),
            "rms_db": level,
            "peak_db": level + rng.normal(12, 1),
            "noise_floor_db": rng.normal(-60, 4),
            "clipped_share": float(rng.random() < 0.1) * rng.random() / 100,
            "hum_db": rng.normal(),
            "brightness": rng.uniform(0.3, 0.6),
            "face_x": rng.normal(0.5, 0.05),
        }
    return RecordingStatistics(table=recordings_table(rows))


def alarms(audit: Audit) -> list[str]:
    """List the properties with a finding of severity warning or error."""
    return [
        finding.property or finding.name
        for finding in audit.findings
        if finding.effect_size is not None and finding.severity != "info"
    ]


def audit_clean_tables(seed: int) -> list[str]:
    """Audit a clean corpus of tables."""
    with tempfile.TemporaryDirectory() as folder:
        manifest = read_manifest(write_corpus(sample_clean(seed), Path(folder))[0])
    files = manifest.steps[["corpus", "audio"]].drop_duplicates()
    statistics = sample_statistics(files, np.random.default_rng([seed, 78]))
    return alarms(audit_manifest(AuditInput(manifest, statistics)))


def audit_clean_files(seed: int) -> list[str]:
    """Audit a clean corpus of sounds or videos."""
    with tempfile.TemporaryDirectory() as folder:
        kind = "sound" if seed % 4 else "video"
        manifest, root = write_corpus(sample_clean(seed, kind), Path(folder))
        return alarms(audit_folders([manifest], [root] if root else None))


def count_alarms(audits: Iterator[list[str]]) -> tuple[int, Counter[str]]:
    """Count the corpora with a false alarm, and the properties."""
    found = [names for names in audits if names]
    return len(found), Counter(name for names in found for name in names)


def main(arguments: list[str]) -> None:
    """Print the number of corpora with a false alarm."""
    n_tables, n_files = [*map(int, arguments), *(200, 20)[len(arguments) :]]
    for title, n_corpora, check in (
        ("tables", n_tables, audit_clean_tables),
        ("files", n_files, audit_clean_files),
    ):
        n_alarms, names = count_alarms(check(1000 + seed) for seed in range(n_corpora))
        print(f"{title}: {n_alarms} of {n_corpora} clean corpora with a false alarm", dict(names))


if __name__ == "__main__":
    main(sys.argv[1:])
