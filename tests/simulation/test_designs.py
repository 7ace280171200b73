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
    "spread": (0.99, 0.5, 0.5, 0.5),
}


def labels(n, seed):
    return 2.0 * np.random.default_rng(seed).integers(0, 2, n) - 1.0


@pytest.mark.parametrize("design", EXPECTED)
def test_the_bayes_classifiers_reach_the_stated_auroc(design):
    z = labels(6000 if design != "spread" else 1000, 1)
    logits = DESIGNS[design](z, np.random.default_rng(2)).logits
    logits["sum"] = logits["audio"] + logits["face"]
    found = [roc_auc_score(z > 0, logits[name]) for name in ("both", "audio", "face", "sum")]
    assert found == pytest.approx(EXPECTED[design], abs=0.02)  # standard error below .008


def named_code(sample):
    """Read the step of the flag, and the code that the voice names there."""
    session = np.arange(len(sample.audio))
    flagged = sample.audio[..., 0].argmax(axis=1)
    return session, flagged, sample.audio[session, flagged, 1:].argmax(axis=1)


def read_named_code(sample):
    session, _, code = named_code(sample)
    return (sample.face[..., 0] * sample.face[session, :, 1 + code]).sum(axis=1)


def read_flag(sample):
    session, flagged, _ = named_code(sample)
    return sample.face[session, flagged, 0]


def read_suppression_without_voice(sample):
    weight = np.linalg.inv([[1, 0.8], [0.8, 1]])[1] @ [0.35, 0.175]
    return weight * sample.face[:, :6, 0].sum(axis=1)


# design, oracle: reader of the features, AUROC
ORACLES = {
    ("additive", "mean_over_steps"): (lambda s: (s.audio + s.face).sum(axis=(1, 2)), 0.5),
    ("retrieval", "steps_of_the_named_code"): (read_named_code, 0.988),
    # with probability 7/12 the content at the flag has the sign z
    ("retrieval", "step_of_the_flag"): (
        read_flag,
        (49 * norm.cdf(0.8 * 2**0.5) + 25 * norm.cdf(-0.8 * 2**0.5) + 35) / 144,
    ),
    ("suppression", "both_with_the_voice_set_to_0"): (
        read_suppression_without_voice,
        norm.cdf(-(0.5**0.5) * 0.35 * 6**0.5),
    ),
    ("congruence", "products_of_steps"): (lambda s: (s.audio * s.face).sum(axis=(1, 2)), 0.975),
    ("congruence", "products_of_7_steps"): (
        lambda s: (s.audio * s.face)[:, :7].sum(axis=(1, 2)),
        0.855,
    ),
    ("congruence", "product_of_means"): (lambda s: s.audio.sum((1, 2)) * s.face.sum((1, 2)), 0.64),
}


@pytest.mark.parametrize(("design", "oracle"), ORACLES)
def test_a_reader_of_the_features_reaches_the_oracle(design, oracle):
    read, auroc = ORACLES[design, oracle]
    z = labels(6000, 1)
    sample = DESIGNS[design](z, np.random.default_rng(2))
    found = roc_auc_score(z > 0, read(sample))
    assert found == pytest.approx(roc_auc_score(z > 0, sample.oracles[oracle]), abs=1e-12)
    assert found == pytest.approx(auroc, abs=0.015)  # two standard errors


@pytest.mark.parametrize(
    ("design", "n_salient", "n_steps"), [("salience", 4, 24), ("long", 12, 512)]
)
def test_known_salient_steps_reach_the_closed_form(design, n_salient, n_steps):
    z = labels(6000 if n_steps == 24 else 600, 1)
    sample = DESIGNS[design](z, np.random.default_rng(2))
    outside = 0.6 * n_salient / (n_steps - n_salient)
    distance = 2 * np.sqrt(n_salient * 0.6**2 + (n_steps - n_salient) * outside**2)
    known = roc_auc_score(z > 0, sample.oracles["salient_steps_known"])
    assert known == pytest.approx(norm.cdf(distance / 2**0.5), abs=0.005)
    # the steps with the largest voices are nearly these
    order = sample.audio[..., 0].argsort(axis=1)[:, -n_salient:]
    seen = np.take_along_axis(sample.face[..., 0], order, axis=1).sum(axis=1)
    assert roc_auc_score(z > 0, seen) == pytest.approx(known, abs=0.05)


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
    assert truth["oracle_auroc"].keys() == {"steps_of_the_named_code", "step_of_the_flag"}
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


@pytest.mark.parametrize("option", [("--effect", 0), ("--steps", 0), ("--workers", 2)])
def test_options_that_a_design_would_ignore_are_refused(tmp_path, depmm, option):
    result = depmm("simulate", tmp_path / "new", "--design", "additive", *option)
    assert result.code == 2
    assert option[0] in result.err


def test_a_design_without_subjects_is_refused(tmp_path, depmm):
    result = depmm("simulate", tmp_path / "new", "--design", "additive", "--subjects", 0)
    assert result.code != 0
    assert "subjects is 0" in result.err
