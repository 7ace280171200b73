"""Read the bytes and the text of table files, and locate values in them."""

import codecs
import unicodedata
from pathlib import Path
from typing import Any, NamedTuple

from depmm.corpora.errors import ManifestError

_SPREADSHEETS = {
    b"PK\3\4": "a workbook (.xlsx, .ods) or another archive",
    b"\xd0\xcf\x11\xe0": "a workbook of an old Excel (.xls)",
}
# outside of ASCII; one or two may be letters of a single-byte encoding, such as those of MENÜ“
_MIN_UTF8_LETTERS = 3
MAX_BYTES = 2**27  # of a table file; larger files are not tables of a study


class Origin(NamedTuple):
    """The file, and the line or entry of it, from which a value was read.

    Attributes
    ----------
    file : str
        Path relative to the corpus root, or a description.
    line : int or None
        Line, counted from 1.
    entry : str or None
        Index or name of an object in a JSON file.
    decimal : {".", ","}
        Decimal separator of the file.
    """

    file: str
    line: int | None = None
    entry: str | None = None
    decimal: str = "."

    def __str__(self) -> str:
        if self.line is not None:
            return f"{self.file}, line {self.line}"
        return self.file if self.entry is None else f"{self.file}, entry {self.entry}"

    def error(
        self,
        message: str,
        column: str | None = None,
        value: Any = None,
        session: str | None = None,
        remedy: str | None = None,
    ) -> ManifestError:
        """Build an error with this location in its message and attributes.

        Parameters
        ----------
        message : str
            What is wrong.
        column : str, optional
            Column with the fault.
        value : object, optional
            The value that cannot be used.
        session : str, optional
            Session id.
        remedy : str, optional
            What to do.

        Returns
        -------
        ManifestError
            The error.
        """
        return ManifestError(
            f"{self}: {message}",
            file=self.file,
            line=self.line,
            column=column,
            value=value,
            session=session,
            remedy=remedy,
        )


def normalize(text: str) -> str:
    """Return the composed Unicode form (NFC) of a text.

    Parameters
    ----------
    text : str
        The text.

    Returns
    -------
    str
        The same text, with one code point for a letter with an accent where there is one.
    """
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def read_bytes(path: Path, file: str) -> bytes:
    """Read a table file of at most ``MAX_BYTES``.

    Parameters
    ----------
    path : Path
        The file.
    file : str
        Its name in messages.

    Returns
    -------
    bytes
        Content of the file.

    Raises
    ------
    ManifestError
        If the file cannot be read or is too large.
    """
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= MAX_BYTES else None
    except OSError as error:
        raise ManifestError(
            f"{file}: cannot be read ({error.strerror}).",
            file=file,
            remedy="Check that the file exists and that you may read it.",
        ) from None
    if data is None:
        raise ManifestError(
            f"{file}: larger than {MAX_BYTES // 2**20} MiB, the limit for a table.",
            file=file,
            value=size,
            remedy="Check that the pattern in the spec names a table, or split the file.",
        )
    return data


def read_text(path: Path, file: str, encoding: str | None = None) -> str:
    """Read and decode a table file.

    Parameters
    ----------
    path : Path
        The file.
    file : str
        Its name in messages.
    encoding : str, optional
        Encoding that a spec states; by default UTF-8, the only one of tables without a spec.

    Returns
    -------
    str
        Text without byte order mark.

    Raises
    ------
    ManifestError
        If the file cannot be read, is too large, is not text in this encoding or is UTF-8 instead,
        or contains the character NUL.
    """
    data = read_bytes(path, file)
    try:
        text = data.decode(encoding or "utf-8")
    except UnicodeError as error:
        position = error.start if isinstance(error, UnicodeDecodeError) else 0
        line = data.count(b"\n", 0, position) + 1
        value = f"{data[position]:#04x}" if position < len(data) else ""
        raise ManifestError(
            f"{file}, line {line}: byte {value} is not {encoding or 'utf-8'} text.",
            file=file,
            line=line,
            value=value,
            remedy=_encoding_remedy(data, encoding is not None),
        ) from None
    if encoding and _is_utf8(data) and text.lstrip("\ufeff") != data.decode("utf-8-sig"):
        raise ManifestError(
            f"{file}: encoding is {encoding!r} in the spec, but the file is UTF-8 text.",
            file=file,
            setting="encoding",
            value=encoding,
            remedy="Write encoding: utf-8 in the spec's table.",
        )
    position = text.find("\0")
    if position >= 0:
        line = text.count("\n", 0, position) + 1
        raise ManifestError(
            f"{file}, line {line}: contains the character NUL (0x00), which no text has.",
            file=file,
            line=line,
            value="\0",
            remedy=_encoding_remedy(data, encoding is not None),
        )
    return text.removeprefix("\ufeff")


def _is_utf8(data: bytes) -> bool:
    """Tell whether bytes are UTF-8 and, because of several other letters, no other encoding."""
    if 0 in data or data.isascii():
        return False
    try:
        return sum(not letter.isascii() for letter in data.decode()) >= _MIN_UTF8_LETTERS
    except UnicodeDecodeError:
        return False


def _encoding_remedy(data: bytes, in_spec: bool) -> str:
    """Name the encoding that the bytes seem to have."""
    for magic, name in _SPREADSHEETS.items():
        if data.startswith(magic):
            return f"The file is {name}: save the table as .csv in UTF-8, or as .xlsx."
    advice = "Save the file as UTF-8; it may be in {}"
    if in_spec:
        advice = "Save the file as UTF-8, or write encoding: {} in the spec's table"
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return advice.format("utf-32") + "; it begins with the mark of UTF-32."
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return advice.format("utf-16") + "; it begins with the mark of UTF-16."
    sample = data[:4096]
    for zeros, name in ((sample[1::2], "utf-16-le"), (sample[::2], "utf-16-be")):
        if zeros.count(0) > 0.7 * len(zeros) > 0:
            return advice.format(name) + "; it seems to be UTF-16."
    if 0 in sample:
        return "The file is damaged or not a table. Copy it again from its source."
    return advice.format("cp1252") + " (Western Europe), gb18030 (Chinese) or shift_jis (Japanese)."
