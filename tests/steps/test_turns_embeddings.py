"""Windows inside of speech, and their embeddings block by block."""

import json

import numpy as np
import pytest
from conversations import conversation, write_speaker_model

from depmm.steps.table import StepsError
from depmm.steps.turns_embeddings import (
    SpectralStatistics,
    TransformersEmbedding,
    cut_windows,
    embed_windows,
    repeat_to,
    scale_statistics,
)


def test_windows_cover_the_speech():
    windows = cut_windows(np.array([[0.0, 0.4], [1.0, 2.5], [3.0, 5.3]]))
    assert windows.tolist() == pytest.approx(
        np.array([[0, 0.4, 0], [1, 2.5, 1], [3, 4.5, 2], [3.4, 4.9, 2], [3.8, 5.3, 2]])
    )
    assert cut_windows(np.zeros((0, 2))).shape == (0, 3)


def test_blocks_of_any_length_give_the_same_windows():
    class Samples:
        name, is_unit = "samples", True

        def embed(self, sounds):
            return np.stack(sounds)

    sound = np.random.default_rng(0).standard_normal(16000 * 12).astype(np.float32)
    windows = cut_windows(np.array([[0.0, 0.5], [0.6, 5.3], [9.0, 11.999]]))
    whole = embed_windows([sound], windows, Samples())
    assert np.array_equal(whole[0], np.resize(sound[:8000], 24000))
    assert np.array_equal(whole[-1], sound[-24016:-16])
    for length in (100, 16001):
        blocks = [sound[start : start + length] for start in range(0, len(sound), length)]
        assert np.array_equal(embed_windows(blocks, windows, Samples()), whole)
    with pytest.raises(StepsError):
        embed_windows([sound[:-16000]], windows, Samples())


def test_a_transformers_model_of_a_local_folder(tmp_path):
    write_speaker_model(tmp_path)
    sounds = [np.random.default_rng(i).standard_normal(24000).astype(np.float32) for i in (0, 1)]
    embedding = TransformersEmbedding(tmp_path)
    values = embedding.embed(sounds)
    assert values.shape == (2, 12)
    assert np.linalg.norm(values, axis=1) == pytest.approx([1, 1], abs=1e-5)
    assert embedding.embed(sounds[1:])[0] == pytest.approx(values[1], abs=1e-4)
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps({"feature_extractor_type": "Wav2Vec2FeatureExtractor", "sampling_rate": 8000})
    )
    for folder in (tmp_path, tmp_path / "gone"):
        with pytest.raises(StepsError) as raised:
            TransformersEmbedding(folder)
        assert raised.value.setting == "speaker_model"


def test_a_short_sound_is_repeated():
    assert repeat_to(np.array([1, 2, 3]), 7).tolist() == [1, 2, 3, 1, 2, 3, 1]


def test_statistics_contain_the_pitch_and_not_the_gain():
    sound = conversation([(0.0, 1.5, 0), (2.0, 3.5, 1)], 4.0).sum(axis=0)
    parts = [sound[:24000], sound[32000:56000]]
    values = SpectralStatistics().embed([*parts, 0.1 * parts[0], np.zeros(24000, np.float32)])
    assert values.shape == (4, 27)
    octave = values[1, -1] - values[0, -1]
    assert octave == pytest.approx(12, abs=0.5)  # 110 and 220 Hz
    assert values[2] == pytest.approx(values[0], abs=0.5)
    assert np.isnan(values[3]).all()


def test_scaled_statistics_have_no_unit():
    values = np.random.default_rng(0).standard_normal((50, 4))
    values[3, 1], values[:, 2] = np.nan, np.nan
    scaled = scale_statistics(values)
    assert scaled.shape == (50, 3)
    assert scaled[3, 1] == 0
    assert scale_statistics(values * [1e-3, 1e3, 1, 2] + 5) == pytest.approx(scaled, abs=1e-6)
    assert np.diff(np.percentile(scaled, [25, 75], axis=0), axis=0) == pytest.approx(1, abs=0.1)
