"""Amounts of a signal that a model reads, and that it leaves out for which reason."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

OUTSIDE = "outside of the steps"
NOT_SELECTED = "in steps that data.steps leaves out"


@dataclass
class UsedSignal:
    """Amount of a signal that is read.

    Attributes
    ----------
    unit : str
        ``s of sound``, ``video frames``, ``words`` or ``rows of <stream>``.
    total : float
        Amount in the recordings; of sound, the seconds up to the end of the last step unless the
        length of the recording is known.
    used : float
        Amount that the model reads.
    left_out : dict of str to float
        Amount by reason; the amounts and ``used`` add up to ``total``.
    """

    unit: str
    total: float = 0.0
    used: float = 0.0
    left_out: dict[str, float] = field(default_factory=dict)

    reader: ClassVar[str] = "the model reads"

    def add(self, other: "UsedSignal") -> None:
        """Add the amounts of another session.

        Parameters
        ----------
        other : UsedSignal
            Amounts in the same unit.
        """
        self.total += other.total
        self.used += other.used
        for reason, amount in other.left_out.items():
            self.left_out[reason] = self.left_out.get(reason, 0.0) + amount

    def describe(self) -> str:
        """Describe the amounts in a sentence without a full stop.

        Returns
        -------
        str
            For example ``the model reads 41.2 of 60.0 s of sound (69 %): 18.8 s are behind
            data.max_audio_s = 4 s per step``.
        """
        if not self.total:
            return f"no {self.unit.removeprefix('s of ')} to read"
        digits, unit = (1, " s") if self.unit.startswith("s ") else (0, "")
        share = f" ({100 * self.used / self.total:.0f} %)"
        text = f"{self.reader} {self.used:.{digits}f} of {self.total:.{digits}f} {self.unit}"
        parts = [f"{amount:.{digits}f}{unit} are {why}" for why, amount in self.left_out.items()]
        return f"{text}{share}" + (f": {', '.join(parts)}" if parts else "")


class MeanUsedSignal(UsedSignal):
    """Mean of the amounts that several models read of a recording."""

    reader: ClassVar[str] = "the models read on average"


def average_used(amounts: Sequence[UsedSignal]) -> UsedSignal:
    """Average the amounts that the models of a run read of a recording.

    Parameters
    ----------
    amounts : sequence of UsedSignal
        Amounts in one unit, one for each model.

    Returns
    -------
    UsedSignal
        The amounts themselves if they are equal; otherwise their mean, whose reasons name a setting
        without its values.
    """
    first = amounts[0]
    if all(amount == first for amount in amounts):
        return first
    mean, n_models = MeanUsedSignal(first.unit), len(amounts)
    for amount in amounts:
        left_out: dict[str, float] = {}
        for why, value in amount.left_out.items():
            setting = why.split(" = ")[0]
            left_out[setting] = left_out.get(setting, 0.0) + value / n_models
        mean.add(UsedSignal(first.unit, amount.total / n_models, amount.used / n_models, left_out))
    return mean


def count_distinct(parts: Sequence[np.ndarray]) -> int:
    """Count the distinct indices in several arrays.

    Parameters
    ----------
    parts : sequence of ndarray of int64, shape (T,)
        Indices, of which several steps may contain the same.

    Returns
    -------
    int
        Their number.
    """
    return len(np.unique(np.concatenate(parts))) if parts else 0


def count_used(unit: str, total: int, amounts: dict[str, int]) -> UsedSignal:
    """Build the amounts of a signal that is counted.

    Parameters
    ----------
    unit : str
        Unit of the amounts.
    total : int
        Amount in the recordings.
    amounts : dict of str to int
        Amount that is left out, by reason; a reason without an amount is not listed.

    Returns
    -------
    UsedSignal
        The amounts.
    """
    left_out = {why: float(amount) for why, amount in amounts.items() if amount}
    return UsedSignal(unit, float(total), total - sum(left_out.values()), left_out)
