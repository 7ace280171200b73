"""Shortcuts: properties of a session other than voice and face that predict its label.

Every property of `depmm.audit.session_properties` is tested over subjects, as the sessions of a
subject are not independent, against the label and, where there are scores, against the score, with
an effect size from -1 to 1 and a two-sided test (one-sided for runs of ids). So are the words of
the transcripts, the order of the ids, and a model of all properties together. The p values of a
corpus are adjusted together (Holm), so that the probability of a false warning is at most 5 % per
corpus; the model of all properties receives a fifth of it.

A shortcut that nearly separates the classes (``ERROR_EFFECT_SIZE``, with an adjusted p value below
``ERROR_ALPHA``) is an *error*: a model can reach its score by the shortcut alone, so results are
meaningless until it is removed or shown to be inaccessible to the model. If it is inaccessible,
such as ids for a model that reads only audio and faces, allow it by name: every run records that.

References
----------
Geirhos et al., "Shortcut learning in deep neural networks", Nature Machine Intelligence 2, 2020.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from depmm.audit.associations import (
    Association,
    associate_id_order,
    associate_id_runs,
    associate_label,
    associate_score,
    show_number,
)
from depmm.audit.combined_properties import associate_combined
from depmm.audit.findings import AuditInput, Finding, SessionProperties, Severity
from depmm.audit.session_properties import (
    property_names,
    session_properties,
    subject_properties,
)
from depmm.audit.shortcut_remedies import COMBINED, OWN_FINDINGS, REMEDIES, finding_name
from depmm.audit.transcripts import associate_words, subject_texts
from depmm.multiple_testing import holm
from depmm.schemas.manifest import SUBJECT_KEY

ALPHA = 0.05  # adjusted p value below which a shortcut is a warning
ERROR_EFFECT_SIZE = 0.8  # absolute effect size from which a shortcut can be an error
# adjusted p value of an error: among few subjects, every association with p < ALPHA is strong
ERROR_ALPHA = 0.01
_COMBINED_SHARE = 0.2  # of the error rate: 499 permutations cannot reach smaller p values
_WORDS = "steps.words"
_LABEL = "label"
_SEVERITIES = ("error", "warning", "info")


@dataclass(frozen=True)
class _Test:
    """A tested property, with the properties that have the same p values."""

    property: str
    outcome: str
    association: Association
    same: list[str] = field(default_factory=list)


def shortcuts(inputs: AuditInput) -> Iterator[Finding]:
    """Test every property in every corpus with labels or scores.

    Parameters
    ----------
    inputs : AuditInput
        Input of the audit.

    Yields
    ------
    Finding
        One per corpus and property that can be tested; p values are adjusted within the corpus.
    """
    properties = inputs.properties or session_properties(inputs)
    texts = subject_texts(inputs.manifest.steps)
    for corpus, subjects in subject_properties(inputs, properties).groupby("corpus"):
        yield from _test_corpus(str(corpus), subjects, texts, properties)
        if outcomes := properties.outcomes.get(str(corpus)):
            yield Finding(
                "outcome_columns",
                "info",
                f"{corpus}: {', '.join(outcomes)} were not tested: by name and values, they are "
                "other forms of the label or the score.",
                "No action is needed, unless one of them is something else.",
            )


def _test_corpus(
    corpus: str, subjects: pd.DataFrame, texts: pd.Series, properties: SessionProperties
) -> Iterator[Finding]:
    tests = list(_test_properties(subjects, texts, properties.dates))
    adjusted = holm([test.association.p_value for test in tests]) if tests else np.array([])
    # what is an error by itself is left out, so that the model shows what remains
    errors = {
        name
        for test, p in zip(tests, adjusted * (1 / (1 - _COMBINED_SHARE)), strict=True)
        if _severity(test.association.effect_size, float(p)) == "error"
        for name in (test.property, *test.same)
    }
    rest = [name for name in property_names(subjects) if name not in errors]
    combined = associate_combined(subjects[rest], subjects[_LABEL])
    weights = np.ones(len(tests))
    if combined is not None:
        tests.append(_Test(COMBINED, _LABEL, combined))
        share = max(len(weights), 1) * _COMBINED_SHARE / (1 - _COMBINED_SHARE)
        weights = np.append(weights, share)
    adjusted = holm([test.association.p_value for test in tests], weights)
    found: dict[str, list[tuple[str, bool, Finding]]] = {}
    for p_adjusted, test in zip(adjusted.tolist(), tests, strict=True):
        finding = _finding(corpus, test, p_adjusted)
        entry = (finding.severity, test.outcome != _LABEL, finding)
        found.setdefault(test.property, []).append(entry)
    for results in found.values():  # the more severe of label and score, else that of the label
        yield min(results, key=lambda entry: (_SEVERITIES.index(entry[0]), entry[1]))[2]


def _finding(corpus: str, test: _Test, p_adjusted: float) -> Finding:
    result = test.association
    severity = _severity(result.effect_size, p_adjusted)
    name = finding_name(test.property)
    same = f"; the same holds for {', '.join(test.same)}" if test.same else ""
    return Finding(
        name,
        severity,
        f"{corpus}: {result.description} ({result.effect_measure} {result.effect_size:+.2f}, "
        f"p = {result.p_value:.2g}, adjusted {p_adjusted:.2g}){same}.",
        "No action is needed." if severity == "info" else REMEDIES[name],
        property=test.property,
        effect_measure=result.effect_measure,
        effect_size=result.effect_size,
        p_value=result.p_value,
        p_adjusted=p_adjusted,
    )


def _severity(effect_size: float, p_adjusted: float) -> Severity:
    if p_adjusted >= ALPHA:
        return "info"
    is_error = abs(effect_size) >= ERROR_EFFECT_SIZE and p_adjusted < ERROR_ALPHA
    return "error" if is_error else "warning"


def _test_properties(
    subjects: pd.DataFrame, texts: pd.Series, dates: frozenset[str]
) -> Iterator[_Test]:
    labels, scores = subjects[_LABEL], subjects["score"]
    for names in _distinct_properties(subjects):
        name, same = names[0], names[1:]
        show = show_date if name in dates else show_number
        text = name.partition(".")[2]
        outcomes: tuple[tuple[str, Callable[[], Association | None]], ...] = (
            (_LABEL, partial(associate_label, subjects[name], labels, text, show)),
            ("score", partial(associate_score, subjects[name], scores, text)),
        )
        for outcome, test in outcomes:
            if association := test():
                yield _Test(name, outcome, association, same)
    for name, association in (
        ("ids.order", associate_id_order(labels)),
        ("ids.runs", associate_id_runs(labels)),
        (_WORDS, _test_words(subjects, texts)),
    ):
        if association is not None:
            yield _Test(name, _LABEL, association)


def _test_words(subjects: pd.DataFrame, texts: pd.Series) -> Association | None:
    keys = pd.MultiIndex.from_frame(subjects[SUBJECT_KEY])
    return associate_words(
        pd.Series(texts.reindex(keys).to_numpy(), subjects.index), subjects[_LABEL]
    )


def show_date(days: float) -> str:
    """Write days since 1970-01-01 as a date.

    Parameters
    ----------
    days : float
        Number of days.

    Returns
    -------
    str
        The date in ISO format.
    """
    return str(np.datetime64(round(days), "D"))


def _distinct_properties(subjects: pd.DataFrame) -> list[list[str]]:
    """Group the varying properties with equal tests; those with an own finding stand alone."""
    groups: dict[object, list[str]] = {}
    for name in property_names(subjects):
        values = subjects[name]
        if name in OWN_FINDINGS:
            groups[name] = [name]
            continue
        known = values.dropna()
        if known.empty or (known == known.iloc[0]).all():
            continue
        if is_numeric_dtype(values) and values.nunique() > 2:  # the tests depend on the order
            key: bytes = values.rank().to_numpy().tobytes()
        else:  # equal parts of the subjects have equal codes, whatever the values are
            key = pd.factorize(values)[0].astype(np.int64).tobytes()
        groups.setdefault(key, []).append(name)
    return list(groups.values())
