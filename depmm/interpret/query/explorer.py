"""Explorer: an HTML page for browsing the words, sessions and steps of an explained run.

The page contains its data and its script; it needs no server and sends no requests. Words and ids
of a corpus are embedded as JSON, never as HTML.
"""

import base64
import hashlib
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from depmm.evaluation.reports.rendering import to_json_values
from depmm.files.checksums import read_table
from depmm.files.writing import write_text
from depmm.interpret.attribution.faithfulness import CURVES, compare_with_random
from depmm.interpret.attribution.methods import SELECTED, STEP_METHODS
from depmm.interpret.errors import QuestionError
from depmm.interpret.query.confounds import describe_uneven_gender
from depmm.interpret.query.explained_by import describe_models, describe_order
from depmm.interpret.query.label_tests import LabelTest
from depmm.interpret.query.references import (
    ALL_STEPS,
    SHARED_BRANCHES,
    TO_OTHER_WORDS,
    TO_TRAINING,
    shares_attention,
)
from depmm.interpret.query.stability import list_modalities
from depmm.interpret.query.word_effects import choose_test, select_comparable
from depmm.interpret.query.word_means import CONFIDENCE, compute_word_means, find_common_words
from depmm.pages.templates import templates
from depmm.schemas.explanations import SESSION_MEAN
from depmm.schemas.manifest import SESSION_KEY, SUBJECT_KEY

DRAWS = 2000  # bootstrap draws of subjects, for intervals
PERMUTATIONS = 5000
MAX_SESSIONS = 2000  # a page of 2,000 sessions of 30 steps is about 5 MB
MAX_WORDS = 500  # rows of the chart: words with the largest effects, for each measure
DIGITS = 4  # significant digits of the values in the page

EXPLANATION_KEY = [*SESSION_KEY, "fold", "seed"]  # a session and the model that predicts it
SHOWN_NAMES = {"audio": "voice"}  # of modalities and encoders; the others have their own


def write_explorer(run: Path) -> Path:
    """Write ``explorer.html`` from the tables of an explained run.

    Parameters
    ----------
    run : Path
        Folder with ``attributions.parquet``; the other tables of ``depmm explain`` and the
        predictions are used if they exist.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    QuestionError
        If the run was not explained.
    """
    steps = run / "attributions.parquet"
    if not steps.is_file():
        raise QuestionError(
            f"{steps} does not exist.", file=steps, remedy=f"Run depmm explain {run} first."
        )
    others = [
        read_table(path) if (path := run / f"{name}.parquet").is_file() else None
        for name in (
            *("branches", "modalities", "faithfulness", "region_attributions", "predictions"),
            *("session_attributions", "region_occlusion"),
        )
    ]
    content = build_content(
        read_table(steps), *others, shared_branches=shares_attention(run), run=run
    )
    path = run / "explorer.html"
    write_text(path, render_page(content, run.resolve().name))
    return path


def render_page(content: dict[str, Any], title: str) -> str:
    """Render the page; its content security policy allows only its own script.

    Parameters
    ----------
    content : dict
        From ``build_content``.
    title : str
        Name of the run.

    Returns
    -------
    str
        HTML.
    """
    script = files("depmm.interpret.query").joinpath("explorer.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    template = templates("depmm.interpret.query").get_template("explorer.html.jinja")
    return template.render(title=title, content=content, script=script, digest=digest)


def build_content(
    attributions: pd.DataFrame,
    branches: pd.DataFrame | None = None,
    modalities: pd.DataFrame | None = None,
    faithfulness: pd.DataFrame | None = None,
    regions: pd.DataFrame | None = None,
    predictions: pd.DataFrame | None = None,
    whole: pd.DataFrame | None = None,
    occluded: pd.DataFrame | None = None,
    *,
    shared_branches: bool = False,
    draws: int = DRAWS,
    permutations: int = PERMUTATIONS,
    run: Path | None = None,
) -> dict[str, Any]:
    """Collect the data of the page as JSON values.

    Parameters
    ----------
    attributions : DataFrame
        As ``depmm.schemas.explanations.ATTRIBUTIONS``.
    branches : DataFrame, optional
        As ``BRANCHES``.
    modalities : DataFrame, optional
        As ``MODALITIES``.
    faithfulness : DataFrame, optional
        As ``FAITHFULNESS``.
    regions : DataFrame, optional
        As ``REGION_ATTRIBUTIONS``.
    predictions : DataFrame, optional
        Predictions of the run, with the gender of the subjects.
    whole : DataFrame, optional
        As ``SESSION_ATTRIBUTIONS``.
    occluded : DataFrame, optional
        As ``REGION_OCCLUSION``.
    shared_branches : bool, default False
        Whether the branches of the modalities use a shared query selection.
    draws : int, default 2000
        Bootstrap draws of subjects.
    permutations : int, default 5000
        Permutations of the labels.
    run : Path, optional
        Folder of the run, for the training subjects of its models.

    Returns
    -------
    dict
        ``measures`` : list of dict with the ``name``, ``kind``, ``label`` and ``meaning`` of each
        measure;
        ``words`` : list of dict with ``word`` and ``valence``;
        ``statistics`` : dict of measure to the rows of ``compute_word_means``;
        ``sessions`` : list of dict, each with its steps, branches, modalities and occluded regions;
        ``all_steps`` : list of dict, the row of ``compute_word_means`` of all steps removed;
        ``relative`` : str, what the attributions of steps are relative to;
        ``regions``, ``occluded`` : list of dict, rows like those of words, of the Grad-CAM maps and
        of the occlusion of regions;
        ``faithfulness`` : list of dict, one row per method;
        ``tests`` : dict with the descriptions of the tests and ``notes`` on models and order;
        ``caution`` : str or None, a confound of the labels;
        ``branch_note`` : str or None, what branches with a shared selection mean;
        ``counts``, ``binary``, ``splits``, ``confidence``, ``draws`` and ``permutations``.
    """
    steps = attributions.sort_values([*EXPLANATION_KEY, "step"], ignore_index=True)
    measures = _list_measures(steps)
    binary = bool(steps["label"].notna().any())
    readings = steps.dropna(subset=["word", "label"] if binary else ["word"])
    valences = readings.groupby("word")["valence"].first()
    statistics = {
        name: compute_word_means(readings, name, draws, permutations)[:MAX_WORDS]
        for name in measures
    }
    word_index = {word: index for index, word in enumerate(valences.index)}
    for rows in statistics.values():
        for row in rows:
            row["word"] = word_index[row["word"]]
    sessions = steps[EXPLANATION_KEY].drop_duplicates()
    listed = _sample(sessions)
    content = {
        "binary": binary,
        "splits": sorted(steps["split"].unique()),
        "counts": {
            "sessions": len(steps[SESSION_KEY].drop_duplicates()),
            "subjects": len(steps[SUBJECT_KEY].drop_duplicates()),
            "readings": len(sessions),
            "listed": len(listed),
            "words": len(word_index),
            "rare": len(word_index) - len(find_common_words(readings)),
        },
        "confidence": CONFIDENCE,
        "draws": draws,
        "permutations": permutations,
        "measures": list(measures.values()),
        "words": [{"word": word, "valence": valences[word]} for word in word_index],
        "statistics": statistics,
        "all_steps": _compare_all_steps(whole, draws, permutations),
        "relative": TO_OTHER_WORDS if SESSION_MEAN in set(steps["reference"]) else TO_TRAINING,
        "branch_note": SHARED_BRANCHES if shared_branches else None,
        "regions": _compare_regions(regions, "share", draws, permutations),
        "occluded": _compare_regions(occluded, "occlusion", draws, permutations),
        "faithfulness": [] if faithfulness is None else _compare_methods(faithfulness, draws),
        "tests": _describe_tests(steps, run) if binary else None,
        "caution": None if predictions is None else _find_caution(steps, predictions),
        "sessions": _list_sessions(
            listed, steps, measures, word_index, branches, modalities, _mean_occlusion(occluded)
        ),
    }
    values: dict[str, Any] = to_json_values(_round(content))
    return values


def _list_measures(steps: pd.DataFrame) -> dict[str, dict[str, str]]:
    """List the columns that can be shown: name -> name, kind, label and meaning."""
    modalities = list_modalities(steps)
    parts = {"": "whole step"}
    parts |= {f"_{name}": f"{SHOWN_NAMES.get(name, name)} only" for name in modalities}
    candidates = [
        (method.name + part, method.title, label, method.meaning)
        for method in STEP_METHODS
        for part, label in parts.items()
    ]
    meaning = "share of the heads of this encoder's first layer that select the step"
    candidates += [
        (f"{SELECTED}_{name}", "Attention", f"{SHOWN_NAMES.get(name, name)} encoder", meaning)
        for name in ("multimodal", *modalities)
    ]
    present = [row for row in candidates if row[0] in steps and steps[row[0]].notna().any()]
    names = {name for name, *_ in present}
    for method in STEP_METHODS:  # with one modality, its part equals the attribution of the step
        own = names & {f"{method.name}_{modality}" for modality in modalities}
        if len(own) == 1:
            names -= own
    columns = ("name", "kind", "label", "meaning")
    return {row[0]: dict(zip(columns, row, strict=True)) for row in present if row[0] in names}


def _compare_all_steps(
    whole: pd.DataFrame | None, draws: int, permutations: int
) -> list[dict[str, Any]]:
    """Compare the labels by the attribution of all steps together; empty without the table."""
    if whole is None:
        return []
    rows = whole.assign(word=ALL_STEPS, valence=None)
    return compute_word_means(rows, "all_steps", draws, permutations)


def _compare_methods(areas: pd.DataFrame, draws: int) -> list[dict[str, Any]]:
    """Compare each method with random orders; the methods are sorted by their gain."""
    titles = {method.name: method.title for method in STEP_METHODS} | {SELECTED: "Attention"}
    table = compare_with_random(areas.rename(columns={"label": "y_true"}), draws)
    by_method = {method: rows.set_index("curve") for method, rows in table.groupby("method")}
    methods: list[dict[str, Any]] = [
        {"method": titles[str(method)], **{curve: rows.loc[curve].to_dict() for curve in CURVES}}
        for method, rows in by_method.items()
    ]
    return sorted(methods, key=lambda row: -sum(row[curve]["gain"] for curve in CURVES))


def _compare_regions(
    regions: pd.DataFrame | None, value: str, draws: int, permutations: int
) -> list[dict[str, Any]]:
    """Compare the labels by region, with the statistics of words; empty without the table."""
    if regions is None:
        return []
    as_words = regions.assign(word=regions["modality"] + "/" + regions["region"], valence=None)
    rows = compute_word_means(as_words, value, draws, permutations)
    area = as_words.groupby("word")["area"].mean()
    order = {name: index for index, name in enumerate(as_words["word"].unique())}
    for row in rows:
        row["modality"], row["region"] = row["word"].split("/", 1)
        row["area"] = area[row["word"]]
    return sorted(rows, key=lambda row: order[row.pop("word")])


def _mean_occlusion(occluded: pd.DataFrame | None) -> pd.DataFrame | None:
    """Average the occlusion of each region over the steps of a session, in the order of regions."""
    if occluded is None:
        return None
    key = [*EXPLANATION_KEY, "modality", "region"]
    return occluded.groupby(key, sort=False)["occlusion"].mean().reset_index()


def _describe_tests(steps: pd.DataFrame, run: Path | None) -> dict[str, Any] | None:
    """Describe the tests of attributions and of the selection; None if there are none."""
    try:
        rows = select_comparable(steps, [])
    except QuestionError:
        return None
    directed, selected = choose_test(rows, "occlusion"), choose_test(rows, SELECTED)
    return {
        "attributions": directed.value,
        "selection": selected.value if selected is not directed else None,
        "permuted": directed is LabelTest.PERMUTATION,
        "notes": [*describe_models(run, steps, directed), *describe_order(steps)],
    }


def _find_caution(steps: pd.DataFrame, predictions: pd.DataFrame) -> str | None:
    if "gender" not in predictions:
        return None
    subjects = predictions[[*SESSION_KEY, "gender"]].drop_duplicates(SESSION_KEY)
    return describe_uneven_gender(steps[[*SESSION_KEY, "label"]].merge(subjects, on=SESSION_KEY))


def _sample(sessions: pd.DataFrame) -> pd.DataFrame:
    """Sample the sessions that the page lists, if there are too many."""
    if len(sessions) <= MAX_SESSIONS:
        return sessions
    return sessions.sample(MAX_SESSIONS, random_state=0).sort_index()


def _list_sessions(
    listed: pd.DataFrame,
    steps: pd.DataFrame,
    measures: Iterable[str],
    word_index: dict[Any, int],
    branches: pd.DataFrame | None,
    modalities: pd.DataFrame | None,
    occluded: pd.DataFrame | None,
) -> list[dict[str, Any]]:
    """List the sessions with their steps in columns."""
    prediction = "y_prob" if "y_prob" in steps else "score_pred"
    grouped = dict(
        tuple(listed.merge(steps, on=EXPLANATION_KEY).groupby(EXPLANATION_KEY, sort=False))
    )
    branch_rows = _group_rows(branches, ["branch", "logit", "gate", "present"])
    modality_rows = _group_rows(modalities, ["modality", "shapley"])
    region_rows = _group_rows(occluded, ["modality", "region", "occlusion"])
    sessions = []
    for key, rows in grouped.items():
        corpus, subject, session, fold, seed = key
        sessions.append(
            {
                **{"corpus": corpus, "subject": subject, "session": session},
                **{"fold": fold, "seed": seed},
                "label": rows["label"].iloc[0],
                "prediction": rows[prediction].iloc[0],
                "step": rows["step"].tolist(),
                "word": [word_index.get(word) for word in rows["word"]],
                **{name: rows[name].tolist() for name in measures},
                "branches": branch_rows.get(key, []),
                "modalities": modality_rows.get(key, []),
                "regions": region_rows.get(key, []),
            }
        )
    return sessions


def _group_rows(
    table: pd.DataFrame | None, columns: list[str]
) -> dict[tuple[Any, ...], list[dict[Any, Any]]]:
    """Group the rows of an optional table by session and model; missing columns are left out."""
    if table is None:
        return {}
    columns = [name for name in columns if name in table]
    groups = table.groupby(EXPLANATION_KEY, sort=False)
    return {key: rows[columns].to_dict("records") for key, rows in groups}


def _round(value: Any) -> Any:
    """Round floats to ``DIGITS`` significant digits, and replace missing values by None."""
    if isinstance(value, dict):
        return {key: _round(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_round(item) for item in value]
    if value is None or value is pd.NA:
        return None
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float | np.floating) else value
