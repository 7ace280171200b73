"""Talking faces whose label is in the agreement of voice and face within a word.

At each word a sign ``u`` of -1 or 1 is drawn for each subject. The voice is louder if ``u`` is 1,
and the mouth opens wider if ``u z`` is 1, where ``z`` is 1 for depressed and -1 for healthy
subjects. Voices alone and faces alone are therefore distributed alike in both groups, and a sum of
a score of the voice and a score of the face is at chance: a model must read both together, word by
word. This is the design ``congruence`` of `depmm.simulation.designs`, in recordings.
"""

from typing import Any

import numpy as np

from depmm.config import CROP_SIZE, TRACKS
from depmm.simulation.designs import Array, congruence_logit
from depmm.simulation.face import MOUTH_LIMIT, Face

GAIN_DB_PER_UNIT = 4.0  # of the voice; duration and pitch do not change, which a face would show
MOUTH_SIZE = 0.5  # factor on the opening of the mouth at an expression of 0
MOUTH_PER_UNIT = float(np.exp(0.4))  # further factor for each unit
STILLNESS = 4.0  # bluntness of the face at all words: only the mouth and the eyelids move
EXPRESSION_LIMITS = (-4.0, 4.0)  # range that voice and face can show
EXPRESSION_SD = 1.0

# names in tables of attributions, with and without landmarks
REGION, THIRD = "mouth", "lower_third"
N_BAYES = 20_000  # simulated subjects for the AUROC of the Bayes classifier

DEFINITION = (
    "expression[subject, audio, step] = effect * u + noise and expression[subject, face, step] = "
    "effect * u * z + noise, with u = -1 or 1 at random for each subject and step, z = 1 for "
    "depressed and -1 for healthy subjects, and noise N(0, expression_sd). Clipped to "
    "expression_limits, each unit of audio expression changes the level of a word, and each unit "
    "of face expression the opening of the mouth, by the values of effect_per_unit. Nothing else "
    "differs: the bluntness of the voice is 0 and that of the face 4. planted_region is where "
    "the face shows the expression; the box of a subject is [left, "
    "top, right, bottom] in pixels of the video frame (which is the aligned crop) while the head "
    "is at rest."
)


def sample_expression(
    rng: np.random.Generator, depressed: bool, effect: float, steps: int
) -> dict[str, Array]:
    """Sample what voice and face of a subject express at each step.

    Parameters
    ----------
    rng : Generator
        Source of randomness of the subject.
    depressed : bool
        Whether voice and face agree.
    effect : float
        Size of the expression in standard deviations of its noise.
    steps : int
        Number of words.

    Returns
    -------
    dict of str to ndarray, shape (L,)
        Expression for each modality, not clipped.
    """
    u = rng.choice([-1.0, 1.0], steps)
    signs = dict(zip(TRACKS, (u, u if depressed else -u), strict=True))
    return {
        name: effect * sign + rng.normal(0, EXPRESSION_SD, steps) for name, sign in signs.items()
    }


def describe(effect: float, steps: int) -> dict[str, Any]:
    """Describe the planted effect for ``truth.json``.

    Parameters
    ----------
    effect : float
        Size of the expression.
    steps : int
        Number of words.

    Returns
    -------
    dict of str to Any
        Definition, parameters, region of the face, and the AUROC of the Bayes classifier.
    """
    return {
        "definition": DEFINITION,
        "expression_sd": EXPRESSION_SD,
        "expression_limits": list(EXPRESSION_LIMITS),
        "effect_per_unit": {
            "audio": {"level_db": GAIN_DB_PER_UNIT},
            "face": {"mouth_opening_factor": round(MOUTH_PER_UNIT, 6)},
        },
        "bayes_auroc": compute_bayes_auroc(effect, steps),
        "planted_region": {"region": REGION, "third": THIRD},
    }


def compute_bayes_auroc(effect: float, steps: int) -> dict[str, float]:
    """Compute the AUROC of the Bayes classifier of voice, face, both, and of the sum of logits.

    Parameters
    ----------
    effect : float
        Size of the expression.
    steps : int
        Number of words.

    Returns
    -------
    dict of str to float
        AUROC from the expressions, before they are clipped. That of both is a mean over 20,000
        simulated subjects (standard error below .004); the others are 1/2 by symmetry.
    """
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    depressed = np.arange(N_BAYES) % 2 == 1
    drawn = [sample_expression(rng, bool(d), effect, steps) for d in depressed]
    a, f = (np.stack([values[name] for values in drawn]) for name in TRACKS)
    both = roc_auc_score(depressed, congruence_logit(a, f, effect))
    return {"audio": 0.5, "face": 0.5, "both": round(float(both), 4), "sum_of_logits": 0.5}


def gain_db(expression: Array) -> Array:
    """Compute the additional level of the voice from its expression.

    Parameters
    ----------
    expression : ndarray, shape (L,)
        Expression at each word, not clipped.

    Returns
    -------
    ndarray, shape (L,)
        Level of each word, dB.
    """
    return GAIN_DB_PER_UNIT * np.clip(expression, *EXPRESSION_LIMITS)


def mouth_size(expression: Array) -> Array:
    """Compute the factor on the opening of the mouth from the expression of the face.

    Parameters
    ----------
    expression : ndarray, shape (L,)
        Expression at each word, not clipped.

    Returns
    -------
    ndarray, shape (L,)
        Factor for each word.
    """
    size: Array = MOUTH_SIZE * MOUTH_PER_UNIT ** np.clip(expression, *EXPRESSION_LIMITS)
    return size


def region_box(face: Face) -> list[int]:
    """Compute the box in which a face at rest moves its mouth.

    Parameters
    ----------
    face : Face
        The appearance.

    Returns
    -------
    list of int
        Left, top, right and bottom in pixels of the frame; right and bottom are exclusive.
    """
    middle = CROP_SIZE / 2
    limits = [
        middle - face.mouth_width - 1,  # edges are smoothed over one pixel
        middle + face.mouth_y - 0.25 * MOUTH_LIMIT - face.lip - 1,
        middle + face.mouth_width + 1,
        middle + face.mouth_y + 0.75 * MOUTH_LIMIT + 1.25 * face.lip + 4,  # and a shadow
    ]
    left, top = np.floor(limits[:2]).astype(int).tolist()
    right, bottom = np.ceil(limits[2:]).astype(int).tolist()
    return [left, top, right, bottom]
