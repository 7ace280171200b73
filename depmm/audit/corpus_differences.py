"""Corpora with different base rates, whose recordings show which corpus they come from.

If 60 % of the subjects of one corpus are positive and 20 % of another one, and the two differ in
sample rate or codec, a model of both can predict the label by the corpus alone.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from depmm.audit.associations import Association, associate_label
from depmm.audit.findings import AuditInput, Finding, Severity
from depmm.audit.session_properties import (
    property_names,
    session_properties,
    subject_properties,
)
from depmm.errors import abbreviate

_ALPHA = 0.05
_SEPARATION = 0.8  # effect size from which a property shows the corpus
_SHOWN = 5
_VISIBLE = ("recording", "steps")  # sources of properties that a model can read


def corpus_shortcut(inputs: AuditInput) -> Iterator[Finding]:
    """Test whether the share of positive subjects differs between the corpora.

    Parameters
    ----------
    inputs : AuditInput
        Input of the audit.

    Yields
    ------
    Finding
        At most one; a warning if the shares differ, an error if the corpus nearly determines the
        label. It names the properties that separate the corpora.
    """
    properties = inputs.properties or session_properties(inputs)
    subjects = subject_properties(inputs, properties)
    subjects = subjects[subjects["label"].notna()]
    if subjects["corpus"].nunique() < 2:
        return
    result = associate_label(subjects["corpus"], subjects["label"], "corpus")
    if result is None:
        return
    differ = result.p_value < _ALPHA
    severity: Severity = "error" if abs(result.effect_size) >= _SEPARATION else "warning"
    separating = _separating_properties(subjects)
    named = (
        f" The corpora are separated by {abbreviate(separating, _SHOWN)}."
        if separating
        else " No property was found that separates the corpora."
    )
    yield Finding(
        "corpus_shortcut",
        severity if differ else "info",
        f"{result.description} ({result.effect_measure} {result.effect_size:+.2f}, "
        f"p = {result.p_value:.2g}).{named}",
        _REMEDY if differ else "No action is needed.",
        property="corpus",
        effect_measure=result.effect_measure,
        effect_size=result.effect_size,
        p_value=result.p_value,
        p_adjusted=result.p_value,
    )


_REMEDY = (
    "Report results within each corpus, and the baseline of the corpus alone. For training, sample "
    "the classes of every corpus equally often, and convert all recordings in the same way."
)


def _separating_properties(subjects: pd.DataFrame) -> list[str]:
    """List the visible properties of which one corpus has other values than the others."""
    found = []
    for name in property_names(subjects):
        if name.partition(".")[0] in _VISIBLE and subjects[name].notna().any():
            effects = [
                abs(result.effect_size)
                for corpus in subjects["corpus"].unique()
                if (result := _separation(subjects, name, str(corpus)))
            ]
            if effects and max(effects) >= _SEPARATION:
                found.append((max(effects), name))
    return [name.partition(".")[2] for _, name in sorted(found, key=lambda pair: -pair[0])]


def _separation(subjects: pd.DataFrame, name: str, corpus: str) -> Association | None:
    values = subjects[name]
    if not is_numeric_dtype(values) and values.nunique() > np.sqrt(len(values)):
        return None
    return associate_label(values, (subjects["corpus"] == corpus).astype(float), name)
