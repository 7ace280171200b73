"""Trainings that are interrupted, and comparison of runs."""

import pandas as pd
import pytest
from trained_runs import read_history, read_weights
from trained_weights import assert_same_weights

from depmm.runs.folder import RunFolder
from depmm.training import loop

RANDOM = [
    "data.augment={keep_steps: 0.5, modality_dropout: 0.3, gain_db: 3.0, "
    "relative_noise: 0.1, flip: true}"
]
LONG = [*RANDOM, "training.epochs=3", "training.gradient_accumulation_steps=2"]


def assert_same_run(one: RunFolder, two: RunFolder) -> None:
    """Compare two runs up to rounding, except for the times.

    The alignment of a batch in memory can change the kernels, so that runs are not bit-identical.
    Other random draws or a lost state of the optimizer change a loss by more than 1e-3.
    """
    pd.testing.assert_frame_equal(read_history(one), read_history(two), rtol=0, atol=1e-5)
    assert_same_weights(read_weights(one), read_weights(two))
    tables = [pd.read_parquet(run.predictions) for run in (one, two)]
    pd.testing.assert_frame_equal(*tables, rtol=0, atol=1e-5)


def interrupt(patch: pytest.MonkeyPatch, name: str, count: int) -> None:
    """Raise KeyboardInterrupt at the ``count``-th call of a function of the loop."""
    function, calls = getattr(loop, name), []

    def stop(*arguments, **options):
        calls.append(arguments)
        if len(calls) == count:
            raise KeyboardInterrupt
        return function(*arguments, **options)

    patch.setattr(loop, name, stop)
