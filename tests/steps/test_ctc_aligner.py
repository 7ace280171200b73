"""Alignment by CTC: planted emissions, all paths of a small case, and a tiny random model."""

import itertools
import json

import numpy as np
import pytest

from depmm.errors import DepmmError
from depmm.steps.ctc_aligner import CtcAligner, align_tokens
from depmm.steps.table import StepsError

VOCABULARY = {"<pad>": 0, "|": 1, "A": 2, "B": 3, "É": 4}


def planted(path, n_tokens=5, probability=0.9):
    """Return emissions in which each frame of a path has a given token."""
    values = np.full((len(path), n_tokens), (1 - probability) / (n_tokens - 1))
    values[np.arange(len(path)), path] = probability
    return np.log(values)


def test_planted_tokens_are_found():
    # blank, A A, blank, A, B B B, blank: a repeated letter needs the blank between
    path = [0, 2, 2, 0, 2, 3, 3, 3, 0]
    assert align_tokens(planted(path), [2, 2, 3], blank=0) == [(1, 3), (4, 5), (5, 8)]


def test_the_path_is_the_best_of_all():
    rng = np.random.default_rng(0)
    tokens = [1, 1, 2]
    for _ in range(5):
        values = np.log(rng.dirichlet(np.ones(3), size=6))
        best, expected = -np.inf, None
        for path in itertools.product(range(3), repeat=6):
            score = values[np.arange(6), path].sum()
            runs = [key for key, _ in itertools.groupby(path)]
            if [key for key in runs if key] == tokens and score > best:
                best, expected = score, path
        spans = align_tokens(values, tokens, blank=0)
        found = np.zeros(6, int)
        for token, (start, end) in zip(tokens, spans, strict=True):
            found[start:end] = token
        assert found.tolist() == list(expected)


def test_a_long_text():
    tokens = [1 + i % 4 for i in range(300)]
    path = [token for token in tokens for _ in range(2)]
    spans = align_tokens(planted(path), tokens, blank=0)
    assert spans == [(2 * i, 2 * i + 2) for i in range(300)]


def test_too_few_frames():
    assert align_tokens(planted([2, 0]), [2, 2], blank=0) is None
    assert align_tokens(planted([2, 0, 2]), [2, 2], blank=0) == [(0, 1), (2, 3)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    import torch
    from speech_sources import SIZES
    from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

    path = tmp_path_factory.mktemp("ctc")
    torch.manual_seed(0)
    config = Wav2Vec2Config(vocab_size=len(VOCABULARY), pad_token_id=0, **SIZES)
    Wav2Vec2ForCTC(config).save_pretrained(path)
    (path / "vocab.json").write_text(json.dumps(VOCABULARY))
    (path / "preprocessor_config.json").write_text(json.dumps({"do_normalize": True}))
    return path


def test_times_and_confidences_of_words(folder, monkeypatch):
    aligner = CtcAligner(folder)
    samples = np.random.default_rng(0).normal(size=16000).astype(np.float32)
    emissions = aligner.emissions(samples)
    assert emissions.shape == (49, 5)
    np.testing.assert_allclose(np.exp(emissions).sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(emissions, aligner.emissions(3 * samples + 1), atol=1e-3)
    path = [0] * 5 + [2] * 3 + [0] + [3] * 2 + [1] + [2] * 4 + [0] * 34
    monkeypatch.setattr(aligner, "emissions", lambda samples: planted(path))
    first, second = aligner.align(samples, ["ab", "a"])
    np.testing.assert_allclose(first, (0.1, 0.22, 0.9), atol=1e-6)  # frames of 20 ms
    np.testing.assert_allclose(second, (0.24, 0.32, 0.9), atol=1e-6)
    monkeypatch.setattr(aligner, "emissions", lambda samples: planted([2, 0, 3]))
    assert aligner.align(samples, ["abab"]) is None


def test_letters_that_the_model_does_not_have(folder):
    aligner = CtcAligner(folder)
    assert aligner.find_unknown("Abé") is None
    assert "'c'" in aligner.find_unknown("abc")


def test_folders_that_are_no_model(folder, tmp_path):
    with pytest.raises(StepsError):
        CtcAligner(tmp_path / "missing")
    with pytest.raises(DepmmError):
        CtcAligner(tmp_path)
    nested = tmp_path / "mms"
    nested.mkdir()
    for file in folder.iterdir():
        (nested / file.name).write_bytes(file.read_bytes())
    (nested / "vocab.json").write_text(json.dumps({"deu": VOCABULARY}))
    with pytest.raises(StepsError) as raised:
        CtcAligner(nested)
    assert raised.value.file == nested / "vocab.json"
