"""Designs in which a part of a model matters: their Bayes classifiers, and the corpus."""

import itertools
import json

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from depmm.simulation import design_corpus
from depmm.simulation.design_corpus import simulate_design
from depmm.simulation.designs import DESIGNS, sample_congruence, sample_salience
from depmm.simulation.participants import SimulationError

# AUROC of the Bayes classifier: of both, voice alone, face alone, and of the sum of these two;
# of additive and suppression also the closed form Phi(sqrt(2) * shift * sqrt(steps))
EXPECTED = {
    "additive": (
        norm.cdf(0.5**0.5 * 0.5 * 12**0.5),
        norm.cdf(0.5**0.5 * 0.5 * 6**0.5),
        0.807,
        0.889,
    ),
    "salience": (0.95, 0.5, 0.53, 0.53),
    "retrieval": (norm.cdf(0.5**0.5 * 2 * 0.8 * 2), 0.5, 0.705, 0.705),
    "suppression": (0.915, norm.cdf(0.5**0.5 * 0.7 * 6**0.5), 0.728, 0.855),
    "congruence": (0.975, 0.5, 0.5, 0.5),
}


def labels(n, seed):
    return 2.0 * np.random.default_rng(seed).integers(0, 2, n) - 1.0


@pytest.mark.parametrize("design", EXPECTED)
def test_the_bayes_classifiers_reach_the_stated_auroc(design):
    z = labels(6000, 1)
    logits = DESIGNS[design](z, np.random.default_rng(2)).logits
    logits["sum"] = logits["audio"] + logits["face"]
    found = [roc_auc_score(z > 0, logits[name]) for name in ("both", "audio", "face", "sum")]
    assert found == pytest.approx(EXPECTED[design], abs=0.02)  # standard error below .008


def test_the_logit_of_congruence_is_that_of_an_enumeration():
    z = labels(5, 3)
    sample = sample_congruence(z, np.random.default_rng(4), n_steps=3)
    a, f = sample.audio[..., 0], sample.face[..., 0]
    likelihood = {
        sign: sum(
            np.prod(
                norm.pdf(a - 0.6 * np.array(u)) * norm.pdf(f - 0.6 * np.array(u) * sign), axis=1
            )
            for u in itertools.product([-1, 1], repeat=3)
        )
        for sign in (1, -1)
    }
    assert sample.logits["both"] == pytest.approx(np.log(likelihood[1] / likelihood[-1]))


def test_the_logit_of_salience_is_that_of_an_enumeration():
    z = labels(3, 5)
    sample = sample_salience(z, np.random.default_rng(6))
    a, f = sample.audio[..., 0], sample.face[..., 0]
    subsets = np.array(list(itertools.combinations(range(24), 4)))
    salient = (subsets[:, :, None] == np.arange(24)).any(axis=1)
    found = {}
    for row in range(len(z)):
        for sign in (1, -1):
            content = np.where(salient, 0.6, -0.12) * sign
            face = norm.pdf(f[row] - content).prod(axis=1)
            voice = norm.pdf(a[row] - 3 * salient).prod(axis=1)
            found[row, sign] = (face * voice).sum(), face.sum()
    both, alone = (
        [np.log(found[row, 1][k] / found[row, -1][k]) for row in range(len(z))] for k in (0, 1)
    )
    assert sample.logits["both"] == pytest.approx(both)
    assert sample.logits["face"] == pytest.approx(alone)


def test_the_corpus_has_the_features_of_the_sample(tmp_path, monkeypatch, depmm):
    monkeypatch.setattr(design_corpus, "N_VALIDATION", 3)
    monkeypatch.setattr(design_corpus, "N_TEST", 5)
    out = tmp_path / "recordings"
    truth = simulate_design(out, "retrieval", subjects=4, seed=7)
    assert truth == json.loads((out / "truth.json").read_text())
    assert truth["n_subjects"] == {"train": 4, "validation": 3, "test": 5}
    assert np.load(out / "features" / "S00012_face.npy").shape == (24, 7)
    repeated = simulate_design(tmp_path / "again", "retrieval", subjects=4, seed=7)
    assert repeated == truth
    depmm("index", "simulated_design", out, "--out", tmp_path / "manifest")
    result = depmm(
        "extract", tmp_path / "manifest", out, "--out", tmp_path / "store", "--workers", 1
    )
    assert "12 sessions extracted" in result.out


def test_arguments_that_cannot_be_used_are_refused(tmp_path, depmm):
    with pytest.raises(SimulationError) as info:
        simulate_design(tmp_path / "new", "congruense")
    assert info.value.setting == "design"
    (tmp_path / "file").touch()
    for out in (tmp_path, tmp_path / "file"):
        with pytest.raises(SimulationError) as info:
            simulate_design(out, "additive")
        assert info.value.setting == "out"
    result = depmm("simulate", tmp_path / "new", "--design", "additive", "--steps", 3)
    assert result.code == 2
    assert "--steps" in result.err
