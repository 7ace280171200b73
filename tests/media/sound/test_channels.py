"""Inverted and dead channels: levels, correlations, and the mix of the others."""

from pathlib import Path

import numpy as np
import pytest

from depmm.media.errors import MediaError
from depmm.media.sound.channels import ChannelChoice, ChannelMeter, channel_mix


def choice_of(*channels: np.ndarray, size: int = 1000) -> ChannelChoice:
    """Measure channels block by block."""
    meter, block = ChannelMeter(), np.stack(channels).astype(np.float32)
    for start in range(0, block.shape[1], size):
        meter.update(block[:, start : start + size])
    return meter.choose()


def noise(seed: int, level: float = 0.1, seconds: float = 4.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, level, round(seconds * 16_000))


def test_usual_stereo_is_kept() -> None:
    left, right = noise(0), noise(1)
    for other in (left, right, 0.5 * left + 0.5 * right, 0.02 * right, right - 0.5 * left):
        choice = choice_of(left, other)
        assert choice.is_everything
        assert not list(choice.warnings())


@pytest.mark.parametrize("gain", [0.3, 0.9, 1.7])
def test_the_louder_of_two_inverted_channels_is_used(gain: float) -> None:
    left = noise(0)
    right = -gain * left + noise(1, 0.01)
    choice = choice_of(left, right)
    assert choice.used == ((1,) if gain > 1 else (0,))
    (warning,) = choice.warnings()
    assert warning.name == "inverted_channels"
    assert warning.value == pytest.approx(np.corrcoef(left, right)[0, 1], abs=1e-3)


@pytest.mark.parametrize(("level_db", "is_dead"), [(-200, True), (-43, True), (-37, False)])
@pytest.mark.parametrize("constant", [0.0, 0.2])
def test_a_channel_40_db_below_the_other_is_dead(level_db, is_dead, constant) -> None:
    left = noise(0)
    quiet = constant + 10 ** (level_db / 20) * noise(1)
    choice = choice_of(quiet, left)
    assert choice.used == ((1,) if is_dead else (0, 1))
    assert [warning.name for warning in choice.warnings()] == ["dead_channel"] * is_dead
    if is_dead and level_db > -100:
        assert choice.dead[0] == pytest.approx(-level_db, abs=0.5)


def test_of_several_channels_the_others_are_averaged() -> None:
    one, two = noise(0), noise(1)
    block = np.stack([one, two, np.zeros_like(one), -0.9 * one]).astype(np.float32)
    choice = choice_of(*block)
    assert choice.used == (0, 1)
    assert set(choice.dead) == {2}
    assert choice.inverted[3][0] == 0
    np.testing.assert_array_equal(choice.mix(block), block[:2].mean(axis=0))


def test_silence_and_values_that_are_not_finite_decide_nothing() -> None:
    silent, left = np.zeros(16_000), noise(0)[:16_000]
    assert choice_of(silent, silent).is_everything
    assert choice_of(1e-5 * left, silent).is_everything  # below digital silence
    for value in (np.nan, np.inf):
        broken = left.copy()
        broken[100] = value
        assert choice_of(broken, silent).is_everything
    assert ChannelMeter().choose().is_everything


def test_the_decision_does_not_depend_on_the_blocks() -> None:
    left = noise(0, seconds=20)
    choices = [choice_of(left, noise(1, 2e-4, 20), -left, size=size) for size in (317, 10**6)]
    assert choices[0].used == choices[1].used == (0,)
    assert choices[0].dead[1] == pytest.approx(choices[1].dead[1], abs=1e-3)


@pytest.mark.parametrize(("channel", "n_channels"), [(1, 1), (2, 2), (-1, 2)])
def test_a_channel_that_does_not_exist_is_an_error(channel: int, n_channels: int) -> None:
    block = np.zeros((n_channels, 10), np.float32)
    with pytest.raises(MediaError) as info:
        channel_mix(Path("a.wav"), channel)(block)
    assert (info.value.file, info.value.setting) == (Path("a.wav"), "channel")
    assert info.value.value == channel
    assert info.value.remedy
