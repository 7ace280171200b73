"""Errors of explanations and of questions about explained runs."""

from depmm.errors import DepmmError


class ExplanationError(DepmmError):
    """A model or session that cannot be explained as requested."""


class QuestionError(DepmmError):
    """A question or query that cannot be evaluated on an explained run."""


class ProbeError(DepmmError):
    """A probe that cannot be fitted or tested."""
