"""Count the files that the patterns of a proposed spec match."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from depmm.corpora.patterns import compile_pattern
from depmm.corpora.tables.table_files import normalize
from depmm.new_spec.shapes import walk

_MAX_EXAMPLES = 2
MAX_UNMATCHED = 200


@dataclass
class Coverage:
    """Files by pattern.

    Attributes
    ----------
    n_files : int
        Number of visible files.
    counts : list of int
        Number of files of each pattern.
    examples : list of list of str
        The first files of each pattern.
    n_unmatched : int
        Number of files that no pattern matches.
    unmatched : list of str
        The first of them.
    """

    n_files: int = 0
    counts: list[int] = field(default_factory=list)
    examples: list[list[str]] = field(default_factory=list)
    n_unmatched: int = 0
    unmatched: list[str] = field(default_factory=list)


def count_matches(root: Path, patterns: Sequence[str]) -> Coverage:
    """Walk a folder and count the files of each pattern.

    Parameters
    ----------
    root : Path
        The folder.
    patterns : sequence of str
        Patterns; a file belongs to the first that matches it, and to those that are equal.

    Returns
    -------
    Coverage
        The counts.
    """
    compiled = [compile_pattern(pattern) for pattern in patterns]
    coverage = Coverage(counts=[0] * len(compiled), examples=[[] for _ in compiled])
    for path in walk(root):
        coverage.n_files += 1
        name = normalize(path)
        for index, pattern in enumerate(compiled):
            if pattern.regex.fullmatch(name) is not None:
                coverage.counts[index] += 1
                if len(coverage.examples[index]) < _MAX_EXAMPLES:
                    coverage.examples[index].append(path)
                break
        else:
            coverage.n_unmatched += 1
            if len(coverage.unmatched) < MAX_UNMATCHED:
                coverage.unmatched.append(path)
    for index, text in enumerate(patterns):
        first = patterns.index(text)
        coverage.counts[index] = coverage.counts[first]
        coverage.examples[index] = coverage.examples[first]
    return coverage
