"""Group the files of a folder by the shape of their paths.

A path consists of numbers, words and what separates them. Files whose paths differ only in their
numbers and words have one shape, for example ``0_a/0_a.wav`` for ``300_P/300_AUDIO.wav``. A bounded
sample of paths is kept per shape, so that memory does not grow with the number of files.
"""

import os
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from depmm.corpora.errors import ManifestError
from depmm.corpora.manifest_rules import is_safe_path
from depmm.corpora.spec_schema import TRUTH_FILE
from depmm.new_spec.contents import SOUND, VIDEO

MAX_SAMPLE = 1000  # paths per shape
MAX_SHAPES = 300
MAX_EMPTY = 50
_ATOM = re.compile(r"[0-9]+|[^\W\d_]+|(?:(?![0-9]|[^\W\d_]).)+", re.DOTALL)
_UNWRITABLE = re.compile(r"[{}*\\]")  # has a meaning in patterns


@dataclass
class Shape:
    """Files whose paths have the same separators, and numbers and words in the same places.

    Attributes
    ----------
    key : str
        The shape: ``0`` for a number, ``a`` for a word.
    n_files : int
        Number of files.
    sample : list of str
        At most ``MAX_SAMPLE`` of their paths, at random with a fixed seed.
    restricted : dict of int to tuple of str
        Index of an atom -> its values, if files with other values are of another kind.
    """

    key: str
    n_files: int = 0
    sample: list[str] = field(default_factory=list)
    restricted: dict[int, tuple[str, ...]] = field(default_factory=dict)

    @property
    def extension(self) -> str:
        """Extension with its dot, in lower case; patterns match it in any case."""
        return PurePosixPath(self.sample[0]).suffix.lower()

    def split(self) -> list[list[str]]:
        """Return the atoms (numbers, words, separators) of each path, without the extension."""
        size = len(self.extension)
        return [atoms(path[:-size] if size else path) for path in self.sample]


@dataclass
class FolderContent:
    """The shapes of a folder, and what was not looked at.

    Attributes
    ----------
    shapes : list of Shape
        By number of files, largest first.
    n_files : int
        Number of visible files.
    n_links : int
        Links, which are not followed.
    n_unsafe : int
        Files whose name cannot be part of a manifest.
    n_other : int
        Files with further shapes than ``MAX_SHAPES``.
    n_empty : int
        Files without content that are no recordings by their extension.
    empty : list of str
        The first ``MAX_EMPTY`` of them.
    """

    shapes: list[Shape] = field(default_factory=list)
    n_files: int = 0
    n_links: int = 0
    n_unsafe: int = 0
    n_other: int = 0
    n_empty: int = 0
    empty: list[str] = field(default_factory=list)


def atoms(path: str) -> list[str]:
    """Split a path into numbers, words and separators.

    Parameters
    ----------
    path : str
        Path relative to the root.

    Returns
    -------
    list of str
        The parts, which joined are the path.
    """
    return _ATOM.findall(path)


def is_number(atom: str) -> bool:
    """Check that an atom is a number.

    Parameters
    ----------
    atom : str
        An atom.

    Returns
    -------
    bool
        Whether it consists of the digits 0 to 9.
    """
    return atom[0] in "0123456789"


def is_word(atom: str) -> bool:
    """Check that an atom is a word.

    Parameters
    ----------
    atom : str
        An atom.

    Returns
    -------
    bool
        Whether it consists of letters.
    """
    return atom[0].isalpha()


def walk(root: Path, content: FolderContent | None = None) -> Iterator[str]:
    """Yield the files with content below a folder; links are counted and never followed.

    Parameters
    ----------
    root : Path
        The folder.
    content : FolderContent, optional
        Where links and files that cannot be used are counted.

    Yields
    ------
    str
        Path relative to the root.

    Raises
    ------
    ManifestError
        If the root cannot be listed.
    """
    counts = FolderContent() if content is None else content
    folders = [""]
    while folders:
        prefix = folders.pop()
        try:
            with os.scandir(root / prefix) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            if prefix:
                continue
            raise ManifestError(
                f"{root}: cannot be listed ({error.strerror}).",
                file=root,
                remedy="Give a folder that you can read.",
            ) from None
        below = []
        for entry in entries:
            path = prefix + entry.name
            if entry.name.startswith(".") or path == TRUTH_FILE:
                continue
            if entry.is_symlink():
                counts.n_links += 1
            elif entry.is_dir(follow_symlinks=False):
                below.append(path + "/")
            elif not _is_usable(path):
                counts.n_unsafe += 1
            elif (
                entry.stat(follow_symlinks=False).st_size == 0
                # an empty recording is one that was lost, which the extraction reports
                and PurePosixPath(path).suffix.lower() not in SOUND | VIDEO
            ):
                counts.n_empty += 1
                if len(counts.empty) < MAX_EMPTY:
                    counts.empty.append(path)
            else:
                yield path
        folders += reversed(below)


def _is_usable(path: str) -> bool:
    return path.isprintable() and is_safe_path(path) and not _UNWRITABLE.search(path)


def group_by_shape(root: Path) -> FolderContent:
    """Walk a folder once and group its files.

    Parameters
    ----------
    root : Path
        The folder.

    Returns
    -------
    FolderContent
        The shapes.
    """
    content = FolderContent()
    rng = random.Random(0)
    shapes: dict[str, Shape] = {}
    for path in walk(root, content):
        content.n_files += 1
        extension = PurePosixPath(path).suffix
        stem = path[: -len(extension)] if extension else path
        key = "".join(
            "0" if is_number(atom) else "a" if is_word(atom) else atom for atom in atoms(stem)
        )
        key += extension.lower()
        shape = shapes.get(key)
        if shape is None:
            if len(shapes) >= MAX_SHAPES:
                content.n_other += 1
                continue
            shape = shapes[key] = Shape(key)
        shape.n_files += 1
        if len(shape.sample) < MAX_SAMPLE:
            shape.sample.append(path)
        elif (index := rng.randrange(shape.n_files)) < MAX_SAMPLE:
            shape.sample[index] = path
    content.shapes = sorted(shapes.values(), key=lambda shape: (-shape.n_files, shape.key))
    return content
