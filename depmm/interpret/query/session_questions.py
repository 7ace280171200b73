"""Questions about sessions, branches and regions, one function each.

``depmm ask`` shows the first line of each docstring; keyword arguments are the options.
"""

from pathlib import Path

import pandas as pd
from pydantic import PositiveInt

from depmm.interpret.attribution.methods import GRAD_CAM
from depmm.interpret.errors import QuestionError
from depmm.interpret.query.explained_run import (
    MODEL_KEY,
    add_subject_column,
    check_value,
    format_title,
    list_measures,
    list_test_notes,
    read_attributions,
)
from depmm.interpret.query.group_effects import UNIT, compare_columns
from depmm.interpret.query.misclassified import find_misclassified
from depmm.interpret.query.references import (
    SHARED_BRANCHES,
    describe_measure,
    shares_attention,
)
from depmm.interpret.query.sql import list_columns, read_table
from depmm.interpret.query.word_effects import choose_test, select_comparable
from depmm.runs.contents import read_threshold
from depmm.schemas.manifest import SESSION_KEY


def session(
    run: Path, subject: str, *, session: str | None = None, corpus: str | None = None
) -> pd.DataFrame:
    """Show the attributions of each step of a subject, in the order of the session.

    Parameters
    ----------
    run : Path
        Folder of an explained run.
    subject : str
        Subject id.
    session : str, optional
        Session id; default: all sessions of the subject.
    corpus : str, optional
        Corpus, if several corpora have a subject of this name.

    Returns
    -------
    DataFrame
        One row per step. If several models were explained, values are means over them, and
        ``n_models`` is their number.
    """
    columns = list_columns(run, "attributions")
    keys = {"subject": subject, "session": session, "corpus": corpus}
    keys = {column: value for column, value in keys.items() if value is not None}
    for column, value in keys.items():
        check_value(run, column, str(value), None if column == "subject" else subject)
    measures = [name for name in ("y_prob", "score_pred", *list_measures(run)) if name in columns]
    means = "".join(f', avg("{name}") AS "{name}"' for name in measures)
    result = read_table(
        run,
        "attributions",
        f"SELECT corpus, subject, session, label, step, word, valence, count(*) AS n_models{means} "
        f"FROM attributions WHERE {' AND '.join(f'{column} = ?' for column in keys)} "
        "GROUP BY ALL ORDER BY corpus, session, step",
        list(keys.values()),
    )
    if len(corpora := result["corpus"].unique()) > 1:
        raise QuestionError(
            f"{subject} is a subject of {' and of '.join(corpora)}.",
            subject=subject,
            setting="corpus",
            remedy=f"Name the corpus: corpus={corpora[0]}.",
        )
    if result.empty:
        raise QuestionError(
            f"{subject} has no session {session} in {corpus}.",
            subject=subject,
            session=session,
            remedy="Leave session or corpus out.",
        )
    if (result["n_models"] == 1).all():
        del result["n_models"]
    result.attrs["title"] = (
        f"Steps of {subject} in order (occlusion > 0 raises the logit, "
        f"{describe_measure(run, 'occlusion').removeprefix('occlusion, ')})"
    )
    return result


def modalities(
    run: Path,
    *,
    stratify_by: str | None = None,
    permutations: PositiveInt = 5000,
    seed: int = 0,
) -> pd.DataFrame:
    """Show the Shapley value of each modality, and compare it between the labels.

    Parameters
    ----------
    run : Path
        Folder of an explained run.
    stratify_by : str, optional
        As in words-by-label.
    permutations : int, default 5000
        Permutations of the labels.
    seed : int, default 0
        Seed of permutations and bootstrap.

    Returns
    -------
    DataFrame
        One row per modality with its mean ``shapley``, ``size`` (mean absolute value) and
        ``n_sessions``, and the columns of ``group_effects.compare_columns``.
    """
    rows = read_table(run, "modalities", "SELECT *, abs(shapley) AS size FROM modalities")
    table = add_subject_column(run, rows, stratify_by)
    grouped = table.groupby("modality")
    result = grouped.agg(
        shapley=("shapley", "mean"), size=("size", "mean"), n_sessions=("shapley", "size")
    )
    test = None
    if table["label"].notna().any():
        comparable = select_comparable(table, ["shapley"], stratify_by)
        matrix = comparable.pivot_table(index=UNIT, columns="modality", values="shapley")
        test = choose_test(comparable, "shapley")
        effects = compare_columns(matrix, permutations, seed=seed, test=test)
        result = result.join(effects.set_index("modality"))
    result = result.reset_index()
    result.attrs["title"] = format_title(
        "Shapley value of each modality (without a modality, it is masked)", stratify_by, test
    )
    result.attrs["notes"] = list_test_notes(run, table, stratify_by, test)
    return result


def gates(run: Path, *, stratify_by: str | None = None, seed: int = 0) -> pd.DataFrame:
    """Show the gate of each branch of the fusion, and compare its logit between the labels.

    Parameters
    ----------
    run : Path
        Folder of an explained run.
    stratify_by : str, optional
        As in words-by-label.
    seed : int, default 0
        Seed of permutations and bootstrap.

    Returns
    -------
    DataFrame
        One row per branch with its mean ``gate`` and the columns of
        ``group_effects.compare_columns``; for scores ``n_sessions`` and the mean ``logit``.
    """
    rows = read_table(run, "branches", "FROM branches WHERE present")
    table = add_subject_column(run, rows, stratify_by)
    if table.empty:
        raise QuestionError(
            f"{run}: the fusion of this run has no branches.", file=run, setting="model.fusion"
        )
    grouped = table.groupby("branch")
    result = grouped.agg(
        gate=("gate", "mean"), n_sessions=("logit", "size"), logit=("logit", "mean")
    )
    test = None
    if table["label"].notna().any():
        comparable = select_comparable(table, ["logit"], stratify_by)
        matrix = comparable.pivot_table(index=UNIT, columns="branch", values="logit")
        test = choose_test(comparable, "logit")
        effects = compare_columns(matrix, seed=seed, test=test)
        result = result[["gate"]].join(effects.set_index("branch"))
    result = result.reset_index()
    result.attrs["title"] = format_title(
        "Gate and logit of each branch of the fusion (for modalities, ask modalities)",
        stratify_by,
        test,
    )
    result.attrs["notes"] = list_test_notes(run, table, stratify_by, test)
    if shares_attention(run):
        result.attrs["notes"].insert(0, SHARED_BRANCHES)
    return result


def regions(
    run: Path,
    *,
    stratify_by: str | None = None,
    permutations: PositiveInt = 5000,
    seed: int = 0,
) -> pd.DataFrame:
    """Show the share of each region in the Grad-CAM maps, and compare it between the labels.

    Parameters
    ----------
    run : Path
        Folder of an explained run.
    stratify_by : str, optional
        As in words-by-label.
    permutations : int, default 5000
        Permutations of the labels.
    seed : int, default 0
        Seed of permutations and bootstrap.

    Returns
    -------
    DataFrame
        One row per modality and region with its mean ``share``, its ``uniform_share`` (share of a
        uniform map), ``n_steps`` and the columns of ``group_effects.compare_columns``.
    """
    name = "region_attributions"
    path = run / f"{name}.parquet"
    if not path.is_file():
        raise QuestionError(
            f"{path} does not exist.",
            file=path,
            remedy=f"Run depmm explain {run} --method {GRAD_CAM} first.",
        )
    table = add_subject_column(run, read_table(run, name, f"FROM {name}"), stratify_by)
    steps = table.groupby([*SESSION_KEY, *MODEL_KEY, "modality", "step"])
    positive = steps["share"].count() > 0
    table = table.dropna(subset=["share"])
    if table.empty:
        raise QuestionError(
            f"{run}: all {len(positive)} Grad-CAM maps are zero, because no position raises the "
            "logit; there are no shares to compare.",
            file=path,
            column="share",
        )
    grouped = table.groupby(["modality", "region"], sort=False)
    result = grouped.agg(
        uniform_share=("area", "mean"), n_steps=("share", "size"), share=("share", "mean")
    )
    test = None
    if table["label"].notna().any():
        comparable = select_comparable(table, ["share"], stratify_by)
        matrix = comparable.pivot_table(index=UNIT, columns=["modality", "region"], values="share")
        test = choose_test(comparable, "share")
        effects = compare_columns(matrix, permutations, seed=seed, test=test)
        result = result.join(effects.set_index(["modality", "region"]))
    result = result.reset_index()
    result.attrs["title"] = format_title(
        "Share of the Grad-CAM map in each region (uniform_share: of a uniform map)",
        stratify_by,
        test,
    )
    result.attrs["notes"] = list_test_notes(run, table, stratify_by, test)
    if not positive.all():
        result.attrs["notes"].append(
            f"{(~positive).sum()} of {len(positive)} maps of steps are left out, because no "
            "position in them raises the logit."
        )
    return result


def misclassified(run: Path, *, top: PositiveInt = 10, words: PositiveInt = 3) -> pd.DataFrame:
    """List the misclassified sessions, with the words that differ most from those of their label.

    Parameters
    ----------
    run : Path
        Folder of an explained run.
    top : int, default 10
        Number of sessions; the furthest from the threshold are first.
    words : int, default 3
        Number of words of each session.

    Returns
    -------
    DataFrame
        As ``misclassified.find_misclassified``.
    """
    steps = read_attributions(run, ["occlusion"], None)
    predictions = read_table(run, "predictions", "FROM predictions")
    result = find_misclassified(steps, predictions, top, words, read_threshold(run))
    result.attrs["title"] = (
        "Misclassified sessions, with the words furthest from the mean of the other subjects with "
        f"the same label, by {describe_measure(run, 'occlusion')}"
    )
    if result.empty:
        result.attrs["notes"] = ["No session is misclassified."]
    return result
