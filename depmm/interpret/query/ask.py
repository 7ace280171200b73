"""Named questions about an explained run: ``ask(run, "words-by-label", top=10)``."""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from depmm.errors import did_you_mean
from depmm.interpret.errors import QuestionError
from depmm.interpret.query import measure_questions, session_questions, word_questions

Question = Callable[..., pd.DataFrame]

QUESTIONS: dict[str, Question] = {
    function.__name__.replace("_", "-"): function
    for function in (
        word_questions.words_by_label,
        word_questions.words_by_valence,
        word_questions.words_by_encoder,
        word_questions.agreement,
        word_questions.stability,
        session_questions.session,
        session_questions.modalities,
        session_questions.gates,
        session_questions.regions,
        session_questions.misclassified,
        measure_questions.measures,
        measure_questions.measure_weights,
    )
}


def ask(run: Path | str, question: str, **options: Any) -> pd.DataFrame:
    """Evaluate a named question about an explained run.

    Parameters
    ----------
    run : Path or str
        Folder of a run that ``explain`` was applied to.
    question : str
        One of ``QUESTIONS``, for example ``words-by-label``.
    **options : Any
        Keyword arguments of the question's function in ``word_questions`` or
        ``session_questions``; text is converted to the type of the argument.

    Returns
    -------
    DataFrame
        The result. ``attrs["title"]`` describes it, and ``attrs["notes"]``, if it exists, is a list
        of caveats.

    Raises
    ------
    QuestionError
        If the question or an option is unknown, an option is missing or has a wrong value, the run
        was not explained or has a damaged file, or the question does not apply to the run.

    Examples
    --------
    >>> import depmm
    >>> words = depmm.ask("runs/demo", "words-by-label", top=3, permutations=99)
    >>> len(words)  # three words, and all steps removed
    4
    """
    function = _get_question(question)
    known = _get_options(function)
    for name in options:
        if name not in known:
            raise QuestionError(
                f"{question} has no option {name!r}.",
                setting=name,
                remedy=did_you_mean(name, known),
            )
    for name, parameter in known.items():
        if parameter.default is parameter.empty and name not in options:
            raise QuestionError(
                f"{question} needs a {name}. Run depmm ask {run} {question} {name.upper()}.",
                setting=name,
            )
    converted = {name: _convert(question, known[name], value) for name, value in options.items()}
    return function(Path(run), **converted)


def parse_options(question: str, arguments: Sequence[str]) -> dict[str, str]:
    """Parse the options of a command line.

    Parameters
    ----------
    question : str
        One of ``QUESTIONS``.
    arguments : sequence of str
        ``KEY=VALUE``; an argument without ``=`` is the value of the option that the question
        requires.

    Returns
    -------
    dict of str to str
        Values by option.

    Raises
    ------
    QuestionError
        If the question is unknown, an option is given twice, or an argument is not KEY=VALUE.
    """
    known = _get_options(_get_question(question))
    required = [name for name, parameter in known.items() if parameter.default is parameter.empty]
    options: dict[str, str] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            if not required or required[0] in options:
                raise QuestionError(
                    f"{question}: {argument!r} is not of the form KEY=VALUE.", value=argument
                )
            key, value = required[0], argument
        if key in options:
            raise QuestionError(f"{question}: {key} is given twice.", setting=key, value=value)
        options[key] = value
    return options


def describe_questions() -> str:
    """Describe every question with its options.

    Returns
    -------
    str
        Two lines per question.
    """
    lines = []
    for name, function in QUESTIONS.items():
        options = [
            key.upper() if parameter.default is parameter.empty else f"[{key}=]"
            for key, parameter in _get_options(function).items()
        ]
        summary = inspect.cleandoc(function.__doc__ or "").split("\n", 1)[0]
        lines.append(f"  {name} {' '.join(options)}\n      {summary}")
    return "\n".join(lines)


def _get_question(name: str) -> Question:
    if name not in QUESTIONS:
        raise QuestionError(
            f"question {name!r} is unknown.",
            setting="question",
            value=name,
            remedy=did_you_mean(name, QUESTIONS),
        )
    return QUESTIONS[name]


def _get_options(function: Question) -> dict[str, inspect.Parameter]:
    """Return the parameters of a question, without the run."""
    return dict(list(inspect.signature(function).parameters.items())[1:])


def _convert(question: str, parameter: inspect.Parameter, value: Any) -> Any:
    try:
        return TypeAdapter(parameter.annotation).validate_python(value)
    except ValidationError as error:
        raise QuestionError(
            f"{question}: {parameter.name}={value}: {error.errors()[0]['msg']}.",
            setting=parameter.name,
            value=value,
        ) from None
