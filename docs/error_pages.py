"""Reference page of errors, whose messages are read from the code."""

import ast
import re
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from system_pages import markdown_table  # beside this file, where mkdocs and scripts find it

import depmm
from depmm.pages.templates import markdown_text


def errors_page() -> str:
    """Write meaning, messages and remedies of every error."""
    parts = [
        "# Errors",
        "All errors that you can repair are subclasses of `depmm.errors.DepmmError`. On the "
        "command line the exit status is 2, and the message says what is wrong, where, and what to "
        "do. Messages contain no link, because they contain the remedy; search this page for a "
        "part of a message to find its error. In Python, the attributes `setting`, `file`, `line`, "
        "`column`, `subject`, `session`, `value` and `remedy` locate the fault. The anchor of an "
        "error is its name in lower case, for example `errors/#configerror`.",
        "In the messages, *words in italics* stand for values, and an ellipsis for a longer text.",
    ]
    messages = error_messages()
    for name, error in sorted(all_errors().items()):
        also = "" if error.base == "DepmmError" else f" It is a {error.base}."
        parts += [f"## {name}", f"{error.summary}{also} Module `{error.module}`."]
        if rows := messages.get(name):
            parts.append(markdown_table(["message", "remedy, if not in the message"], rows))
    return "\n\n".join(parts) + "\n"


class ErrorClass(NamedTuple):
    """A subclass of DepmmError.

    Attributes
    ----------
    base : str
        Name of its base class.
    summary : str
        First paragraph of its docstring.
    module : str
        Dotted name of its module.
    """

    base: str
    summary: str
    module: str


@cache
def _nodes() -> list[tuple[str, ast.AST]]:
    """Parse the modules of the package that define or raise errors."""
    package = Path(depmm.__file__).parent
    nodes = []
    for file in sorted(package.rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        module = ".".join(file.relative_to(package.parent).with_suffix("").parts)
        if "Error" in text:
            nodes += [(module, node) for node in ast.walk(ast.parse(text))]
    return nodes


@cache
def all_errors() -> Mapping[str, ErrorClass]:
    """Find the subclasses of DepmmError, without importing their modules.

    Returns
    -------
    mapping of str to ErrorClass
        The classes by name.

    Raises
    ------
    ValueError
        If two of them have one name, which is their anchor.
    """
    classes = [(m, n) for m, n in _nodes() if isinstance(n, ast.ClassDef) and n.bases]
    found: dict[str, ErrorClass] = {}
    for _ in classes:  # a class may be defined before its base is found
        size = len(found)
        for module, node in classes:
            base = ast.unparse(node.bases[0])
            if base != "DepmmError" and base not in found:
                continue
            if node.name in found and found[node.name].module != module:
                raise ValueError(f"{node.name} is in {module} and {found[node.name].module}")
            summary = (ast.get_docstring(node) or "").split("\n\n")[0]
            found[node.name] = ErrorClass(base, " ".join(summary.split()), module)
        if len(found) == size:
            break
    return found


@cache
def error_messages() -> Mapping[str, list[list[str]]]:
    """Collect the messages and remedies that the code gives to each error.

    Returns
    -------
    mapping of str to list of [str, str]
        Message and remedy in Markdown, by class.
    """
    errors = {name: name for name in all_errors()}
    nodes = [node for _, node in _nodes()]
    for node in nodes:  # functions that build an error
        match node:
            case ast.FunctionDef(name=name, returns=ast.Name(id=error)) if error in errors:
                errors[name] = error
    found: dict[str, list[list[str]]] = defaultdict(list)
    for node in nodes:
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name | ast.Attribute):
            continue
        called = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        if called not in errors:
            continue
        keywords = {keyword.arg: keyword.value for keyword in node.keywords}
        # a message that is only a variable is built elsewhere
        texts = (text for text in map(template, node.args) if re.search(r"[a-z]{3} [a-z]", text))
        remedy = template(keywords.get("remedy"))
        row = [next(texts, ""), remedy if re.search(r"[a-z] ", remedy) else ""]
        if row[0] and row not in found[errors[called]]:
            found[errors[called]].append(row)
    return found


def template(node: ast.expr | None) -> str:
    """Write an f-string as Markdown, with the names of its values in italics.

    Parameters
    ----------
    node : ast.expr or None
        The expression.

    Returns
    -------
    str
        Markdown; an ellipsis for an expression that is not a name.
    """
    match node:
        case None:
            return ""
        case ast.Constant(value=str() as text):
            return markdown_text(f"x{text}x")[1:-1] if text.strip() else text
        case ast.JoinedStr(values=parts):
            return "".join(map(template, parts))
        case ast.FormattedValue(value=value):
            return template(value)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return template(left) + template(right)
        case ast.Call(func=ast.Name(id="did_you_mean")):
            return "Did you mean \N{HORIZONTAL ELLIPSIS}?"
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return f"*{markdown_text(name.strip('_'))}*"
        case _:
            return "\N{HORIZONTAL ELLIPSIS}"
