"""Words of depmm itself, which texts of every export contain, whatever its subjects are called."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import depmm

_WORD = re.compile(r"[^\W_]+")
# whose texts an export contains; pages and pictures are full of colours such as d55e00
_PACKAGES = ("config", "evaluation", "measures", "runs", "schemas", "sharing")


@cache
def own_words() -> frozenset[str]:
    """Collect the words of the strings and templates of depmm, without its docstrings.

    Returns
    -------
    frozenset of str
        The words in lower case.
    """
    words: set[str] = set()
    for package in _PACKAGES:
        for text in _texts(Path(depmm.__file__).parent / package):
            words |= {word.casefold() for word in _WORD.findall(text)}
    return frozenset(words)


def _texts(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*.md.jinja"):
        yield path.read_text(encoding="utf-8")
    for path in folder.rglob("*.py"):
        tree = ast.parse(path.read_bytes())
        nodes = list(ast.walk(tree))
        # docstrings contain ids as examples
        statements = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        for node in nodes:
            match node:
                case ast.Constant(value=str(text)) if id(node) not in statements:
                    yield text
                case ast.keyword(arg=str(name)) | ast.arg(arg=name):
                    yield name
                case ast.AnnAssign(target=ast.Name(id=name)):
                    yield name
