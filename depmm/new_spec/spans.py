"""Parts of paths that vary, and columns of tables with the same values."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from depmm.corpora.patterns import drop_zeros
from depmm.new_spec.shapes import Shape, is_number, is_word

Span = tuple[int, int]  # first and last atom (exclusive) of a part of a path
_MAX_TOKENS = 6  # of a span


@dataclass
class Layout:
    """The paths of a shape with the fields that were found in them.

    Attributes
    ----------
    shape : Shape
        The paths.
    fields : dict of Span to str
        Part of the path -> name of its field.
    integers : set of str
        Fields whose leading zeros are dropped.
    constants : dict of str to str
        Further fields with a constant value.
    """

    shape: Shape
    fields: dict[Span, str] = field(default_factory=dict)
    integers: set[str] = field(default_factory=set)
    constants: dict[str, str] = field(default_factory=dict)

    @cached_property
    def paths(self) -> list[list[str]]:
        """The atoms of each path."""
        return self.shape.split()

    @cached_property
    def spans(self) -> dict[Span, list[str]]:
        """Varying part -> its text in each path: single atoms, and runs of tokens in a name."""
        return {span: values for span, values in self._all_spans() if len(set(values)) > 1}

    def values(self, span: Span) -> list[str]:
        """Return the text of a part in each path.

        Parameters
        ----------
        span : tuple of int
            The part.

        Returns
        -------
        list of str
            One text per path.
        """
        return ["".join(path[span[0] : span[1]]) for path in self.paths]

    def _all_spans(self) -> Iterator[tuple[Span, list[str]]]:
        first = self.paths[0]
        tokens: list[list[Span]] = [[]]  # of each component of the path
        index = 0
        while index < len(first):
            if not (is_number(first[index]) or is_word(first[index])):
                if "/" in first[index]:
                    tokens.append([])
                index += 1
                continue
            start = index
            while index < len(first) and (is_number(first[index]) or is_word(first[index])):
                index += 1
            tokens[-1].append((start, index))
        seen = set()
        for component in tokens:
            for start, stop in component:
                for i in range(start, stop):
                    yield (i, i + 1), self.values((i, i + 1))
                    seen.add((i, i + 1))
            for i in range(len(component)):
                for j in range(i, min(i + _MAX_TOKENS, len(component))):
                    span = component[i][0], component[j][1]
                    if span not in seen:
                        yield span, self.values(span)

    def n_tokens(self, span: Span) -> int:
        """Count the tokens of a part of the path.

        Parameters
        ----------
        span : tuple of int
            The part.

        Returns
        -------
        int
            Number of runs of letters and digits.
        """
        atoms = self.paths[0][span[0] : span[1]]
        return 1 + sum(not (is_number(atom) or is_word(atom)) for atom in atoms)

    def is_folder(self, span: Span) -> bool:
        """Check that a part of the path belongs to the name of a folder.

        Parameters
        ----------
        span : tuple of int
            The part.

        Returns
        -------
        bool
            Whether a ``/`` follows.
        """
        return any("/" in atom for atom in self.paths[0][span[1] :])

    def word_before(self, span: Span) -> str:
        """Return the constant word before a part, in lower case, such as "visit" in "visit2".

        Parameters
        ----------
        span : tuple of int
            The part.

        Returns
        -------
        str
            The word, or an empty string.
        """
        first = self.paths[0]
        for index in range(span[0] - 1, -1, -1):
            if "/" in first[index]:
                return ""
            if is_word(first[index]):
                return "" if (index, index + 1) in self.spans else first[index].lower()
            if is_number(first[index]):
                return ""
        return ""

    def uncovered(self) -> list[Span]:
        """Return the atoms that vary and belong to no field."""
        covered = {i for start, stop in self.fields for i in range(start, stop)}
        return [
            (start, stop)
            for start, stop in self.spans
            if stop == start + 1 and start not in covered
        ]

    def pattern(self) -> str:
        """Write the pattern of the paths."""
        starts = {span[0]: (span, name) for span, name in self.fields.items()}
        first, text, index, named = self.paths[0], "", 0, set()
        while index < len(first):
            if index not in starts:
                varies = (index, index + 1) in self.spans
                text += first[index] if not varies else "" if text.endswith("*") else "*"
                index += 1
                continue
            span, name = starts[index]
            text += "{" + name + ("" if name in named else self._form(span, name)) + "}"
            named.add(name)
            index = span[1]
        return text + self.shape.extension

    def _form(self, span: Span, name: str) -> str:
        """Return the form of a field: ``:int``, or a width where two fields are adjacent."""
        if name in self.integers:
            return ":int"
        is_adjacent = span[1] in {start for start, _ in self.fields} or span[0] in {
            stop for _, stop in self.fields
        }
        widths = {len(value) for value in self.values(span)}
        if is_adjacent and len(widths) == 1 and (width := widths.pop()) < 100:
            return f":{width}"
        return ""


@dataclass(frozen=True)
class Match:
    """Agreement of a part of a path with a column.

    Attributes
    ----------
    share : float
        Share of the different texts in the paths that the column has.
    n_common : int
        Number of them.
    column_share : float
        Share of the different cells that the paths have.
    prefix : str
        Text before the number in the column, which the path does not have.
    integer : bool
        Whether leading zeros have to be dropped in the path.
    integer_column : bool
        Whether leading zeros have to be dropped in the column.
    """

    share: float
    n_common: int
    column_share: float = 0.0
    prefix: str = ""
    integer: bool = False
    integer_column: bool = False


def match_values(texts: Sequence[str], cells: Sequence[str]) -> Match:
    """Compare a part of paths with a column: as text, without leading zeros, with a prefix.

    Parameters
    ----------
    texts : sequence of str
        The part in each path.
    cells : sequence of str
        The column.

    Returns
    -------
    Match
        The best agreement; of several equal ones, the simplest.
    """
    paths, column = set(texts), set(filter(None, cells))
    if not paths or not column:
        return Match(0.0, 0)
    found = [_count(paths, paths & column)]
    if all(map(_is_digits, paths)):
        integers = {drop_zeros(text) for text in paths}
        if all(map(_is_digits, column)):
            common = integers & {drop_zeros(cell) for cell in column}
            found.append(_count(integers, common, integer=True, integer_column=True))
        prefixes = {cell.rstrip("0123456789") for cell in column}
        prefix = min(prefixes, key=len)
        if len(prefixes) == 1 and prefix and "{" not in prefix:
            common = {text for text in paths if prefix + text in column}
            found.append(_count(paths, common, prefix=prefix))
            common = {text for text in integers if prefix + text in column}
            found.append(_count(integers, common, prefix=prefix, integer=True))
    best = max(found, key=lambda match: match.n_common)
    return replace(best, column_share=min(1.0, best.n_common / len(column)))


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _count(paths: set[str], common: set[str], **how: object) -> Match:
    return Match(len(common) / len(paths), len(common), **how)  # type: ignore[arg-type]
