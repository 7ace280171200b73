"""Pool runs that predict the same subjects from different steps, such as one task and valence each.

A session holds steps of several tasks and valences, but a run has one prediction per session. A run
that is restricted to one task and valence (``data.steps``) is therefore one cell of a table by task
and valence, and the pooled runs are the whole table.
"""

from collections.abc import Mapping

import pandas as pd

from depmm.errors import DepmmError
from depmm.evaluation.prediction_checks import check_predictions
from depmm.schemas.manifest import SESSION_KEY

CELL = ("task", "valence")


class PoolingError(DepmmError):
    """Runs that cannot be pooled."""


def pool_runs(runs: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Concatenate the predictions of runs, each of its own steps.

    Parameters
    ----------
    runs : mapping of str to DataFrame
        Predictions of each run by its name (see
        :func:`~depmm.evaluation.prediction_checks.check_predictions`), with the columns ``task``
        and ``valence``; one of the two may be missing.

    Returns
    -------
    DataFrame
        All rows. Task and valence are appended to the ids of the sessions, so that a session occurs
        once per run, and the folds are numbered consecutively over the runs.

    Raises
    ------
    PoolingError
        If two runs predict the same task and valence of a session.
    PredictionTableError
        If the predictions of a run cannot be evaluated.
    """
    tables: list[pd.DataFrame] = []
    owner: dict[tuple[object, ...], str] = {}
    n_folds = 0
    for name, predictions in runs.items():
        table = check_predictions(predictions)
        cells = pd.DataFrame(
            {part: table.get(part, pd.Series(index=table.index, dtype=object)) for part in CELL}
        ).fillna("")
        keys = pd.concat([table[SESSION_KEY], cells], axis=1).drop_duplicates()
        for key in keys.itertuples(index=False, name=None):
            if other := owner.get(key):
                *session, task, valence = key
                what = " ".join(filter(None, (task, valence))) or "all steps"
                raise PoolingError(
                    f"{other} and {name} both predict session {'/'.join(session)} from {what}.",
                    setting="data.steps",
                    subject=session[1],
                    session=session[2],
                    value=what,
                    remedy="Pool runs of different tasks or valences (data.steps.task, "
                    "data.steps.valence), or compare these two instead.",
                )
            owner[key] = name
        parts = [table["session"], *(cells[part] for part in CELL)]
        session_ids = pd.concat(parts, axis=1).agg(" ".join, axis=1).str.split().str.join(" ")
        tables.append(table.assign(session=session_ids, fold=table["fold"] + n_folds))
        n_folds += int(table["fold"].max()) + 1
    return pd.concat(tables, ignore_index=True)
