"""Errors of explanations and of questions to explained runs."""

from depmm.errors import DepmmError


class ExplanationError(DepmmError):
    """A model or session that cannot be explained as requested."""


class QuestionError(DepmmError):
    """A question that an explained run cannot answer."""
