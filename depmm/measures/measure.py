"""What a measure is: a number of a step or session with a name, a unit and a formula."""

from dataclasses import dataclass

from depmm.errors import DepmmError


class MeasureError(DepmmError):
    """A set of measures that is unknown, or that cannot be computed from a store."""


@dataclass(frozen=True)
class Measure:
    """A named number that is computed from the signals of a step or session.

    Attributes
    ----------
    name : str
        Unique name, lower case: letters, digits and underscores, at most 48 characters, so that
        the columns of all tables have valid names in SPSS and R.
    modality : str
        Modality of the signal, for example ``audio`` or ``face``.
    group : str
        Measures of one group describe one behaviour, for example ``pitch``.
    unit : str
        Unit of the values; ``1`` for shares and scores without a unit.
    description : str
        Formula and source.
    """

    name: str
    modality: str
    group: str
    unit: str
    description: str
