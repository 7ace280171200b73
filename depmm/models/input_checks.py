"""Checks of the inputs of a model, before it computes."""

from collections.abc import Mapping, Sequence

import numpy as np

from depmm.inputs import Inputs
from depmm.models.errors import ModelError


def check_inputs(inputs: Mapping[str, Inputs], modalities: Sequence[str]) -> None:
    """Check that there are inputs of each modality, and a signal in each session.

    Parameters
    ----------
    inputs : mapping of str to Inputs
        Inputs by modality.
    modalities : sequence of str
        Modalities of the model.

    Raises
    ------
    ModelError
        If a modality is not given, its lengths are not those of its values, or a session has no
        step with any modality.
    """
    for name in modalities:
        if name not in inputs:
            raise ModelError(
                f"The input {name} is not given. For a missing modality, give lengths of zero.",
                value=name,
            )
        shape, of_values = inputs[name].lengths.shape, tuple(inputs[name].values.shape[:2])
        if shape != of_values:
            raise ModelError(
                f"The input {name} has lengths of shape {shape} for values of shape "
                f"{of_values}: give one length for each step of each session.",
                value=name,
            )
    present = np.any([(inputs[name].lengths > 0).any(axis=1) for name in modalities], axis=0)
    if not present.all():
        empty = np.flatnonzero(~present).tolist()
        raise ModelError(
            f"Sessions {empty} of the batch have no step with {' or '.join(modalities)}. "
            "Remove them, or use a model for a modality that they have.",
            value=empty,
        )
