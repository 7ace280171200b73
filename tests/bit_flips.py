"""Flipped bits in files."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def restored(path: Path) -> Iterator[bytes]:
    """Yield the content of a file, and write it again at the end.

    Parameters
    ----------
    path : Path
        The file.

    Yields
    ------
    bytes
        Its content.
    """
    content = path.read_bytes()
    try:
        yield content
    finally:
        path.write_bytes(content)


def flip_bits(path: Path, n_flips: int, seed: int = 0) -> Iterator[int]:
    """Flip one bit of a file after the other, and restore the file at the end.

    Parameters
    ----------
    path : Path
        The file.
    n_flips : int
        Number of bits, each flipped alone.
    seed : int, default 0
        Seed of their choice.

    Yields
    ------
    int
        Index of the flipped bit.
    """
    with restored(path) as content:
        for bit in random.Random(seed).choices(range(8 * len(content)), k=n_flips):
            damaged = bytearray(content)
            damaged[bit // 8] ^= 1 << bit % 8
            path.write_bytes(damaged)
            yield bit
