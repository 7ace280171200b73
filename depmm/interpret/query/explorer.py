"""Explorer: one page in which an explained run can be walked through, from words to steps.

The page holds its data and its script; it needs no server and asks no network for anything. What a
corpus brought (words, ids) is data in it, never HTML.
"""

import base64
import hashlib
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from depmm.corpora.manifest import SESSION_KEY, SUBJECT_KEY
from depmm.evaluation.reports.rendering import templates, to_json_values
from depmm.files import write_text
from depmm.interpret.attribution.faithfulness import CURVES, compare_with_random
from depmm.interpret.query.confounds import uneven_gender
from depmm.interpret.query.word_means import CONFIDENCE, compared_words, word_means

DRAWS = 2000  # of persons, for intervals
PERMUTATIONS = 5000
SESSIONS_SHOWN = 2000  # a page of 2,000 sessions of 30 steps is about 5 MB
WORDS_SHOWN = 500  # rows of the chart; the strongest of each measure
DIGITS = 4  # significant, in the page

READING = [*SESSION_KEY, "fold", "seed"]  # a session as one model saw it
# of attributions.parquet; name -> (kind, what it means)
METHODS = {
    "shapley": ("Shapley value", "the step's share of the model's evidence"),
    "occlusion": (
        "Occlusion",
        "the model's evidence with the step, less that with a usual step of the session instead",
    ),
    "permutation": (
        "Permutation",
        "the model's evidence with the step, less that with another step of the session instead",
    ),
    "integrated_gradients": (
        "Integrated gradients",
        "what the model's evidence gains on the way from a usual step to this one",
    ),
}
PARTS = {"": "whole step", "_audio": "voice only", "_face": "face only"}
ENCODERS = {"multimodal": "multimodal encoder", "audio": "voice encoder", "face": "face encoder"}


def write_explorer(run: Path) -> Path:
    """Write ``explorer.html`` from the tables that ``depmm explain`` left in a run folder.

    Parameters
    ----------
    run : folder with ``attributions.parquet`` and perhaps ``branches.parquet``,
        ``modalities.parquet``, ``faithfulness.parquet``,
        ``region_attributions.parquet`` and the predictions

    Returns
    -------
    path of the page

    Raises
    ------
    ValueError : the steps are not explained yet
    """
    steps = run / "attributions.parquet"
    if not steps.is_file():
        raise ValueError(f"{steps} is not there: run depmm explain {run} first")
    others = [
        pd.read_parquet(path) if (path := run / f"{name}.parquet").is_file() else None
        for name in ("branches", "modalities", "faithfulness", "region_attributions", "predictions")
    ]
    content = explorer_content(pd.read_parquet(steps), *others)
    path = run / "explorer.html"
    write_text(path, explorer_page(content, run.resolve().name))
    return path


def explorer_page(content: dict[str, Any], title: str) -> str:
    """Put content (``explorer_content``) and script into one page.

    Its policy lets nothing run but this script, and nothing be fetched.
    """
    script = files("depmm.interpret.query").joinpath("explorer.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    template = templates("depmm.interpret.query").get_template("explorer.html.jinja")
    return template.render(title=title, content=content, script=script, digest=digest)


def explorer_content(
    attributions: pd.DataFrame,
    branches: pd.DataFrame | None = None,
    modalities: pd.DataFrame | None = None,
    faithfulness: pd.DataFrame | None = None,
    regions: pd.DataFrame | None = None,
    predictions: pd.DataFrame | None = None,
    *,
    draws: int = DRAWS,
    permutations: int = PERMUTATIONS,
) -> dict[str, Any]:
    """Collect what the page shows, as JSON values.

    Parameters
    ----------
    attributions, branches, modalities, faithfulness, regions : as ``explain_sessions`` describes
        them
    predictions : of the run, for the gender of the explained people
    draws : of the bootstrap over persons
    permutations : of the groups' labels

    Returns
    -------
    ``measures`` that these tables have; ``words`` (word, valence); ``statistics``, for each measure
    one row a word, strongest first (``word_means``); ``sessions``, each with its steps,
    branches and modalities; ``places``, one row each like a word; ``faithfulness`` of the
    explanations; a ``caution``, or None; ``counts``; and how it was computed
    """
    steps = attributions.sort_values([*READING, "step"], ignore_index=True)
    measures = _measures(steps)
    binary = bool(steps["label"].notna().any())
    spoken = steps.dropna(subset=["word", "label"] if binary else ["word"])
    valences = spoken.groupby("word")["valence"].first()
    statistics = {
        name: word_means(spoken, name, draws, permutations)[:WORDS_SHOWN] for name in measures
    }
    number = {word: index for index, word in enumerate(valences.index)}
    for rows in statistics.values():
        for row in rows:
            row["word"] = number[row["word"]]
    readings = steps[READING].drop_duplicates()
    shown = _sample(readings)
    content = {
        "answer": "y_prob" if "y_prob" in steps else "score_pred",
        "binary": binary,
        "splits": sorted(steps["split"].unique()),
        "counts": {
            "sessions": len(steps[SESSION_KEY].drop_duplicates()),
            "persons": len(steps[SUBJECT_KEY].drop_duplicates()),
            "readings": len(readings),
            "shown": len(shown),
            "words": len(number),
            "rare": len(number) - len(compared_words(spoken)),
        },
        "confidence": CONFIDENCE,
        "draws": draws,
        "permutations": permutations,
        "measures": list(measures.values()),
        "words": [{"word": word, "valence": valences[word]} for word in number],
        "statistics": statistics,
        "regions": [] if regions is None else _regions(regions, draws, permutations),
        "faithfulness": [] if faithfulness is None else _faithfulness(faithfulness, draws),
        "caution": None if predictions is None else _caution(steps, predictions),
        "sessions": _sessions(shown, steps, measures, number, branches, modalities),
    }
    return to_json_values(_rounded(content))


def _measures(steps: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Columns that can be shown: name -> name, kind, label and meaning."""
    candidates = [
        (method + part, kind, label, meaning)
        for method, (kind, meaning) in METHODS.items()
        for part, label in PARTS.items()
    ]
    picked = "share of the heads of this encoder's first layer that pick the step"
    candidates += [
        (f"selected_{name}", "Attention", label, picked) for name, label in ENCODERS.items()
    ]
    present = [row for row in candidates if row[0] in steps and steps[row[0]].notna().any()]
    names = {name for name, *_ in present}
    for method in METHODS:  # with one modality its part is the whole
        parts = names & {method + part for part in PARTS if part}
        if len(parts) == 1:
            names -= parts
    columns = ("name", "kind", "label", "meaning")
    return {row[0]: dict(zip(columns, row, strict=True)) for row in present if row[0] in names}


def _faithfulness(areas: pd.DataFrame, draws: int) -> list[dict[str, Any]]:
    """One dict an explanation, the most faithful first: what each curve says of it."""
    labels = {name: label for name, (label, _) in METHODS.items()} | {"selected": "Attention"}
    found = compare_with_random(areas.rename(columns={"label": "y_true"}), draws)
    by_method = {method: own.set_index("curve") for method, own in found.groupby("method")}
    rows: list[dict[str, Any]] = [
        {"method": labels[str(method)], **{curve: own.loc[curve].to_dict() for curve in CURVES}}
        for method, own in by_method.items()
    ]
    return sorted(rows, key=lambda row: -sum(row[curve]["gain"] for curve in CURVES))


def _regions(regions: pd.DataFrame, draws: int, permutations: int) -> list[dict[str, Any]]:
    """Compare the groups place by place, as words are compared; all places are tested together."""
    as_words = regions.assign(word=regions["modality"] + "/" + regions["region"], valence=None)
    rows = word_means(as_words, "share", draws, permutations)
    even = as_words.groupby("word")["area"].mean()
    order = {name: index for index, name in enumerate(as_words["word"].unique())}
    for row in rows:
        row["modality"], row["region"] = row["word"].split("/", 1)
        row["even"] = even[row["word"]]
    return sorted(rows, key=lambda row: order[row.pop("word")])


def _caution(steps: pd.DataFrame, predictions: pd.DataFrame) -> str | None:
    if "gender" not in predictions:
        return None
    people = predictions[[*SESSION_KEY, "gender"]].drop_duplicates(SESSION_KEY)
    return uneven_gender(steps[[*SESSION_KEY, "label"]].merge(people, on=SESSION_KEY))


def _sample(readings: pd.DataFrame) -> pd.DataFrame:
    """Choose the sessions that the page lists: all, or as many at random as it can hold."""
    if len(readings) <= SESSIONS_SHOWN:
        return readings
    return readings.sample(SESSIONS_SHOWN, random_state=0).sort_index()


def _sessions(
    shown: pd.DataFrame,
    steps: pd.DataFrame,
    measures: Iterable[str],
    number: dict[Any, int],
    branches: pd.DataFrame | None,
    modalities: pd.DataFrame | None,
) -> list[dict[str, Any]]:
    """One dict a session, its steps in columns."""
    answer = "y_prob" if "y_prob" in steps else "score_pred"
    grouped = dict(tuple(shown.merge(steps, on=READING).groupby(READING, sort=False)))
    of_branches = _by_reading(branches, ["branch", "logit", "gate", "present"])
    of_modalities = _by_reading(modalities, ["modality", "shapley"])
    result = []
    for key, own in grouped.items():
        corpus, subject, session, fold, seed = key
        entry = {"corpus": corpus, "subject": subject, "session": session}
        result.append(
            {
                **entry,
                "fold": fold,
                "seed": seed,
                "label": own["label"].iloc[0],
                "answer": own[answer].iloc[0],
                "step": own["step"].tolist(),
                "word": [number.get(word) for word in own["word"]],
                **{name: own[name].tolist() for name in measures},
                "branches": of_branches.get(key, []),
                "modalities": of_modalities.get(key, []),
            }
        )
    return result


def _by_reading(
    table: pd.DataFrame | None, columns: list[str]
) -> dict[tuple, list[dict[Any, Any]]]:
    """Rows of an optional table by session, with those of its columns that are there."""
    if table is None:
        return {}
    columns = [name for name in columns if name in table]
    return {key: own[columns].to_dict("records") for key, own in table.groupby(READING, sort=False)}


def _rounded(value: Any) -> Any:
    """Cut floats to ``DIGITS`` significant digits, as nobody reads more in a picture."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    if value is None or value is pd.NA:
        return None
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float | np.floating) else value
