"""Bluntness of some words as the planted effect: its definition and the best possible AUROC.

In videos, the bluntness of the voice also changes how long a word is, and so the time for which the
mouth moves. This is a second way in which the face shows the bluntness of the voice. With the
pattern ``interacting``, a face then carries information alone, although its own bluntness does not:
use the pattern ``congruence`` where a modality alone must be uninformative. Features that are
sampled without videos are not affected.
"""

from typing import Any

import numpy as np

from depmm.simulation.designs import Array
from depmm.simulation.participants import BLUNTNESS_LIMITS, SUBJECT_SD, WORD_SD, effect_per_unit
from depmm.simulation.reading_list import BALANCED, INTERACTING, ONE_SIDED

SHIFT = (
    "bluntness[subject, modality, step] = effect * planted + an offset of the subject "
    "N(0, subject_sd) + noise N(0, word_sd), drawn independently for audio and face; planted is 1 "
    "if planted_for of the step is the diagnosis of the subject, otherwise 0. "
)
INTERACTION = (
    "bluntness[subject, modality, step] = effect * planted + an offset of the subject "
    "N(0, subject_sd) + noise N(0, word_sd), drawn independently for audio and face; planted is 0 "
    "for words that are not planted. At a planted word, it is -1 or 1 at random for audio; for "
    "face it is the same if planted_for of the step is the diagnosis of the subject, and otherwise "
    "the opposite, so that the bluntness of neither modality alone differs between the diagnoses. "
    "In videos, the length of a word, which depends on the bluntness of audio, is seen in the face "
    "as well, so that the face alone can carry information. "
)
MEANING = (
    "Clipped to "
    "bluntness_limits, each unit of audio bluntness changes level, duration and pitch range of a "
    "word, and each unit of face bluntness the motion of mouth, brows and head (before the "
    "anatomical limits of the face), by the values of effect_per_unit."
)
DEFINITIONS = {
    BALANCED: SHIFT + MEANING,
    ONE_SIDED: SHIFT + MEANING,
    INTERACTING: INTERACTION + MEANING,
}


def describe(effect: float, signs: Array, pattern: str) -> dict[str, Any]:
    """Describe the planted effect for ``truth.json``.

    Parameters
    ----------
    effect : float
        Additional bluntness of planted words.
    signs : ndarray, shape (L,)
        1 for words that are planted for depressed subjects, -1 for those of healthy subjects, 0 for
        others.
    pattern : {"balanced", "one_sided", "interacting"}
        Which planted words show what.

    Returns
    -------
    dict of str to Any
        Definition and parameters; except for ``interacting``, also the AUROC of the Bayes
        classifier.
    """
    known: dict[str, Any] = {
        "definition": DEFINITIONS[pattern],
        "word_sd": WORD_SD,
        "subject_sd": SUBJECT_SD,
        "bluntness_limits": list(BLUNTNESS_LIMITS),
        "effect_per_unit": effect_per_unit(),
    }
    if pattern != INTERACTING:
        known["bayes_auroc"] = compute_bayes_auroc(effect, signs)
    return known


def compute_bayes_auroc(effect: float, signs: Array) -> dict[str, float]:
    """Compute the AUROC of the Bayes classifier of voice, face, both, and of the sum of logits.

    The bluntness of both groups is normal with the same covariance within each modality,
    ``word_sd^2 I + subject_sd^2``, so that the classifier is a linear discriminant and its AUROC
    ``Phi(d / sqrt(2))`` with the Mahalanobis distance ``d`` of the means. Voice and face are
    independent given the label: the sum of their logits is the logit of both.

    Parameters
    ----------
    effect : float
        Additional bluntness of planted words.
    signs : ndarray, shape (L,)
        As in `describe`.

    Returns
    -------
    dict of str to float
        AUROC from the bluntness before it is clipped.
    """
    from scipy.stats import norm

    shift = effect * signs
    covariance = WORD_SD**2 * np.eye(len(shift)) + SUBJECT_SD**2
    squared = shift @ np.linalg.solve(covariance, shift)
    one, both = (round(float(norm.cdf(np.sqrt(n * squared / 2))), 4) for n in (1, 2))
    return {"audio": one, "face": one, "both": both, "sum_of_logits": both}
