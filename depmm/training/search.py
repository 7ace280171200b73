"""Candidates of a tuning: a grid, random draws, or the tree-structured Parzen estimator.

References
----------
Bergstra and Bengio, "Random search for hyper-parameter optimization", JMLR 13, 2012.
Bergstra et al., "Algorithms for hyper-parameter optimization", NeurIPS 2011, section 4 (TPE).
Akiba et al., "Optuna: a next-generation hyperparameter optimization framework", KDD 2019.
"""

import math
from typing import Any, Protocol

from depmm.config import RangeConfig, TuningConfig
from depmm.errors import DepmmError
from depmm.evaluation.stats.metrics import Metric

N_STARTUP = 10  # independent draws before the first of TPE, optuna's default
DIGITS = 6  # of a drawn number, so that tuning.csv has exactly the number that was used


class TuningError(DepmmError):
    """No candidate can be proposed or chosen by the tuning."""


class Search(Protocol):
    """A source of candidates, one after the other."""

    def propose(self) -> dict[str, Any]:
        """Return the next candidate.

        Returns
        -------
        dict of str to object
            Values by dotted name of the setting.
        """
        ...

    def report(self, mean: float) -> None:
        """Tell the result of the candidate that was proposed last.

        Parameters
        ----------
        mean : float
            Mean of the metric over the inner folds; NaN if it is undefined.
        """
        ...


class GridSearch:
    """Every combination of a grid.

    Parameters
    ----------
    tuning : TuningConfig
        Settings with a grid.
    """

    def __init__(self, tuning: TuningConfig) -> None:
        self._candidates = iter(tuning.candidates)

    def propose(self) -> dict[str, Any]:
        """Return the next combination; the last setting changes fastest.

        Returns
        -------
        dict of str to object
            Values by dotted name of the setting.
        """
        return next(self._candidates)

    def report(self, mean: float) -> None:
        """Do nothing: the combinations do not depend on results.

        Parameters
        ----------
        mean : float
            Mean of the metric over the inner folds.
        """


class OptunaSearch:
    """Draws from a space by optuna.

    The draws depend on the seed and on the results so far, and on nothing else. Therefore a tuning
    that is resumed draws the same candidates again, and all processes draw alike.

    Parameters
    ----------
    tuning : TuningConfig
        Settings with a space.
    metric : Metric
        Metric that is optimised.

    Raises
    ------
    TuningError
        If optuna is not installed.
    """

    def __init__(self, tuning: TuningConfig, metric: Metric) -> None:
        try:
            import optuna
        except ImportError:
            raise TuningError(
                f"tuning.method {tuning.method} needs optuna, which is not installed.",
                setting="tuning.method",
                value=tuning.method,
                remedy="Install the extra (pip install 'depmm[tuning]'), or use the method grid.",
            ) from None
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = tuning.space
        self._distributions: dict[str, optuna.distributions.BaseDistribution] = {}
        for name, values in tuning.space.items():
            if not isinstance(values, RangeConfig):
                # optuna cannot store lists and mappings
                distribution: Any = optuna.distributions.CategoricalDistribution(range(len(values)))
            elif values.is_whole:
                distribution = optuna.distributions.IntDistribution(
                    int(values.low), int(values.high), log=values.log
                )
            else:
                distribution = optuna.distributions.FloatDistribution(
                    values.low, values.high, log=values.log
                )
            self._distributions[name] = distribution
        sampler = (
            optuna.samplers.RandomSampler(seed=tuning.seed)
            if tuning.method == "random"
            else optuna.samplers.TPESampler(n_startup_trials=N_STARTUP, seed=tuning.seed)
        )
        self._study = optuna.create_study(
            sampler=sampler, direction="minimize" if metric.lower_is_better else "maximize"
        )
        self._failed = optuna.trial.TrialState.FAIL

    def propose(self) -> dict[str, Any]:
        """Draw a candidate.

        Returns
        -------
        dict of str to object
            Values by dotted name of the setting.
        """
        self._trial = self._study.ask(self._distributions)
        candidate: dict[str, Any] = {}
        for name, values in self._space.items():
            drawn = self._trial.params[name]
            if not isinstance(values, RangeConfig):
                candidate[name] = values[drawn]
            elif values.is_whole:
                candidate[name] = int(drawn)
            else:
                rounded = float(f"{drawn:.{DIGITS}g}")
                candidate[name] = float(min(max(rounded, values.low), values.high))
        return candidate

    def report(self, mean: float) -> None:
        """Tell the result of the last candidate; an undefined one is a failed trial.

        Parameters
        ----------
        mean : float
            Mean of the metric over the inner folds.
        """
        if math.isnan(mean):
            self._study.tell(self._trial, state=self._failed)
        else:
            self._study.tell(self._trial, mean)


def build_search(tuning: TuningConfig, metric: Metric) -> Search:
    """Build the source of candidates that the settings name.

    Parameters
    ----------
    tuning : TuningConfig
        Settings of the tuning.
    metric : Metric
        Metric that is optimised.

    Returns
    -------
    Search
        The source.

    Raises
    ------
    TuningError
        If optuna is needed and not installed.
    """
    return GridSearch(tuning) if tuning.method == "grid" else OptunaSearch(tuning, metric)
