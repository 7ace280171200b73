"""Which words act differently in the two groups: effect, permutation test, false discovery rate.

People are compared, never steps or sessions: what a person has of a word is the mean over readings,
sessions, folds and seeds, so that a cross-validation with five seeds has no more people than one.

What differs between women and men looks like an effect of the group where more women are depressed.
``stratify_by`` names a column of people (gender, fold, corpus) and compares them with others of the
same value only; people of a value that one group alone has are left out.
``stratify_by="subject"`` is for people who have sessions of both groups: each is compared with
themselves.
"""

from collections.abc import Sequence

import pandas as pd

from depmm.corpora.manifest import SUBJECT_KEY
from depmm.errors import did_you_mean
from depmm.interpret.query.group_effects import UNIT, group_effects, observed


def words_by_label(
    attributions: pd.DataFrame,
    measure: str = "occlusion",
    stratify_by: str | None = None,
    **test: int,
) -> pd.DataFrame:
    """Rank words by how differently they act in the two groups.

    Parameters
    ----------
    attributions : one row a step that was read: corpus, subject, ``group`` (0 or 1), ``word``,
        ``valence`` and the measure; several models' rows below each other
    measure : column that is compared, e.g. ``occlusion``, ``selected``, ``selected_face``
    stratify_by : column whose values people share with those they are compared with
    test : permutations, draws, confidence and seed, see ``effects.group_effects``

    Returns
    -------
    one row a word, strongest effect first, equal ones by name, rare words last: ``word``,
    ``valence`` and what ``effects.group_effects`` finds (effect with interval, p, q, rare: fewer
    than three readers in a group, not tested). Where there is a column ``selected`` beside another
    measure, also ``selected_difference`` and ``selected_effect``: of how often the word is selected

    Raises
    ------
    ValueError : no words, an unknown column, people of one group only, scores instead of groups, a
        person with sessions of both groups (but ``stratify_by="subject"``) or with two values of
        ``stratify_by``
    """
    rows = readings(attributions, [measure], stratify_by)
    matrix = rows.pivot_table(index=UNIT, columns="word", values=measure)
    table = group_effects(matrix, **test)
    table.insert(1, "valence", _valences(rows, table["word"]))
    if measure != "selected" and "selected" in rows:
        rates = rows.pivot_table(index=UNIT, columns="word", values="selected")
        rates = rates.reindex(index=matrix.index, columns=table["word"])
        found = observed(rates)
        table["selected_difference"], table["selected_effect"] = found.difference, found.effect
    return table


def words_by_valence(
    attributions: pd.DataFrame,
    measure: str = "occlusion",
    stratify_by: str | None = None,
    **test: int,
) -> pd.DataFrame:
    """Compare the groups on the negative, the neutral and the positive words as a whole.

    What a person has of a valence is the mean over the words of it that the person read, each word
    once.

    Parameters
    ----------
    attributions, measure, stratify_by, test : see ``words_by_label``

    Returns
    -------
    as ``words_by_label``, one row a ``valence``, with ``words``: how many have it

    Raises
    ------
    ValueError : no word has a valence, or as ``words_by_label``
    """
    rows = readings(attributions, [measure], stratify_by).dropna(subset=["valence"])
    if rows.empty:
        raise ValueError(
            "no word has a valence: name a word list under words: in the data spec, index the "
            "corpus and explain the run again"
        )
    words = rows.groupby([*UNIT, "valence", "word"])[measure].mean().reset_index()
    table = group_effects(words.pivot_table(index=UNIT, columns="valence", values=measure), **test)
    count = words.groupby("valence")["word"].nunique()
    table.insert(1, "words", count[table["valence"]].to_numpy())
    return table


def words_by_measure(
    attributions: pd.DataFrame, measures: Sequence[str], stratify_by: str | None = None, **test: int
) -> pd.DataFrame:
    """Rank words by each of several measures: what each encoder selects, each modality contributes.

    Parameters
    ----------
    measures : columns; all of their words are corrected together (``q``)
    attributions, stratify_by, test : see ``words_by_label``

    Returns
    -------
    as ``words_by_label``, one row a ``measure`` and ``word``
    """
    table = group_effects(measured(readings(attributions, measures, stratify_by), measures), **test)
    table.insert(2, "valence", _valences(attributions, table["word"]))
    return table


def measured(rows: pd.DataFrame, measures: Sequence[str]) -> pd.DataFrame:
    """People by (measure, word), the mean over readings; ``rows`` come from ``readings``."""
    long = rows.melt([*UNIT, "word"], list(measures), var_name="measure", value_name="value")
    return long.pivot_table(index=UNIT, columns=["measure", "word"], values="value")


def readings(
    attributions: pd.DataFrame, measures: Sequence[str], stratify_by: str | None = None
) -> pd.DataFrame:
    """Keep the rows with a word and a group, each with the ``stratum`` of its person.

    Raises
    ------
    ValueError : see ``words_by_label``
    """
    if not attributions["word"].notna().any():
        raise ValueError(
            "no step has a word: this question needs a corpus whose steps carry text "
            "(steps.parquet)"
        )
    return in_groups(attributions.dropna(subset=["word"]), measures, stratify_by)


def in_groups(
    table: pd.DataFrame, measures: Sequence[str], stratify_by: str | None = None
) -> pd.DataFrame:
    """Keep the rows of people who can be compared, each with its ``stratum``.

    Parameters
    ----------
    table : corpus, subject, ``group``, the measures and ``stratify_by``

    Raises
    ------
    ValueError : see ``words_by_label``
    """
    for column in (*measures, *([stratify_by] if stratify_by else [])):
        if column not in table:
            raise ValueError(f"{column!r} is no column. {did_you_mean(column, table.columns)}")
        if not table[column].notna().any():
            raise ValueError(f"no row has a value of {column}: the run was not explained by it")
    rows = table.dropna(subset=["label"])
    if rows.empty or not rows["label"].isin([0, 1]).all():
        raise ValueError(
            "there are scores, not the groups 0 and 1: ask this of a run with target.kind binary"
        )
    rows = rows.assign(label=rows["label"].astype(int), stratum=_stratum(rows, stratify_by))
    people = rows[UNIT].drop_duplicates()
    if people["label"].nunique() < 2:
        raise ValueError(
            f"all {len(people)} people are of one group: words cannot separate groups. Explain "
            "sessions of both groups."
        )
    if stratify_by != "subject":
        _one_row_each(people, stratify_by)
    both = people.groupby("stratum")["label"].nunique() == 2
    if not both.any() and stratify_by == "subject":
        raise ValueError(
            "stratify_by=subject compares people with themselves, and nobody has sessions of both "
            "groups: leave it out"
        )
    if not both.any():
        raise ValueError(
            f"no two people of different groups have the same {stratify_by}: nobody can be "
            f"compared within it. Without stratify_by={stratify_by} an effect of one cannot "
            "be told from the other's."
        )
    return rows[rows["stratum"].map(both)]


def _stratum(rows: pd.DataFrame, stratify_by: str | None) -> pd.Series:
    if stratify_by is None:
        return pd.Series("all", rows.index)
    if stratify_by == "subject":
        return rows["corpus"].astype(str) + "/" + rows["subject"].astype(str)
    return rows[stratify_by].astype(object).fillna("unknown").astype(str)


def _one_row_each(people: pd.DataFrame, stratify_by: str | None) -> None:
    again = people[people.duplicated(SUBJECT_KEY)]
    if again.empty:
        return
    corpus, subject = again[SUBJECT_KEY].iloc[0]
    own = people[(people["corpus"] == corpus) & (people["subject"] == subject)]
    if len(set(own["label"])) > 1:
        raise ValueError(
            f"{subject} has sessions of both groups: compare people with themselves "
            "(stratify_by=subject)"
        )
    raise ValueError(
        f"{subject} has several values of {stratify_by} ({', '.join(own['stratum'])}): take a "
        "column with one value a person"
    )


def _valences(rows: pd.DataFrame, words: pd.Series) -> pd.Series:
    """Valence of each word; null where it has none, the first where it has several."""
    return words.map(rows.groupby("word")["valence"].first())
