"""Single steps of sessions as training samples."""

import numpy as np
import pytest
from session_data import make_dataset

from depmm.data.step_dataset import StepDataset


def test_every_step_is_a_sample_of_its_session(corpus):
    sessions = make_dataset(corpus)
    steps = StepDataset(sessions, [3, 1])
    n_steps = [len(sessions[None, index].signals["audio"]) for index in (3, 1)]
    assert len(steps) == sum(n_steps)
    assert steps.sessions.tolist() == np.repeat([3, 1], n_steps).tolist()
    assert steps.steps.tolist() == [step for n in n_steps for step in range(n)]
    for row in range(len(steps)):
        item, whole = steps[None, row], sessions[None, steps.sessions[row]]
        assert item.index == steps.sessions[row]
        assert len(item.signals["audio"]) == len(item.signals["face"]) == 1
        np.testing.assert_array_equal(
            item.signals["audio"][0], whole.signals["audio"][steps.steps[row]]
        )
        np.testing.assert_array_equal(
            item.signals["face"][0], whole.signals["face"][steps.steps[row]]
        )


def test_masked_steps_are_not_samples(corpus):
    sessions = make_dataset(corpus)
    n_steps = len(sessions[None, 0].signals["audio"])
    sessions.step_masks = [np.arange(n_steps) == 1] * len(sessions)
    steps = StepDataset(sessions, [0, 2])
    assert (steps.sessions.tolist(), steps.steps.tolist()) == ([0, 2], [1, 1])


def test_augmentation_of_a_step_depends_on_seed_epoch_session_and_step(corpus):
    settings = {"augment": {"gain_db": 12.0, "keep_steps": 0.2}, "max_audio_s": 9.0}
    samples = StepDataset(make_dataset(corpus, **settings), [0])
    plain = make_dataset(corpus, max_audio_s=9.0)[None, 0]

    def gains(seed: int, epoch: int) -> list[float]:
        changed = StepDataset(make_dataset(corpus, seed, **settings), [0])
        pairs = [
            (changed[epoch, row].signals["audio"][0], plain.signals["audio"][row])
            for row in range(len(changed))
        ]
        return [float(np.linalg.norm(a) / np.linalg.norm(b)) for a, b in pairs]

    first = gains(0, 0)
    assert len(set(np.round(first, 4))) == len(
        samples
    )  # steps are drawn independently, none masked
    assert gains(0, 0) == pytest.approx(first)
    assert gains(0, 1) != pytest.approx(first)
    assert gains(1, 0) != pytest.approx(first)
    assert samples[None, 0].signals["audio"][0] == pytest.approx(plain.signals["audio"][0])
