"""Silero VAD: agreement with its package, blocks, and segments of speech."""

import importlib.util

import numpy as np
import pytest
from media_files import GRID

from depmm.media.sound.audio import decode_audio
from depmm.media.sound.silero_vad import FRAME, find_weights, speech_probabilities
from depmm.media.sound.speech_segments import (
    SegmentRules,
    add_margins,
    apply_rules,
    segments_of_probabilities,
)

if importlib.util.find_spec("silero_vad") is None:
    pytest.skip("silero-vad is not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def sound(real_data):
    return np.concatenate(list(decode_audio(real_data / GRID)))


@pytest.fixture(scope="module")
def probabilities(sound):
    return speech_probabilities([sound])


def test_probabilities_are_those_of_the_package(sound, probabilities):
    import torch

    with pytest.warns(DeprecationWarning, match="jit"):
        network = torch.jit.load(find_weights())
    padded = np.pad(sound, (0, -len(sound) % FRAME)).reshape(-1, FRAME)
    expected = [network(torch.from_numpy(frame), 16000).item() for frame in padded]
    np.testing.assert_allclose(probabilities, expected, atol=1e-4)


def test_blocks_do_not_matter(sound, probabilities):
    long = np.tile(sound, 4)  # longer than the frames that are computed at once
    for size in (1, 511, 100_000):
        blocks = (long[i : i + size] for i in range(0, min(len(long), size * 2000), size))
        parts = list(blocks)
        whole = speech_probabilities([np.concatenate(parts)])
        np.testing.assert_allclose(speech_probabilities(parts), whole, atol=1e-5)
    assert len(speech_probabilities([])) == 0
    assert len(speech_probabilities([sound[:1]])) == 1
    np.testing.assert_allclose(probabilities[:20], speech_probabilities([sound[: 20 * FRAME]]),
                               atol=1e-5)  # fmt: skip


def test_segments_are_those_of_the_package(probabilities, sound):
    import torch

    n_threads = torch.get_num_threads()
    from silero_vad.utils_vad import get_speech_timestamps_from_probs

    torch.set_num_threads(n_threads)  # which the package sets to 1
    rng = np.random.default_rng(0)
    walk = np.clip(0.5 + np.cumsum(rng.normal(0, 0.1, 500)) % 0.6 - 0.3, 0, 1)
    for values, n_samples in ((probabilities, len(sound)), (walk, 500 * FRAME)):
        expected = get_speech_timestamps_from_probs(
            list(values), audio_length_samples=n_samples, min_silence_duration_ms=0,
            min_speech_duration_ms=0, speech_pad_ms=0,
        )  # fmt: skip
        found = segments_of_probabilities(values, n_samples / 16000)
        np.testing.assert_allclose(
            found * 16000, [[segment["start"], segment["end"]] for segment in expected]
        )


def test_hand_values_of_segments():
    probabilities = np.array([0.4, 0.5, 0.4, 0.34, 0.4, 0.6])
    np.testing.assert_allclose(
        segments_of_probabilities(probabilities, 0.18), [[0.032, 0.096], [0.16, 0.18]]
    )
    segments = np.array([[1.0, 1.4], [1.6, 2.0], [3.0, 3.1]])
    rules = SegmentRules(min_speech_s=0.25, min_pause_s=0.3)
    np.testing.assert_allclose(apply_rules(segments, rules), [[1.0, 2.0]])
    np.testing.assert_allclose(
        add_margins(segments, 0.2, 3.2), [[0.8, 1.5], [1.5, 2.2], [2.8, 3.2]]
    )
    assert apply_rules(np.zeros((0, 2)), rules).shape == (0, 2)
    assert add_margins(np.zeros((0, 2)), 0.1, 1.0).shape == (0, 2)
