"""Text for a terminal: control characters of file names, ids and cells are escaped."""

import unicodedata

_BIDIRECTIONAL = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
_MARKS = "\u061c\u200e\u200f"  # invisible marks of direction
_ESCAPED_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}  # controls, surrogates, ends of lines, paragraphs


def escape_controls(text: str, keep: str = "\n\t") -> str:
    r"""Escape characters that control a terminal instead of being displayed.

    A file name or a cell of a table can contain sequences that clear the screen, overwrite a line,
    change the title of the window, or reverse the order of the displayed text.

    Parameters
    ----------
    text : str
        Any text.
    keep : str, optional
        Control characters that are kept; by default line breaks and tabs.

    Returns
    -------
    str
        The text with ``\x1b``, ``\u202e`` etc. in place of control characters, bidirectional
        overrides and surrogates.

    Examples
    --------
    >>> escape_controls("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        letter.encode("unicode_escape").decode() if _is_control(letter, keep) else letter
        for letter in text
    )


def _is_control(letter: str, keep: str) -> bool:
    return letter not in keep and (
        unicodedata.category(letter) in _ESCAPED_CATEGORIES
        or unicodedata.bidirectional(letter) in _BIDIRECTIONAL
        or letter in _MARKS
    )
