"""Jinja environments of HTML pages, with filters for numbers and text."""

import re
from functools import cache

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

PACKAGE = "depmm.pages"  # has the layout of all pages


@cache
def templates(package: str) -> Environment:
    """Load the templates of a package, together with the layout that all pages share.

    Parameters
    ----------
    package : str
        Dotted name of the package.

    Returns
    -------
    Environment
        Jinja environment with the filters ``number``, ``p_value`` and ``markdown``. An undefined
        variable is an error. Values are escaped in all templates except Markdown templates.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name, "") for name in (package, PACKAGE)]),
        autoescape=lambda name: not str(name).endswith(".md.jinja"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "p_value": p_value, "markdown": markdown_text}
    return environment


def number(value: float | None, digits: int = 3) -> str:
    """Format a number for display.

    Parameters
    ----------
    value : float, optional
        The number; None where undefined.
    digits : int, default 3
        Digits after the decimal point.

    Returns
    -------
    str
        The number, with a typographic minus sign; an en dash for None.
    """
    if value is None:
        return "\N{EN DASH}"
    if float(value).is_integer() and digits == 0:
        return str(int(value))
    rounded = round(value, digits) + 0.0  # no sign before zero
    return f"{rounded:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def p_value(value: float | None) -> str:
    """Format a p value for display.

    Parameters
    ----------
    value : float, optional
        The p value; None where undefined.

    Returns
    -------
    str
        Three digits, ``<0.001`` below 0.0005.
    """
    return "<0.001" if value is not None and value < 0.0005 else number(value)


def markdown_text(text: str) -> str:
    """Escape text for Markdown and HTML.

    Parameters
    ----------
    text : str
        Any text; line breaks become spaces.

    Returns
    -------
    str
        One line of Markdown.
    """
    one_line = " ".join(str(text).split())
    escaped = re.sub(r"([\\`*_\[\]|~$])", r"\\\1", one_line)
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
