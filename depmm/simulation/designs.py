"""Simulated corpora in which a part of a multimodal model matters, with the best possible AUROC.

A session is a sequence of steps, and a step is one row of features of the voice ``a`` and one of
the face ``f``. The label is ``y`` with probability 1/2, and ``z = 2 y - 1``; all noise is standard
normal and independent unless a design says otherwise. Each design states how ``a`` and ``f`` depend
on ``z``, and computes the logit of the Bayes classifier of each modality and of both, and the
scores of readers that use a part of the design only.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ADDITIVE_STEPS, ADDITIVE_SHIFT = 6, 0.25
SALIENT_STEPS, SALIENCE, CONTENT_INSIDE = 4, 3.0, 0.6
LONG_SALIENT_STEPS = 12
N_CODES, CODE_CONTENT = 6, 0.8
SUPPRESSION_STEPS, SUPPRESSION_SHIFTS, SUPPRESSION_CORRELATION = 6, (0.35, 0.175), 0.8
CONGRUENCE, SPREAD_CONGRUENCE = 0.6, 0.28
LONG_STEPS, ATTENDING = 512, 7  # ceil(ln 512) queries of 512 attend with a sampling factor of 1


@dataclass(frozen=True)
class DesignSample:
    """Sessions of a design.

    Attributes
    ----------
    audio, face : ndarray, shape (N, L, F)
        Rows of features of each step.
    logits : dict of str to ndarray, shape (N,)
        Logit of the Bayes classifier that reads ``both``, ``audio`` or ``face``.
    oracles : dict of str to ndarray, shape (N,)
        Scores of readers that know the design, named by what they read.
    """

    audio: Array
    face: Array
    logits: dict[str, Array]
    oracles: dict[str, Array]


def sample_additive(z: Array, rng: np.random.Generator, n_steps: int = 24) -> DesignSample:
    """Sample voices and faces that carry independent, additive evidence (negative control).

    The steps 0 to 5 of both modalities are shifted by ``.25 z`` with alternating signs. The best
    classifier of both is the sum of the unimodal logits; the mean over steps carries nothing.

    Parameters
    ----------
    z : ndarray, shape (N,)
        -1 or 1.
    rng : Generator
        Source of randomness.
    n_steps : int, default 24
        Steps of a session, `L`.

    Returns
    -------
    DesignSample
        Sessions with one feature per modality.
    """
    shift = np.zeros(n_steps)
    shift[:ADDITIVE_STEPS] = ADDITIVE_SHIFT * (-1.0) ** np.arange(ADDITIVE_STEPS)
    a, f = (rng.standard_normal((len(z), n_steps)) + z[:, None] * shift for _ in range(2))
    audio, face = 2 * a @ shift, 2 * f @ shift
    oracles = {"mean_over_steps": (a + f).mean(axis=1)}
    return _scalar(a, f, {"audio": audio, "face": face, "both": audio + face}, oracles)


def sample_salience(z: Array, rng: np.random.Generator, n_steps: int = 24) -> DesignSample:
    """Sample voices that show at which steps the face carries evidence.

    At 4 random steps, the voice is shifted by 3 and the face by ``.6 z``; at the other steps the
    face is shifted by ``-.12 z``, so that its sum carries none.

    Parameters
    ----------
    z : ndarray, shape (N,)
        -1 or 1.
    rng : Generator
        Source of randomness.
    n_steps : int, default 24
        Steps of a session, `L`; with 512 steps, 12 of them are salient, and the shift at the others
        keeps the sum at 0.

    Returns
    -------
    DesignSample
        Sessions with one feature per modality.
    """
    n_salient = SALIENT_STEPS if n_steps == 24 else LONG_SALIENT_STEPS
    outside = -CONTENT_INSIDE * n_salient / (n_steps - n_salient)
    salient = np.zeros((len(z), n_steps), bool)
    order = rng.permuted(np.tile(np.arange(n_steps), (len(z), 1)), axis=1)
    np.put_along_axis(salient, order[:, :n_salient], True, axis=1)
    a = rng.standard_normal(salient.shape) + SALIENCE * salient
    content = np.where(salient, CONTENT_INSIDE, outside) * z[:, None]
    f = rng.standard_normal(salient.shape) + content
    voice = np.exp(SALIENCE * a - SALIENCE**2 / 2)

    def evidence(weights: Array) -> Array:
        # given the salient steps S, prod over S of inside and over the others of outside; summed
        # over all S, it is an elementary symmetric polynomial of the ratios
        logs = []
        for sign in (1.0, -1.0):
            inside = np.exp(sign * CONTENT_INSIDE * f - CONTENT_INSIDE**2 / 2)
            others = np.exp(sign * outside * f - outside**2 / 2)
            polynomial = _elementary_symmetric(weights * inside / others, n_salient)
            logs.append(np.log(polynomial) + np.log(others).sum(axis=1))
        difference: Array = logs[0] - logs[1]
        return difference

    logits = {
        "audio": np.zeros(len(z)),
        "face": evidence(np.ones_like(f)),
        "both": evidence(voice),
    }
    known = 2 * (np.where(salient, CONTENT_INSIDE, outside) * f).sum(axis=1)
    return _scalar(a, f, logits, {"salient_steps_known": known})


def sample_retrieval(z: Array, rng: np.random.Generator, n_steps: int = 24) -> DesignSample:
    """Sample voices that name the code of the steps at which the face carries evidence.

    Each of 6 codes belongs to 4 steps. The face shows the code of its step and a content of .8
    times the sign of the code plus noise; the sign of one code is ``z``, those of the others are
    random. At one random step, the voice shows a flag and this code.

    Parameters
    ----------
    z : ndarray, shape (N,)
        -1 or 1.
    rng : Generator
        Source of randomness.
    n_steps : int, default 24
        Steps of a session, a multiple of 6.

    Returns
    -------
    DesignSample
        Sessions with seven features per modality: content or flag, and the code (one-hot).
    """
    n = len(z)
    codes = rng.permuted(np.tile(np.arange(n_steps) % N_CODES, (n, 1)), axis=1)
    signs = rng.choice([-1.0, 1.0], (n, N_CODES))
    named, flagged = rng.integers(0, N_CODES, n), rng.integers(0, n_steps, n)
    signs[np.arange(n), named] = z
    shown = np.eye(N_CODES)[codes]
    content = CODE_CONTENT * np.take_along_axis(signs, codes, axis=1)
    content = content + rng.standard_normal(codes.shape)
    audio = np.zeros((n, n_steps, N_CODES + 1))
    audio[np.arange(n), flagged, 0] = 1.0
    audio[np.arange(n), flagged, 1 + named] = 1.0
    sums = CODE_CONTENT * np.einsum("nl,nlk->nk", content, shown)
    # with an unknown code, the others cancel except for the cosh of the code that has the sign z
    plus, minus = (np.log((np.exp(s * sums) / np.cosh(sums)).sum(axis=1)) for s in (1.0, -1.0))
    logits = {
        "audio": np.zeros(n),
        "face": plus - minus,
        "both": 2 * sums[np.arange(n), named],
    }
    face = np.concatenate([content[..., None], shown], axis=2)
    # a query of the face finds the flag, whose step shows the named code in one of six sessions
    oracles = {
        "steps_of_the_named_code": logits["both"],
        "step_of_the_flag": content[np.arange(n), flagged],
    }
    return DesignSample(audio, face, logits, oracles)


def sample_suppression(z: Array, rng: np.random.Generator, n_steps: int = 24) -> DesignSample:
    """Sample voices and faces with common noise, which the face helps to remove from the voice.

    Within a step, the noise of both has a correlation of .8. The steps 0 to 5 of the voice are
    shifted by ``.35 z`` and those of the face by ``.175 z``, so that the best weight of the face is
    negative.

    Parameters
    ----------
    z : ndarray, shape (N,)
        -1 or 1.
    rng : Generator
        Source of randomness.
    n_steps : int, default 24
        Steps of a session, `L`.

    Returns
    -------
    DesignSample
        Sessions with one feature per modality.
    """
    r = SUPPRESSION_CORRELATION
    a = rng.standard_normal((len(z), n_steps))
    f = r * a + np.sqrt(1 - r**2) * rng.standard_normal(a.shape)
    for values, shift in zip((a, f), SUPPRESSION_SHIFTS, strict=True):
        values[:, :SUPPRESSION_STEPS] += shift * z[:, None]
    sums = np.stack([values[:, :SUPPRESSION_STEPS].sum(axis=1) for values in (a, f)], axis=1)
    shifts = np.array(SUPPRESSION_SHIFTS)
    weights = np.linalg.solve([[1.0, r], [r, 1.0]], shifts)
    logits = {
        "audio": 2 * shifts[0] * sums[:, 0],
        "face": 2 * shifts[1] * sums[:, 1],
        "both": 2 * sums @ weights,
    }
    return _scalar(a, f, logits, {"both_with_the_voice_set_to_0": 2 * sums[:, 1] * weights[1]})


def sample_congruence(
    z: Array, rng: np.random.Generator, n_steps: int = 24, shift: float = CONGRUENCE
) -> DesignSample:
    """Sample voices and faces whose agreement within a step is the only evidence.

    ``u = +-1`` is random at each step; with a shift ``s``, the voice is ``s u`` and the face
    ``s u z``, plus noise.

    Parameters
    ----------
    z : ndarray, shape (N,)
        -1 or 1.
    rng : Generator
        Source of randomness.
    n_steps : int, default 24
        Steps of a session, `L`.
    shift : float, default 0.6
        Shift of voice and face.

    Returns
    -------
    DesignSample
        Sessions with one feature per modality.
    """
    u = rng.choice([-1.0, 1.0], (len(z), n_steps))
    a = rng.standard_normal(u.shape) + shift * u
    f = rng.standard_normal(u.shape) + shift * u * z[:, None]
    zero = np.zeros(len(z))
    oracles = {
        "products_of_steps": (a * f).sum(axis=1),
        "products_of_7_steps": (a * f)[:, :ATTENDING].sum(axis=1),
        "product_of_means": a.mean(axis=1) * f.mean(axis=1),
    }
    logits = {"audio": zero, "face": zero, "both": congruence_logit(a, f, shift)}
    return _scalar(a, f, logits, oracles)


def congruence_logit(a: Array, f: Array, effect: float) -> Array:
    """Compute the logit of the Bayes classifier of sessions whose evidence is agreement.

    With ``a = effect u + noise`` and ``f = effect u z + noise``, the sum over ``u`` gives
    ``log cosh(effect (a + f)) - log cosh(effect (a - f))`` for each step.

    Parameters
    ----------
    a, f : ndarray, shape (N, L)
        Values of voice and face.
    effect : float
        Size of the effect in standard deviations of the noise.

    Returns
    -------
    ndarray, shape (N,)
        Logit of ``z = 1``.
    """
    # log cosh x without overflow, except for a constant that cancels
    agree, differ = (np.logaddexp(effect * x, -effect * x) for x in (a + f, a - f))
    logit: Array = (agree - differ).sum(axis=1)
    return logit


def sample_long(z: Array, rng: np.random.Generator) -> DesignSample:
    """Sample sessions of ``sample_salience`` with 512 steps, 12 of which are salient.

    Parameters
    ----------
    z : ndarray, shape (N,)
        -1 or 1.
    rng : Generator
        Source of randomness.

    Returns
    -------
    DesignSample
        Sessions with one feature per modality.
    """
    return sample_salience(z, rng, LONG_STEPS)


def sample_spread(z: Array, rng: np.random.Generator) -> DesignSample:
    """Sample sessions of ``sample_congruence`` with 512 steps and a shift of .28.

    All steps carry the same evidence; the few queries that ProbSparse attention selects carry
    little of it.

    Parameters
    ----------
    z : ndarray, shape (N,)
        -1 or 1.
    rng : Generator
        Source of randomness.

    Returns
    -------
    DesignSample
        Sessions with one feature per modality.
    """
    return sample_congruence(z, rng, LONG_STEPS, SPREAD_CONGRUENCE)


# the position of a design is part of the seed of its corpora: append new ones
DESIGNS: dict[str, Callable[[Array, np.random.Generator], DesignSample]] = {
    "additive": sample_additive,
    "congruence": sample_congruence,
    "long": sample_long,
    "retrieval": sample_retrieval,
    "salience": sample_salience,
    "suppression": sample_suppression,
    "spread": sample_spread,
}


def _scalar(
    a: Array, f: Array, logits: dict[str, Array], oracles: dict[str, Array]
) -> DesignSample:
    return DesignSample(a[..., None], f[..., None], logits, oracles)


def _elementary_symmetric(values: Array, degree: int) -> Array:
    """Sum the products of all subsets of ``degree`` columns, shape (N, L) -> (N,)."""
    polynomial = np.zeros((len(values), degree + 1))
    polynomial[:, 0] = 1.0
    for column in values.T:
        polynomial[:, 1:] += column[:, None] * polynomial[:, :-1]
    return polynomial[:, degree]
