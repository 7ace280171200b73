"""Questions about the measures of classical models, one function each.

``depmm ask`` shows the first line of each docstring; keyword arguments are the options.
"""

from pathlib import Path

import pandas as pd
from pydantic import PositiveInt

from depmm.interpret.errors import QuestionError
from depmm.interpret.query.sql import read_table
from depmm.runs.folder import missing_run, refuse_combination

KEYS = 'modality, "set", "group"'


def measures(run: Path) -> pd.DataFrame:
    """Show the permutation importance of each group of measures and of each modality.

    Parameters
    ----------
    run : Path
        Folder of an explained run of a classical model.

    Returns
    -------
    DataFrame
        One row per group, and one per modality with the group "all", sorted by ``importance``: the
        mean over the models of how much the metric gets worse. ``std`` is the standard deviation
        over the models, ``n_models`` their number, without those whose metric is undefined.

    Raises
    ------
    QuestionError
        If the run has no such table.
    """
    _check(run, "measure_importance")
    result = read_table(
        run,
        "measure_importance",
        f"SELECT {KEYS}, any_value(inputs) AS inputs, avg(importance) AS importance, "
        "stddev_samp(importance) AS std, count(importance) AS n_models, any_value(metric) AS "
        "metric FROM measure_importance WHERE NOT isnan(importance) GROUP BY ALL "
        "ORDER BY importance DESC",
    )
    metric = "AUROC" if (result.pop("metric") == "auroc").all() else "RMSE"
    change = "decrease" if metric == "AUROC" else "increase"
    result[["set", "group"]] = result[["set", "group"]].fillna("all")
    result.attrs["title"] = (
        f"Permutation importance of groups of measures ({change} of the {metric} if the group is "
        "permuted between rows; mean over models)"
    )
    result.attrs["notes"] = [
        "Groups are correlated: a group that others can replace has a small importance. The "
        "importance describes the model, not the subjects."
    ]
    return result


def measure_weights(run: Path, *, top: PositiveInt = 20) -> pd.DataFrame:
    """Show the measures with the largest weights of a linear classical model.

    Parameters
    ----------
    run : Path
        Folder of an explained run of a linear classical model.
    top : int, default 20
        Number of measures.

    Returns
    -------
    DataFrame
        One row per input with its mean ``weight`` over the models, the standard deviation ``std``
        over the models, the share of models whose weight has the sign of the mean
        (``same_sign``), and ``n_models``; the largest absolute weights first.

    Raises
    ------
    QuestionError
        If the run has no such table.
    """
    _check(run, "measure_weights")
    result = read_table(
        run,
        "measure_weights",
        f"SELECT {KEYS}, input, avg(weight) AS weight, stddev_samp(weight) AS std, "
        "avg(CAST(sign(weight) = sign(mean) AS DOUBLE)) AS same_sign, count(*) AS n_models "
        "FROM (SELECT *, avg(weight) OVER (PARTITION BY modality, input) AS mean "
        "FROM measure_weights) GROUP BY ALL ORDER BY abs(avg(weight)) DESC, input LIMIT ?",
        [top],
    )
    result.attrs["title"] = (
        "Weights of measures (change of the logit or score per standard deviation; positive: "
        "towards label 1 or a higher score)"
    )
    result.attrs["notes"] = [
        "Weights of correlated measures share an effect and can have opposite signs; group "
        "differences of single measures are those of depmm measures."
    ]
    return result


def _check(run: Path, table: str) -> None:
    if not (run / f"{table}.parquet").is_file():
        if not run.is_dir():
            raise missing_run(run)
        refuse_combination(run)
        raise QuestionError(
            f"{run} has no {table}.parquet, which depmm explain writes for "
            f"{'linear classical models' if table == 'measure_weights' else 'classical models'}.",
            file=run / f"{table}.parquet",
            remedy=f"Run depmm explain {run} first, or ask another question.",
        )
