"""Explorer: one page in which an explained run can be walked through, from words to steps.

The page holds its data and its script; it needs no server and asks no network for anything. What a
corpus brought (words, ids) is data in it, never HTML.
"""

import base64
import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from depmm.corpora.manifest import PERSON_KEY, SESSION_KEY
from depmm.evaluation.intervals import bootstrap_weights, interval
from depmm.evaluation.metrics import Array
from depmm.evaluation.page import plain, templates, write_whole
from depmm.interpret.words import words_by_group

CONFIDENCE = 0.95
DRAWS = 2000  # of persons, for intervals
PERMUTATIONS = 5000
SESSIONS_SHOWN = 2000  # a page of 2,000 sessions of 30 steps is about 5 MB
WORDS_SHOWN = 500  # rows of the chart; the strongest of each measure
READERS = 2  # persons of a group: fewer have no spread
DIGITS = 4  # significant, in the page

READING = [*SESSION_KEY, "fold", "seed"]  # a session as one model saw it
# column -> (kind, name, what it means); columns of contributions.parquet that can be shown
MEASURES = {
    "occlusion": (
        "Occlusion",
        "face and voice",
        "how much the step moves the model's evidence, compared with a usual step of the same "
        "session in its place",
    ),
    "occlusion_audio": (
        "Occlusion",
        "voice only",
        "how much the step's voice moves the model's evidence; the face stays",
    ),
    "occlusion_face": (
        "Occlusion",
        "face only",
        "how much the step's face moves the model's evidence; the voice stays",
    ),
    "permutation": ("Other methods", "permutation", "the evidence with the step's own place"),
    "integrated_gradients": ("Other methods", "integrated gradients", "the step's attribution"),
    "shapley": ("Other methods", "Shapley value", "the step's share of the evidence"),
    "selected_multimodal": (
        "Attention",
        "multimodal encoder",
        "share of the heads of the multimodal encoder's first layer that pick the step",
    ),
    "selected_audio": (
        "Attention",
        "voice encoder",
        "share of the heads of the voice encoder's first layer that pick the step",
    ),
    "selected_face": (
        "Attention",
        "face encoder",
        "share of the heads of the face encoder's first layer that pick the step",
    ),
}


def write_explorer(run: Path) -> Path:
    """Write ``explorer.html`` from the tables that ``depmm explain`` left in a run folder.

    Parameters
    ----------
    run : folder with ``contributions.parquet`` and perhaps ``branches.parquet`` and
        ``modalities.parquet``

    Returns
    -------
    path of the page

    Raises
    ------
    ValueError : the steps are not explained yet
    """
    steps = run / "contributions.parquet"
    if not steps.is_file():
        raise ValueError(f"{steps} is not there: run depmm explain {run} first")
    branches, modalities = (
        pd.read_parquet(path) if (path := run / f"{name}.parquet").is_file() else None
        for name in ("branches", "modalities")
    )
    content = explorer_content(pd.read_parquet(steps), branches, modalities)
    path = run / "explorer.html"
    write_whole(path, explorer_page(content, run.resolve().name))
    return path


def explorer_page(content: dict[str, Any], title: str) -> str:
    """Put content (``explorer_content``) and script into one page.

    Its policy lets nothing run but this script, and nothing be fetched.
    """
    script = files("depmm.interpret").joinpath("explorer.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    template = templates("depmm.interpret").get_template("explorer.html.jinja")
    return template.render(title=title, content=content, script=script, digest=digest)


def explorer_content(
    contributions: pd.DataFrame,
    branches: pd.DataFrame | None = None,
    modalities: pd.DataFrame | None = None,
    draws: int = DRAWS,
    permutations: int = PERMUTATIONS,
) -> dict[str, Any]:
    """Collect what the page shows, as JSON values.

    Parameters
    ----------
    contributions, branches, modalities : as ``explain_sessions`` describes them
    draws : of the bootstrap over persons
    permutations : of the groups' labels

    Returns
    -------
    ``measures`` that these tables have; ``words`` (word, valence); ``statistics``, for each measure
    one row a word, strongest first (``word_statistics``); ``sessions``, each with its steps,
    branches and modalities; ``counts``; and how it was computed
    """
    steps = contributions.sort_values([*READING, "step"], ignore_index=True)
    measures = _measures(steps)
    binary = bool(steps["group"].notna().any())
    spoken = steps.dropna(subset=["word", "group"] if binary else ["word"])
    valences = spoken.groupby("word")["valence"].first()
    statistics = {
        name: word_statistics(spoken, name, draws, permutations)[:WORDS_SHOWN] for name in measures
    }
    number = {word: index for index, word in enumerate(valences.index)}
    for rows in statistics.values():
        for row in rows:
            row["word"] = number[row["word"]]
    readings = steps[READING].drop_duplicates()
    shown = _sample(readings)
    content = {
        "answer": "y_prob" if "y_prob" in steps else "score",
        "binary": binary,
        "splits": sorted(steps["split"].unique()),
        "counts": {
            "sessions": len(steps[SESSION_KEY].drop_duplicates()),
            "persons": len(steps[PERSON_KEY].drop_duplicates()),
            "readings": len(readings),
            "shown": len(shown),
            "words": len(number),
            "rare": len(number) - len(_compared(spoken)),
        },
        "confidence": CONFIDENCE,
        "draws": draws,
        "permutations": permutations,
        "measures": [
            dict(zip(("name", "kind", "label", "meaning"), (name, *MEASURES[name]), strict=True))
            for name in measures
        ],
        "words": [{"word": word, "valence": valences[word]} for word in number],
        "statistics": statistics,
        "sessions": _sessions(shown, steps, measures, number, branches, modalities),
    }
    return plain(_rounded(content))


def _measures(steps: pd.DataFrame) -> list[str]:
    """Columns that can be shown and say something of their own."""
    present = [name for name in MEASURES if name in steps and steps[name].notna().any()]
    parts = [name for name in present if name.startswith("occlusion_")]
    # with one modality its occlusion is the occlusion
    return [name for name in present if len(parts) != 1 or name not in parts]


def _compared(spoken: pd.DataFrame) -> pd.Index:
    """Words that enough persons read: of each group, or of all where there are scores."""
    persons = spoken.assign(group=spoken["group"].fillna(-1)).drop_duplicates(
        [*PERSON_KEY, "group", "word"]
    )
    readers = pd.crosstab(persons["word"], persons["group"])
    return readers.index[(readers >= READERS).all(axis=1)]


def word_statistics(
    spoken: pd.DataFrame, measure: str, draws: int, permutations: int
) -> list[dict[str, Any]]:
    """Compare the words of two groups; a person counts once, with the mean over all readings.

    Words that fewer than ``READERS`` persons of a group read are left out. Intervals are BCa, from
    a bootstrap of the persons of a group; p and q are those of ``words_by_group``.

    Parameters
    ----------
    spoken : rows of contributions with a word
    measure : one of their columns
    draws : of the bootstrap
    permutations : of the labels

    Returns
    -------
    one dict a word, strongest effect first (without two groups: largest mean): ``word``,
    ``effect``, ``p``, ``q`` (None without two groups) and ``groups``, for 1 and then 0 (or one
    entry with ``group`` None for scores) ``group``, ``persons``, ``mean``, ``low``, ``high``
    """
    spoken = spoken.dropna(subset=[measure])
    spoken = spoken[spoken["word"].isin(_compared(spoken))]
    if spoken.empty:
        return []
    # without labels everybody is of one group
    labels = spoken["group"].astype("Float64").fillna(-1).astype(int)
    table = spoken.assign(group=labels).pivot_table(
        index=["group", *PERSON_KEY], columns="word", values=measure
    )
    groups = sorted(table.index.unique("group"), reverse=True)
    means = {group: _group_means(table.loc[group], draws) for group in groups}
    if len(groups) == 2:
        effects = words_by_group(spoken, measure, permutations).set_index("word")
        effects = effects[["effect", "p", "q"]]
    else:
        order = table.mean().abs().sort_values(ascending=False, kind="stable").index
        effects = pd.DataFrame(np.nan, index=order, columns=["effect", "p", "q"])
    column = {word: index for index, word in enumerate(table.columns)}
    return [
        {
            "word": row.Index,
            "effect": row.effect,
            "p": row.p,
            "q": row.q,
            "groups": [
                {"group": group if group >= 0 else None, **means[group][column[row.Index]]}
                for group in groups
            ],
        }
        for row in effects.itertuples()
    ]


def _group_means(table: pd.DataFrame, draws: int) -> list[dict[str, float]]:
    """Mean of each word over the persons of a group, with its BCa interval.

    Parameters
    ----------
    table : [persons, words], nan where a person did not read a word
    """
    values = table.to_numpy(dtype=float)
    read = np.isfinite(values)
    persons = np.arange(len(values))
    weights = bootstrap_weights(persons, np.zeros(len(values)), draws, seed=0).astype(float)
    filled = np.where(read, values, 0.0)
    with np.errstate(invalid="ignore"):
        drawn = (weights @ filled) / (weights @ read)  # [draws, words]; nan: no reader drawn
    result = []
    for word in range(values.shape[1]):
        own = values[read[:, word], word]
        bounds = interval(own.mean(), drawn[:, word], CONFIDENCE, _acceleration(own))
        result.append(
            {"persons": len(own), "mean": bounds.value, "low": bounds.low, "high": bounds.high}
        )
    return result


def _acceleration(values: Array) -> float:
    """Acceleration of the BCa interval of a mean (Efron and Tibshirani 1993, eq. 14.15)."""
    centred = values - values.mean()
    spread = (centred**2).sum()
    return float((centred**3).sum() / (6 * spread**1.5)) if spread > 0 else np.nan


def _sample(readings: pd.DataFrame) -> pd.DataFrame:
    """Choose the sessions that the page lists: all, or as many at random as it can hold."""
    if len(readings) <= SESSIONS_SHOWN:
        return readings
    return readings.sample(SESSIONS_SHOWN, random_state=0).sort_index()


def _sessions(
    shown: pd.DataFrame,
    steps: pd.DataFrame,
    measures: list[str],
    number: dict[str, int],
    branches: pd.DataFrame | None,
    modalities: pd.DataFrame | None,
) -> list[dict[str, Any]]:
    """One dict a session, its steps in columns."""
    answer = "y_prob" if "y_prob" in steps else "score"
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
                "group": own["group"].iloc[0],
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
