"""Check the label of a data spec."""

from collections.abc import Iterator

from depmm.corpora.instruments import INSTRUMENTS, find_scale, short_name
from depmm.corpora.spec_names import unknown_names
from depmm.corpora.spec_schema import InstrumentDefinition, Label
from depmm.corpora.strict_yaml import Problem
from depmm.errors import did_you_mean
from depmm.files.limited_yaml import Location


def _check_instrument(instrument: str | InstrumentDefinition) -> Iterator[Problem]:
    """Check the name of an instrument, or the numbers of its definition."""
    where: Location = ("label", "instrument")
    if isinstance(instrument, str):
        if instrument not in INSTRUMENTS:
            yield (
                where,
                f"{instrument!r} is unknown. {did_you_mean(instrument, INSTRUMENTS)} Define "
                "another instrument by {name:, minimum:, maximum:, cut_off:, bands:}.",
            )
        return
    lowest, highest = instrument.minimum, instrument.maximum
    if instrument.name in INSTRUMENTS:
        yield (
            (*where, "name"),
            f"{instrument.name!r} is defined by depmm. Write instrument: {instrument.name}, or use "
            "another name for another definition.",
        )
    if not lowest < highest:
        yield (*where, "maximum"), f"{highest:g} is not above the minimum {lowest:g}. Correct one."
    if instrument.cut_off is not None and not lowest < instrument.cut_off <= highest:
        yield (
            (*where, "cut_off"),
            f"{instrument.cut_off:g} is not above {lowest:g} and at most {highest:g}. Correct it.",
        )
    edges = list(instrument.bands.values())
    if edges and (edges != sorted(set(edges)) or edges[0] != lowest or edges[-1] > highest):
        yield (
            (*where, "bands"),
            f"the bands begin at {', '.join(f'{edge:g}' for edge in edges)}. Give the lowest score "
            f"of each, ascending, the first at the minimum {lowest:g}.",
        )


def check_label(label: Label, known: set[str]) -> Iterator[Problem]:
    """Check the instrument and the sources of the label.

    Parameters
    ----------
    label : Label
        The label.
    known : set of str
        Fields of the spec.

    Yields
    ------
    tuple of (tuple, str)
        Location in the spec, and message.
    """
    problems = list(_check_instrument(label.instrument))
    yield from problems
    if problems:
        return
    scale, name = find_scale(label.instrument_text), short_name(label.instrument_text)
    for key in ("score", "field", "original"):
        if (field := getattr(label, key)) is not None:
            yield from unknown_names(("label", key), [field], known, "the spec")
    if scale.lowest is None or scale.highest is None:
        if label.score is not None or label.cut_off is not None:
            yield ("label",), f"{name!r} has no scores. Drop score and cut_off."
    elif label.cut_off is not None and not scale.lowest < label.cut_off <= scale.highest:
        yield (
            ("label", "cut_off"),
            f"{label.cut_off:g} is outside the range of {name}, which is "
            f"{scale.lowest:g} to {scale.highest:g}. Scores from the cut-off on are positive: "
            f"choose one above {scale.lowest:g}.",
        )
    if label.score is None and label.field is None:
        yield (
            ("label",),
            "the label has no source. Give score:, or field: with positive: and negative:.",
        )
    if (label.field is not None) != bool(label.positive and label.negative):
        yield ("label",), "set all of field:, positive: and negative:, or none."
    if both := set(label.positive) & set(label.negative):
        yield ("label", "positive"), f"{sorted(both)} are in positive and negative. Keep one."
