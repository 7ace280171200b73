"""How often depmm measures finds an association of random labels.

The labels of the subjects of a corpus are permuted. The share of permutations in which any adjusted
p value is below .05, over all steps or within strata, must be at most 5 %; a corpus of real or
simulated voices has measures that are skewed and correlated.

    python experiments/benchmarks/statistics/measure_false_positives.py MANIFEST STORE
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from depmm.config import load_measures_config
from depmm.corpora.manifest import read_manifest
from depmm.corpora.subject_labels import subject_labels
from depmm.evaluation.measure_effects import measure_effects
from depmm.measures.tables import collect_measures
from depmm.schemas.manifest import SESSION_KEY, STEP_KEY, SUBJECT_KEY
from depmm.store.sessions import SessionStore


def main() -> None:
    """Permute labels, and print the share of permutations with a finding."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("store")
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="as of depmm measures")
    parser.add_argument("--config")
    parser.add_argument("--permutations", type=int, default=200)
    parser.add_argument("--subjects", type=int, help="only the first subjects")
    arguments = parser.parse_args()
    settings = load_measures_config(arguments.config, arguments.settings)
    manifest = read_manifest(arguments.manifest)
    tables = collect_measures(manifest, SessionStore(arguments.store, settings.extract))
    sessions = manifest.sessions.set_index(SESSION_KEY).reindex(tables.sessions.index)
    conditions = manifest.steps.set_index(STEP_KEY)[["task", "valence"]]
    labels = subject_labels(sessions.reset_index()).dropna().iloc[: arguments.subjects]
    subjects = pd.MultiIndex.from_frame(sessions.reset_index()[SUBJECT_KEY])
    rng = np.random.default_rng(0)
    found = np.zeros(3, int)
    for _ in range(arguments.permutations):
        permuted = labels.sample(frac=1, random_state=rng).set_axis(labels.index)
        targets = sessions[["gender"]].assign(target=permuted.reindex(subjects).to_numpy())
        effects = measure_effects(
            tables.steps, tables.sessions, tables.measures, targets, conditions, binary=True
        )
        assert effects.n_subjects == len(labels)
        low, whole = effects.table["p_adjusted"] < 0.05, effects.table["stratum"] == "all"
        found += [low.any(), (low & whole).any(), (low & ~whole).any()]
    print(f"{len(labels)} subjects, {len(effects.table)} tests, {arguments.permutations} draws")
    for name, count in zip(("any", "all steps", "strata"), found, strict=True):
        interval = binomtest(int(count), arguments.permutations).proportion_ci(method="wilson")
        share = count / arguments.permutations
        print(f"{name}: {share:.3f} [{interval.low:.3f}, {interval.high:.3f}]")


if __name__ == "__main__":
    main()
