"""Questions by name to an explained run: each is a function, its keywords are its options."""

from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import PositiveInt

from depmm.corpora.manifest import SESSION_KEY
from depmm.interpret.query import misclassified as unlike
from depmm.interpret.query import stability as agreements
from depmm.interpret.query import word_effects as words
from depmm.interpret.query.explained_run import (
    attributions,
    cautions,
    check_name,
    measures_of,
    usual_measure,
    with_column,
)
from depmm.interpret.query.group_effects import UNIT, group_effects
from depmm.interpret.query.misclassified import MODEL_KEY
from depmm.interpret.query.sql import columns, read

HOW = (
    "effect: Hedges' g with its 95 % interval over people; p: permutation of people; "
    "q: Benjamini-Hochberg"
)


def words_by_label(
    run: Path,
    *,
    rank_by: str | None = None,
    valence: Literal["negative", "neutral", "positive"] | None = None,
    stratify_by: str | None = None,
    top: PositiveInt = 10,
    permutations: PositiveInt = 5000,
    seed: int = 0,
) -> pd.DataFrame:
    """Which words separate the groups most.

    Parameters
    ----------
    rank_by : shapley, occlusion, occlusion_audio, selected, selected_face ...; default:
        shapley, which finds planted words best, where the run was explained with it, else occlusion
    valence : show these words only; ``q`` counts all that were tested
    stratify_by : compare people of the same gender (or fold, corpus ...) only; ``subject``: with
        themselves
    top : rows
    """
    rank_by = rank_by or usual_measure(run)
    table = attributions(run, [rank_by], stratify_by)
    answer = words.words_by_label(table, rank_by, stratify_by, permutations=permutations, seed=seed)
    rare = int(answer["rare"].sum())
    if valence:
        answer = answer[answer["valence"] == valence].reset_index(drop=True)
    answer = answer.head(top)
    answer.attrs["title"] = (
        f"words that separate the groups most, by {rank_by}{_in(stratify_by)} ({HOW})"
    )
    answer.attrs["notes"] = cautions(run, stratify_by)
    if rare:
        plural = "words have" if rare > 1 else "word has"
        answer.attrs["notes"].append(f"{rare} {plural} fewer than 3 readers in a group: not tested")
    return answer


def words_by_valence(
    run: Path,
    *,
    rank_by: str | None = None,
    stratify_by: str | None = None,
    permutations: PositiveInt = 5000,
    seed: int = 0,
) -> pd.DataFrame:
    """Whether negative, neutral and positive words, each as a whole, separate the groups.

    Parameters
    ----------
    rank_by, stratify_by : as for words-by-label
    """
    rank_by = rank_by or usual_measure(run)
    table = attributions(run, [rank_by], stratify_by)
    answer = words.words_by_valence(
        table, rank_by, stratify_by, permutations=permutations, seed=seed
    )
    answer.attrs["title"] = f"words of each valence, by {rank_by}{_in(stratify_by)} ({HOW})"
    answer.attrs["notes"] = cautions(run, stratify_by)
    return answer


def words_by_encoder(
    run: Path,
    *,
    stratify_by: str | None = None,
    top: PositiveInt = 10,
    permutations: PositiveInt = 5000,
    seed: int = 0,
) -> pd.DataFrame:
    """Which words each encoder's attention selects more often in one group.

    Parameters
    ----------
    stratify_by, top : as for words-by-label
    """
    measures = [name for name in measures_of(run) if name.startswith("selected_")]
    if not measures:
        raise ValueError(f"{run}: no encoder of this run selects steps (sparse attention does)")
    table = attributions(run, measures, stratify_by)
    answer = words.words_by_measure(
        table, measures, stratify_by, permutations=permutations, seed=seed
    )
    answer.insert(0, "encoder", answer.pop("measure").str.removeprefix("selected_"))
    answer = answer.head(top)
    answer.attrs["title"] = (
        f"words that encoders select more often in a group{_in(stratify_by)} ({HOW})"
    )
    answer.attrs["notes"] = cautions(run, stratify_by)
    return answer


def agreement(run: Path, *, stratify_by: str | None = None, seed: int = 0) -> pd.DataFrame:
    """Whether voice and face rank the words alike, and the steps of a person.

    Parameters
    ----------
    stratify_by : as for words-by-label
    """
    here = [name for name in agreements.MODALITIES if name in measures_of(run)]
    answer = agreements.face_and_voice(attributions(run, here, stratify_by), stratify_by, seed=seed)
    answer.attrs["title"] = (
        "rank correlation of voice and face with its 95 % interval over people (words: of their "
        "group effects; steps: of each person's steps, mean of people)"
    )
    return answer


def stability(
    run: Path, *, rank_by: str | None = None, stratify_by: str | None = None, pairs: bool = False
) -> pd.DataFrame:
    """Whether several folds and seeds rank the words alike.

    Parameters
    ----------
    rank_by, stratify_by : as for words-by-label
    pairs : every two models, instead of their mean
    """
    rank_by = rank_by or usual_measure(run)
    answer = agreements.stability(attributions(run, [rank_by], stratify_by), rank_by, stratify_by)
    if not pairs:
        kinds = answer.groupby("compared", sort=False)
        answer = kinds.agg(
            pairs=("words", "size"),
            words=("words", "mean"),
            spearman=("spearman", "mean"),
            lowest=("spearman", "min"),
            highest=("spearman", "max"),
            kendall=("kendall", "mean"),
        ).reset_index()
    answer.attrs["title"] = (
        f"rank correlation of the words' group effects, by {rank_by}, between models"
    )
    return answer


def session(
    run: Path, subject: str, *, session: str | None = None, corpus: str | None = None
) -> pd.DataFrame:
    """What each step of a person contributed, in the order in which it was read.

    Parameters
    ----------
    subject : the person
    session : one of the person's sessions; default: all
    corpus : where several corpora have a person of this name
    """
    here = columns(run, "attributions")
    named = {"subject": subject, "session": session, "corpus": corpus}
    for column, value in named.items():
        if value is not None:
            check_name(run, column, value, "" if column == "subject" else subject)
    asked = {column: value for column, value in named.items() if value is not None}
    means = [name for name in ("y_prob", "score_pred", *measures_of(run)) if name in here]
    mean = "".join(f', avg("{name}") AS "{name}"' for name in means)
    answer = read(
        run,
        "attributions",
        f"SELECT corpus, subject, session, label, step, word, valence, count(*) AS models{mean} "
        f"FROM attributions WHERE {' AND '.join(f'{column} = ?' for column in asked)} "
        "GROUP BY ALL ORDER BY corpus, session, step",
        list(asked.values()),
    )
    if len(corpora := answer["corpus"].unique()) > 1:
        raise ValueError(
            f"{subject} is a person of {' and of '.join(corpora)}: say which, corpus={corpora[0]}"
        )
    if answer.empty:
        raise ValueError(f"{subject} has no session {session} in {corpus}")
    if (answer["models"] == 1).all():
        del answer["models"]
    answer.attrs["title"] = f"steps of {subject}, in order (occlusion > 0 speaks for depression)"
    return answer


def gates(run: Path, *, stratify_by: str | None = None, seed: int = 0) -> pd.DataFrame:
    """How open the gate of each branch of the fusion is, and what the branch says of the groups.

    Parameters
    ----------
    stratify_by : as for words-by-label
    """
    table = with_column(run, read(run, "branches", "FROM branches WHERE present"), stratify_by)
    if table.empty:
        raise ValueError(f"{run}: the fusion of this run has no branches")
    kinds = table.groupby("branch")
    answer = kinds.agg(gate=("gate", "mean"), sessions=("logit", "size"), logit=("logit", "mean"))
    if table["label"].notna().any():
        people = words.in_groups(table, ["logit"], stratify_by)
        matrix = people.pivot_table(index=UNIT, columns="branch", values="logit")
        answer = answer[["gate"]].join(group_effects(matrix, seed=seed).set_index("branch"))
    answer = answer.reset_index()
    answer.attrs["title"] = f"gate and logit of each branch{_in(stratify_by)} ({HOW})"
    answer.attrs["notes"] = cautions(run, stratify_by)
    return answer


def regions(
    run: Path, *, stratify_by: str | None = None, permutations: PositiveInt = 5000, seed: int = 0
) -> pd.DataFrame:
    """Where in face and voice the evidence for depression comes from, in either group.

    Parameters
    ----------
    stratify_by : as for words-by-label
    """
    if not (run / "region_attributions.parquet").is_file():
        raise ValueError(
            f"{run}: regions are not explained: run depmm explain {run} --method grad_cam"
        )
    table = with_column(
        run, read(run, "region_attributions", "FROM region_attributions"), stratify_by
    )
    mapped = table.groupby([*SESSION_KEY, *MODEL_KEY, "modality", "step"])["share"].count() > 0
    table = table.dropna(subset=["share"])
    if table.empty:
        raise ValueError(
            f"{run}: in none of {len(mapped)} maps anything speaks for depression: this model has "
            "no places to compare"
        )
    kinds = table.groupby(["modality", "region"], sort=False)
    answer = kinds.agg(even_map=("area", "mean"), steps=("share", "size"), share=("share", "mean"))
    if table["label"].notna().any():
        people = words.in_groups(table, ["share"], stratify_by)
        matrix = people.pivot_table(index=UNIT, columns=["modality", "region"], values="share")
        found = group_effects(matrix, permutations=permutations, seed=seed)
        answer = answer.join(found.set_index(["modality", "region"]))
    answer = answer.reset_index()
    answer.attrs["title"] = (
        f"share of the Grad-CAM map that lies in each place{_in(stratify_by)}; even_map: of a map "
        f"without any preference ({HOW})"
    )
    answer.attrs["notes"] = cautions(run, stratify_by)
    if not mapped.all():
        answer.attrs["notes"].append(
            f"{(~mapped).sum()} of {len(mapped)} maps of steps are left out: nothing in them "
            "speaks for depression"
        )
    return answer


def misclassified(run: Path, *, top: PositiveInt = 10, words: PositiveInt = 3) -> pd.DataFrame:
    """Who is predicted on the other group's side, and the words that made it so.

    Parameters
    ----------
    top : sessions, furthest from the threshold first
    words : of each session
    """
    steps = attributions(run, ["occlusion"], None)
    predictions = read(run, "predictions", "FROM predictions")
    answer = unlike.misclassified(steps, predictions, top, words)
    answer.attrs["title"] = (
        "sessions on the other group's side, with the words furthest from the mean of the others "
        "of their group"
    )
    if answer.empty:
        answer.attrs["notes"] = ["every session is on the side of its own group"]
    return answer


def _in(stratify_by: str | None) -> str:
    return f" within {stratify_by}" if stratify_by else ""
