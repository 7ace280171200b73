"""Ask an explained run a question by its name: ``ask(run, "words-by-label", top=10)``."""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from depmm.errors import did_you_mean
from depmm.interpret.query import questions

Question = Callable[..., pd.DataFrame]

QUESTIONS: dict[str, Question] = {
    function.__name__.replace("_", "-"): function
    for function in (
        questions.words_by_label,
        questions.words_by_valence,
        questions.words_by_encoder,
        questions.agreement,
        questions.stability,
        questions.session,
        questions.gates,
        questions.regions,
        questions.misclassified,
    )
}


def ask(run: Path | str, question: str, **options: Any) -> pd.DataFrame:
    """Answer a named question about a run.

    Parameters
    ----------
    run : folder of an explained run
    question : one of ``QUESTIONS``
    options : keywords of its function in ``depmm.interpret.query.questions``; text is converted

    Returns
    -------
    its table; ``attrs["title"]`` says what it is, ``attrs["notes"]`` (may be missing) what a reader
    must know besides

    Raises
    ------
    ValueError : an unknown question, an unknown, missing or wrong option, a run that was not
        explained, a file that is no Parquet, or as the question says
    """
    function = _question(question)
    known = _options(function)
    for name in options:
        if name not in known:
            raise ValueError(f"{question} has no option {name!r}. {did_you_mean(name, known)}")
    for name, parameter in known.items():
        if parameter.default is parameter.empty and name not in options:
            raise ValueError(
                f"{question} needs a {name}: depmm ask {run} {question} {name.upper()}"
            )
    given = {name: _converted(question, known[name], value) for name, value in options.items()}
    return function(Path(run), **given)


def parse_options(question: str, arguments: Sequence[str]) -> dict[str, str]:
    """Read ``KEY=VALUE`` of a command line; what has no ``=`` is what the question is about.

    Raises
    ------
    ValueError : an unknown question, an option given twice, or one that is no ``KEY=VALUE``
    """
    known = _options(_question(question))
    about = [name for name, parameter in known.items() if parameter.default is parameter.empty]
    options: dict[str, str] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            if not about or about[0] in options:
                raise ValueError(f"{question}: {argument!r} is no option: write KEY=VALUE")
            key, value = about[0], argument
        if key in options:
            raise ValueError(f"{question}: {key} is given twice")
        options[key] = value
    return options


def described() -> str:
    """Name every question with its options, a line each."""
    lines = []
    for name, function in QUESTIONS.items():
        options = [
            key.upper() if parameter.default is parameter.empty else f"[{key}=]"
            for key, parameter in _options(function).items()
        ]
        about = inspect.cleandoc(function.__doc__ or "").split("\n", 1)[0]
        lines.append(f"  {name} {' '.join(options)}\n      {about}")
    return "\n".join(lines)


def _question(name: str) -> Question:
    if name not in QUESTIONS:
        raise ValueError(f"question {name!r} is unknown. {did_you_mean(name, QUESTIONS)}")
    return QUESTIONS[name]


def _options(function: Question) -> dict[str, inspect.Parameter]:
    return dict(list(inspect.signature(function).parameters.items())[1:])


def _converted(question: str, parameter: inspect.Parameter, value: Any) -> Any:
    try:
        return TypeAdapter(parameter.annotation).validate_python(value)
    except ValidationError as error:
        raise ValueError(
            f"{question}: {parameter.name}={value}: {error.errors()[0]['msg']}"
        ) from None
