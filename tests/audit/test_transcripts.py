"""Words of transcripts that follow the label."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from depmm.audit.transcripts import _count_tests, associate_words, subject_texts

PROMPT = "have you been diagnosed"


def make_texts(n_subjects: int, seed: int, n_words: int = 60) -> pd.Series:
    """Draw words of which some are frequent and most are rare."""
    rng = np.random.default_rng(seed)
    words = np.array([f"w{k}" for k in range(400)])
    share = 1 / np.arange(1, 401)
    return pd.Series(
        [" ".join(rng.choice(words, n_words, p=share / share.sum())) for _ in range(n_subjects)]
    )


def test_a_prompt_that_only_patients_hear_is_found():
    texts, labels = make_texts(40, 0), pd.Series(np.arange(40) % 2)
    texts = texts.mask(labels == 1, texts + f" {PROMPT}")
    result = associate_words(texts, labels)
    assert result.effect_size == pytest.approx(1)
    assert result.p_value < 1e-6
    assert any(word in result.description for word in PROMPT.split())


def test_another_order_of_the_same_words_is_found():
    labels = pd.Series(np.arange(30) % 2)
    texts = labels.map({0: "joy grief calm", 1: "grief joy calm"})
    assert associate_words(texts, labels).p_value < 1e-5


def test_characters_are_words_in_languages_without_spaces():
    labels = pd.Series(np.arange(30) % 2)
    texts = labels.map({0: "我今天很好", 1: "我今天不好"})
    assert associate_words(texts, labels).effect_size == pytest.approx(1, abs=1e-9)


def test_without_words_there_is_no_test():
    labels = pd.Series([0, 1] * 5)
    assert associate_words(pd.Series([None] * 10, dtype="str"), labels) is None
    assert associate_words(pd.Series(["..."] * 10), labels) is None
    assert associate_words(pd.Series(["the same"] * 10), labels) is None


def test_the_rate_of_small_p_values_without_an_association():
    p_values = [
        associate_words(
            make_texts(40, seed), pd.Series(np.random.default_rng(seed).permutation(40) % 2)
        ).p_value
        for seed in range(60)
    ]
    assert np.mean(np.array(p_values) < 0.05) <= 0.1


def test_words_are_counted_that_could_have_a_small_p_value():
    # 10 of 20 subjects are positive: a word of 5 subjects has p >= 0.03, one of 10 p >= 1e-5
    smallest = stats.fisher_exact([[5, 0], [5, 10]]).pvalue
    assert smallest == pytest.approx(0.0325, abs=1e-3)
    assert _count_tests(np.array([5]), 10, 20) == 1
    assert _count_tests(np.array([5, 5, 5, 10]), 10, 20) == 4
    assert _count_tests(np.array([10] * 50 + [5] * 50), 10, 20) == 50


def test_texts_of_a_subject_are_joined_in_order():
    steps = pd.DataFrame({"corpus": "c", "subject": ["a", "a", "b"], "text": ["one", "two", None]})
    assert subject_texts(steps).to_dict() == {("c", "a"): "one two"}
