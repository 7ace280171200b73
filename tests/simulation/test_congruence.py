"""Talking faces whose label is in the agreement of voice and face within a word."""

import itertools
import json
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from depmm.config import SAMPLE_RATE
from depmm.corpora.word_lists import ENGLISH_WORDS
from depmm.simulation import bluntness
from depmm.simulation.congruence import (
    EXPRESSION_LIMITS,
    GAIN_DB_PER_UNIT,
    compute_bayes_auroc,
    region_box,
    sample_expression,
)
from depmm.simulation.designs import congruence_logit
from depmm.simulation.face import MOUTH_LIMIT, Motion, sample_face
from depmm.simulation.face_renderer import FaceRenderer
from depmm.simulation.participants import DEPRESSED
from depmm.simulation.reading_list import read_word_lists, sample_reading_list
from depmm.simulation.word_reading import sample_subjects, simulate_word_reading

EFFECT, STEPS = 1.5, 6


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, voices and faces of 4,000 subjects, shape (N, L)."""
    rng, labels = np.random.default_rng(5), np.arange(4000) % 2
    values = [sample_expression(rng, bool(label), EFFECT, STEPS) for label in labels]
    return labels, *(np.stack([value[name] for value in values]) for name in ("audio", "face"))


def test_a_voice_does_not_depend_on_the_label() -> None:
    first, second = (
        sample_expression(np.random.default_rng(3), depressed, EFFECT, STEPS)
        for depressed in (False, True)
    )
    np.testing.assert_array_equal(first["audio"], second["audio"])
    np.testing.assert_allclose(np.abs(first["face"] - second["face"]), 2 * EFFECT)


@pytest.mark.parametrize("modality", [0, 1])
def test_neither_modality_tells_the_label(drawn, modality: int) -> None:
    labels, values = drawn[0], drawn[1 + modality]
    pairs = np.stack([values[:, i] * values[:, j] for i, j in itertools.combinations(range(6), 2)])
    scores = [*values.T, *(values**2).T, *pairs, values.sum(1), np.abs(values).max(1)]
    aurocs = np.array([roc_auc_score(labels, score) for score in scores])
    # one standard error is .009; the largest of 29 is below 4
    assert np.abs(aurocs - 0.5).max() < 0.036


def test_both_together_tell_it_and_a_sum_of_their_scores_does_not(drawn) -> None:
    labels, voice, face = drawn
    best = compute_bayes_auroc(EFFECT, STEPS)
    assert best["audio"] == best["face"] == best["sum_of_logits"] == 0.5
    reached = roc_auc_score(labels, congruence_logit(voice, face, EFFECT))
    assert reached == pytest.approx(best["both"], abs=0.005)
    assert best["both"] > 0.99
    assert abs(roc_auc_score(labels, (voice + face).sum(1)) - 0.5) < 0.036


def test_the_logit_is_the_sum_over_all_signs() -> None:
    rng = np.random.default_rng(0)
    voice, face = rng.normal(0, 2, (2, 5, 3))
    likelihood = {1: 0.0, -1: 0.0}
    for signs in itertools.product([-1, 1], repeat=3):
        for z in likelihood:
            squares = (voice - EFFECT * np.array(signs)) ** 2
            squares = squares + (face - z * EFFECT * np.array(signs)) ** 2
            likelihood[z] = likelihood[z] + np.exp(-squares.sum(axis=1) / 2)
    expected = np.log(likelihood[1]) - np.log(likelihood[-1])
    np.testing.assert_allclose(congruence_logit(voice, face, EFFECT), expected, rtol=1e-10)


def test_bayes_auroc_of_bluntness_is_reached_by_the_linear_discriminant() -> None:
    reading = sample_reading_list(6, read_word_lists(ENGLISH_WORDS), np.random.default_rng(0))
    subjects = sample_subjects(4000, reading, 1, 1.0)
    depressed = [subject.traits.diagnosis == DEPRESSED for subject in subjects]
    signs = np.array([{DEPRESSED: 1.0, None: 0.0}.get(s.planted_for, -1.0) for s in reading])
    weights = np.linalg.solve(np.eye(6) + 0.25**2, signs)
    score = {name: [s.bluntness[name] @ weights for s in subjects] for name in ("audio", "face")}
    best = bluntness.compute_bayes_auroc(1.0, signs)
    for name, values in score.items():
        assert roc_auc_score(depressed, values) == pytest.approx(best[name], abs=0.025)
    both = np.add(score["audio"], score["face"])
    assert roc_auc_score(depressed, both) == pytest.approx(best["both"], abs=0.02)


def test_the_mouth_changes_pixels_in_the_box_only_which_is_in_the_lower_third() -> None:
    for seed, gender in enumerate(["female", "male"]):
        face = sample_face(np.random.default_rng(seed), gender)
        renderer = FaceRenderer(face, np.random.default_rng(seed))
        still = dict.fromkeys(Motion.__dataclass_fields__, np.zeros(3))
        motion = Motion(**(still | {"mouth": np.array([0.0, 10.0, MOUTH_LIMIT])}))
        frames = [renderer.render(motion, k).astype(int) for k in range(3)]
        left, top, right, bottom = region_box(face)
        assert 2 * 224 / 3 - 10 < top < bottom <= 224
        for frame in frames[1:]:
            changed = np.abs(frame - frames[0]).sum(axis=2)
            inside = changed[top:bottom, left:right].sum()
            assert inside == changed.sum() > 10_000


def test_the_corpus_sounds_and_looks_as_its_truth_says(tmp_path: Path) -> None:
    truth = simulate_word_reading(
        tmp_path, subjects=2, steps=4, seed=3, effect=2.0, workers=1, pattern="congruence"
    )
    assert truth == json.loads((tmp_path / "truth.json").read_text())
    assert (truth["pattern"], truth["planted_region"]["region"]) == ("congruence", "mouth")
    assert truth["planted_words"] == {"depressed": [], "healthy": []}
    words = pd.read_csv(tmp_path / "words.csv")
    for subject, known in truth["subjects"].items():
        with av.open(str(tmp_path / "videos" / f"{subject}_1.mp4")) as container:
            sound = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
        rows = words[words["subject"] == subject]
        spans = [slice(*(round(t * SAMPLE_RATE) for t in times)) for times in
                 zip(rows["start_s"], rows["end_s"], strict=True)]  # fmt: skip
        level = np.array([10 * np.log10(np.mean(sound[span] ** 2)) for span in spans])
        expected = GAIN_DB_PER_UNIT * np.clip(known["expression"]["audio"], *EXPRESSION_LIMITS)
        np.testing.assert_allclose(level - level[0], expected - expected[0], atol=0.5)
        signs = np.sign(known["expression"]["audio"]) * np.sign(known["expression"]["face"])
        agree = known["diagnosis"] == DEPRESSED
        assert (signs > 0).mean() > 0.5 if agree else (signs > 0).mean() < 0.5
