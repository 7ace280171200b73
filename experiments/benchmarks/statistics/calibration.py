"""Simulate calibration: a shift by a weighted loss, coverage of intercept and slope, isotonic harm.

    python experiments/benchmarks/statistics/calibration.py [STUDIES]

``shift``     predictions of a model trained with a loss that weights the classes equally at 20 %
              positives (logits shifted by the log odds of the prevalence): ECE of 2,000 test
              sessions before and after a temperature, and after slope and intercept
``coverage``  share of 95 % intervals of calibration intercept and slope that contain the true value
``isotonic``  Brier score of logistic and isotonic calibration on new sessions, and how often
              isotonic regression is refused, by the number of validation subjects
``few``       change of the Brier score by slope and intercept that were fitted on few subjects, for
              logits that are right, too large, too small, or shifted

About 15 seconds.
"""

import sys

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

from depmm.evaluation.stats.calibration_line import calibration_line
from depmm.evaluation.stats.calibrators import CalibrationError, fit_isotonic, fit_logistic
from depmm.evaluation.stats.reliability import adaptive_ece
from depmm.evaluation.stats.weighted_sums import Array, unit_weights

PREVALENCE = 0.2
STUDIES = 400


def draw(
    rng: np.random.Generator, size: int, prevalence: float = PREVALENCE
) -> tuple[Array, Array]:
    """Draw labels and true probabilities: two normal distributions of a score, 1.5 apart."""
    y = (rng.random(size) < prevalence).astype(float)
    score = rng.normal(1.5 * y)
    return y, expit(logit(prevalence) + 1.5 * score - 1.5**2 / 2)


def shifted_ece(rng: np.random.Generator, n_validation: int = 500) -> tuple[float, float, float]:
    """Compute the ECE before calibration, with a temperature, and with slope and intercept."""

    def predict(size: int) -> tuple[Array, Array]:
        y, prob = draw(rng, size)
        return y, expit(logit(prob) - logit(PREVALENCE))  # trained as if half were positive

    (y, prob), (y_test, prob_test) = predict(n_validation), predict(2000)

    def loss(temperature: float) -> float:
        output = logit(prob) / temperature
        return float(np.mean(np.logaddexp(0, output) - y * output))

    temperature = minimize_scalar(loss, bounds=(0.1, 10), method="bounded").x
    calibrated = fit_logistic(y, prob).apply(prob_test)
    scaled = expit(logit(prob_test) / temperature)
    before, with_temperature, with_both = (
        float(adaptive_ece(y_test, each, unit_weights(2000))[0])
        for each in (prob_test, scaled, calibrated)
    )
    return before, with_temperature, with_both


def line_coverage(
    n_subjects: int, n_sessions: int, studies: int, slope: float = 0.7, intercept: float = 0.5
) -> tuple[float, float]:
    """Compute the coverage of the intervals of intercept and slope.

    The sessions of a subject have correlated predictions and labels. The true calibration intercept
    is that of a very large sample.
    """
    rng = np.random.default_rng(0)

    def study(subjects: int) -> tuple[Array, Array, Array]:
        subject = np.repeat(np.arange(subjects), n_sessions)
        mean = rng.normal(size=subjects)[subject]
        logits = mean + 0.5 * rng.normal(size=len(subject))
        draws = rng.random(subjects)[subject]
        return (draws < expit(intercept + slope * logits)).astype(float), expit(logits), subject

    truth = calibration_line(*study(200_000), 0.95)
    covered = np.zeros(2)
    for _ in range(studies):
        line = calibration_line(*study(n_subjects), 0.95)
        for index, name in enumerate(("intercept", "slope")):
            low, high = line[name].ci_low, line[name].ci_high
            covered[index] += np.isnan(low) or low <= truth[name].value <= high
    first, second = covered / studies
    return float(first), float(second)


def isotonic_harm(n_subjects: int, studies: int, stepped: bool) -> tuple[float, float, float]:
    """Compute the excess Brier score of always and of selected isotonic regression, in 1,000ths.

    Both are compared with logistic calibration on 2,000 new sessions. The third number is the share
    of studies in which isotonic regression is refused.
    """
    rng = np.random.default_rng(0)
    excess = np.zeros((studies, 2))
    refused = 0
    for study in range(studies):
        (y, prob), (y_test, prob_test) = draw(rng, n_subjects, 0.4), draw(rng, 2000, 0.4)
        if stepped:  # an output that saturates: most of its range has one probability
            prob, prob_test = (np.where(p < 0.5, 0.2, 0.7) + 0.2 * p for p in (prob, prob_test))
            prob, prob_test = prob**4, prob_test**4
        logistic = fit_logistic(y, prob).apply(prob_test)
        always = _isotonic(y, prob, prob_test)
        try:
            selected = fit_isotonic(y, prob, np.arange(n_subjects)).apply(prob_test)
        except CalibrationError:
            selected, refused = logistic, refused + 1
        reference = np.mean((logistic - y_test) ** 2)
        excess[study] = [np.mean((each - y_test) ** 2) - reference for each in (always, selected)]
    first, second = 1000 * excess.mean(axis=0)
    return float(first), float(second), refused / studies


def _isotonic(y: Array, prob: Array, prob_test: Array) -> Array:
    curve = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(prob, y)
    return np.asarray(curve.predict(prob_test))


def harm_of_few_subjects(n_subjects: int, scale: float, shift: float, studies: int) -> float:
    """Compute the mean change of the Brier score by a calibration on few subjects.

    The true logits are normal with a standard deviation of 1.2; the model's are ``scale`` times
    these plus ``shift``. Studies in which one class is missing are left out.
    """
    rng = np.random.default_rng(0)

    def study(size: int) -> tuple[Array, Array]:
        logits = rng.normal(0, 1.2, size)
        y = (rng.random(size) < expit(logits)).astype(float)
        return y, expit(scale * logits + shift)

    y_test, prob_test = study(20_000)
    before = np.mean((prob_test - y_test) ** 2)
    changes = []
    for _ in range(studies):
        y, prob = study(n_subjects)
        if 0 < y.sum() < n_subjects:
            calibrated = fit_logistic(y, prob).apply(prob_test)
            changes.append(np.mean((calibrated - y_test) ** 2) - before)
    return float(np.mean(changes))


def main(arguments: list[str]) -> None:
    """Print the tables."""
    studies = int(arguments[0]) if arguments else STUDIES
    rng = np.random.default_rng(0)
    means = np.mean([shifted_ece(rng) for _ in range(studies // 4)], axis=0)
    print("shift: ECE before {:.3f}, temperature {:.3f}, slope and intercept {:.3f}".format(*means))
    for n_subjects, n_sessions in ((30, 1), (60, 1), (60, 3), (150, 1)):
        intercept, slope = line_coverage(n_subjects, n_sessions, studies)
        print(
            f"coverage: {n_subjects} subjects, {n_sessions} sessions each: intercept "
            f"{intercept:.3f}, slope {slope:.3f}"
        )
    for stepped in (False, True):
        for n_subjects in (50, 100, 300):
            always, selected, refused = isotonic_harm(n_subjects, studies // 4, stepped)
            print(
                f"isotonic: {'stepped' if stepped else 'logistic'} output, {n_subjects} subjects: "
                f"excess Brier score {always:+.1f}/1000 always, {selected:+.1f}/1000 selected, "
                f"refused in {refused:.2f}"
            )
    for scale, shift in ((1.0, 0.0), (2.0, 0.0), (4.0, 0.0), (0.5, 0.0), (1.0, 1.0)):
        for n_subjects in (2, 6, 10, 20, 50):
            change = harm_of_few_subjects(n_subjects, scale, shift, studies // 2)
            print(
                f"few: logits times {scale:g} plus {shift:g}, {n_subjects} subjects: Brier score "
                f"{change:+.4f}"
            )


if __name__ == "__main__":
    main(sys.argv[1:])
