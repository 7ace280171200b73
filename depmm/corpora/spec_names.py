"""Names that a data spec uses and defines."""

from collections.abc import Iterator

from depmm.corpora.strict_yaml import Problem
from depmm.errors import did_you_mean
from depmm.files.limited_yaml import Location


def unknown_names(
    location: Location, names: list[str], known: set[str], source: str
) -> Iterator[Problem]:
    """Report names that are not defined.

    Parameters
    ----------
    location : tuple
        Location in the spec.
    names : list of str
        The names that are used.
    known : set of str
        The names that are defined.
    source : str
        What defines them, for the message.

    Yields
    ------
    tuple of (tuple, str)
        Location in the spec, and message.
    """
    for name in names:
        if name not in known:
            yield (
                location,
                f"{name!r} is not defined by {source}. {did_you_mean(name, sorted(known))}",
            )
