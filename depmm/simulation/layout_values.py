"""Values of single fields: the forms of path fields, and the codes that a spec translates."""

from collections.abc import Iterator

from depmm.corpora.spec_schema import Spec
from depmm.simulation.layout_units import LayoutError, Meanings


def matching_codes(spec: Spec, name: str, meanings: Meanings) -> list[str] | None:
    """List the untranslated values of a field that have the required meaning.

    Parameters
    ----------
    spec : Spec
        Data spec of the layout.
    name : str
        Name of the field.
    meanings : dict of str to list of str
        Required values after translation.

    Returns
    -------
    list of str or None
        Values; None if no meaning is required.

    Raises
    ------
    LayoutError
        If no value has the required meaning.
    """
    codes: list[str] | None = None
    for target, values in meanings.items():
        if source_field(spec, target) != name:
            continue
        rule = spec.codes.get(target)
        fitting = [code for code, text in rule.names.items() if text in values] if rule else values
        codes = fitting if codes is None else [code for code in codes if code in fitting]
        if not codes:
            meaning = " or ".join(values)
            raise LayoutError(
                f"{spec.name}: no code of {name} means {target} {meaning}.",
                setting=f"codes.{target}",
                value=meaning,
                remedy=f"Add one under codes.{target}.names.",
            )
    return codes


def source_field(spec: Spec, name: str) -> str:
    """Name the untranslated field that a field is translated from.

    Parameters
    ----------
    spec : Spec
        Data spec of the layout.
    name : str
        Name of the translated field.

    Returns
    -------
    str
        Name of the field in paths and tables.
    """
    return (spec.codes[name].of or name) if name in spec.codes else name


def translated_codes(spec: Spec, name: str) -> list[str]:
    """List the values of a field that have a translation.

    Parameters
    ----------
    spec : Spec
        Data spec of the layout.
    name : str
        Name of the untranslated field.

    Returns
    -------
    list of str
        Values with a translation; empty if the field is not translated.
    """
    for target, rule in spec.codes.items():
        if source_field(spec, target) == name:
            return [code for code, text in rule.names.items() if text is not None]
    return []


def normalise(form: str, value: str) -> str:
    """Convert a path field to the value that indexing reads.

    Parameters
    ----------
    form : str
        Form of the field.
    value : str
        Value in the path.

    Returns
    -------
    str
        The value, without leading zeros if the form is ``int``.
    """
    return str(int(value)) if form == "int" and value.isdecimal() else value


def generate_values(form: str, count: int, letter: str = "") -> Iterator[str]:
    """Generate consecutive values of a form: 1, 2, and so on.

    Parameters
    ----------
    form : str
        ``int``, a number of characters, or empty.
    count : int
        Largest number.
    letter : str, optional
        Prefix of values without form, which then have three digits.

    Yields
    ------
    str
        Next value that fits the form.
    """
    for number in range(1, count + 1):
        if form == "int":
            yield str(number)
        elif form:
            if len(text := f"{number:0{form}d}") <= int(form):
                yield text
        else:
            yield f"{letter}{number:03d}" if letter else str(number)
