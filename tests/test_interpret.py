"""interpretation: recording changes nothing, occlusion is an intervention, words are tested."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from depmm.config import load_config
from depmm.data.batch import collate
from depmm.data.task import TaskData, load_task
from depmm.interpret.attention import record_selection
from depmm.interpret.explain import explain_sessions
from depmm.interpret.saliency import occlude_steps
from depmm.interpret.words import words_by_group
from depmm.models.model import DepressionModel, build_model
from depmm.models.sparse_attention import selected_queries

MEAN_POOL = "model.fusion={kind: mean_pool, dropout: 0.0}"


def untrained(corpus, *overrides: str) -> tuple[DepressionModel, TaskData]:
    config = load_config(corpus.config, list(overrides))
    torch.manual_seed(0)
    return build_model(config.model).eval(), load_task(config)


def batch_of(data: TaskData, numbers: list[int]) -> dict[str, torch.Tensor]:
    batch = collate([data.dataset[None, number] for number in numbers])
    del batch["number"]
    return batch


def encoded(model: DepressionModel, data: TaskData, numbers: list[int]):
    return model.encode(**batch_of(data, numbers))


def readings(
    values: dict[str, list[float]], labels: list[int], valence: str = "neutral"
) -> pd.DataFrame:
    """One row for each person and word, of ``values[word][person]``."""
    return pd.DataFrame(
        [
            ("c", f"p{person}", labels[person], word, valence, value)
            for word, column in values.items()
            for person, value in enumerate(column)
        ],
        columns=["corpus", "subject", "y_true", "word", "valence", "contribution"],
    )


# ---- one session -------------------------------------------------------------------------------


@torch.no_grad()
def test_recording_changes_nothing_and_leaves_nothing(corpus):
    model, data = untrained(corpus)
    batch = batch_of(data, [0, 1, 2])
    before = model(**batch).logits
    hooked = []
    table = record_selection(model, *encoded(model, data, [0, 1, 2]))
    for module in model.modules():
        hooked += module._forward_hooks.values()
    assert hooked == []
    assert torch.equal(model(**batch).logits, before)
    assert table.columns.tolist() == ["row", "step", "encoder", "selected"]
    assert len(table) == 3 * 4 * 3
    assert set(table["encoder"]) == {"audio", "face", "multimodal"}
    share = table.groupby(["row", "encoder"])["selected"].sum()
    assert share.tolist() == [selected_queries(4, factor=1)] * 9  # each head selects as many
    mean_pool, _ = untrained(corpus, MEAN_POOL)
    assert record_selection(mean_pool, *encoded(mean_pool, data, [0])).empty


@torch.no_grad()
@pytest.mark.parametrize("center", ["true", "false"])
def test_occlusion_is_the_difference_of_two_passes(corpus, center):
    model, data = untrained(corpus, f"model.center_steps={center}")
    table = occlude_steps(model, *encoded(model, data, [3, 1, 4]))
    assert sorted(table[["row", "step"]].to_numpy().tolist()) == [
        [row, step] for row in range(3) for step in range(4)
    ]
    for row_of_batch, number, step in ((1, 1, 0), (2, 4, 2)):
        batch = batch_of(data, [number])
        full = model(**batch).logits.item()
        features, masks = model.encode(**batch)
        for name, x in features.items():
            others = [i for i in range(4) if i != step and masks[name][0, i]]
            x[0, step] = x[0, others].mean(dim=0)
        by_hand = full - model.fuse(features, masks)[0].item()
        row = table[(table["row"] == row_of_batch) & (table["step"] == step)]
        assert row["contribution"].item() == pytest.approx(by_hand, abs=1e-6)
    assert table["contribution"].abs().min() > 1e-5


@torch.no_grad()
def test_the_only_step_cannot_be_replaced(corpus):
    model, data = untrained(corpus)
    read = type(data.dataset).__getitem__

    class OneStep(type(data.dataset)):
        def __getitem__(self, place):
            item = read(self, place)
            empty = [[array[:0] for array in signals[1:]] for signals in (item.audio, item.face)]
            return type(item)(item.number, item.audio[:1] + empty[0], item.face[:1] + empty[1])

    data.dataset.__class__ = OneStep
    assert occlude_steps(model, *encoded(model, data, [0, 1])).empty
    assert record_selection(model, *encoded(model, data, [0]))["step"].unique().tolist() == [0]


def test_explained_sessions_carry_words(corpus):
    model, data = untrained(corpus)
    steps = corpus.manifest.steps
    table = explain_sessions(model, data, steps, "test")
    tested = data.sessions[data.sessions["split"] == "test"]
    assert len(table) == 4 * len(tested)
    joined = table.merge(steps, on=["corpus", "subject", "session", "step"], validate="1:1")
    assert (joined["word"] == joined["text"]).all()
    assert (joined["valence_x"] == joined["valence_y"]).all()
    assert (table["selected"] == table["selected_multimodal"]).all()
    assert table.drop_duplicates("session")["y_true"].tolist() == tested["target"].tolist()
    with pytest.raises(ValueError, match=r"no session is in split 'tset': choose train"):
        explain_sessions(model, data, steps, "tset")


# ---- words -------------------------------------------------------------------------------------


def test_effect_by_hand():
    table = words_by_group(
        readings({"grief": [3.0, 5.0, 7.0, 1.0, 2.0, 3.0]}, [1, 1, 1, 0, 0, 0]), permutations=5000
    )
    row = table.iloc[0]
    # means 5 and 2, variances 4 and 1, pooled deviation sqrt(2.5)
    assert row["effect"] == pytest.approx(3 / np.sqrt(2.5))
    assert (row["mean_positive"], row["mean_negative"]) == (5, 2)
    assert (row["n_positive"], row["n_negative"]) == (3, 3)
    # of 20 labellings: itself, the one with both 3s exchanged, and their mirrors
    assert row["p"] == pytest.approx(4 / 20, abs=0.02)
    assert row["q"] == row["p"]


def test_a_word_read_twice_counts_once():
    once = readings({"grief": [3.0, 5.0, 7.0, 1.0, 2.0, 3.0]}, [1, 1, 1, 0, 0, 0])
    twice = pd.concat([once.assign(contribution=once["contribution"] + d) for d in (-1, 1)])
    pd.testing.assert_frame_equal(words_by_group(twice), words_by_group(once))


def test_words_that_some_did_not_read():
    nan = float("nan")
    labels = [1, 1, 1, 0, 0, 0]
    values = {
        "joy": [1.0, 2.0, 4.0, 7.0, 9.0, 8.0],
        "rare": [1.0, nan, nan, 3.0, 4.0, nan],  # one reader in a group
        "constant": [0.1] * 6,
    }
    table = words_by_group(readings(values, labels)).set_index("word")
    assert table.index[0] == "joy"
    assert table.loc["rare", ["n_positive", "n_negative"]].tolist() == [1, 2]
    assert table.loc[["rare", "constant"], ["effect", "p", "q"]].isna().all(axis=None)
    assert table.loc["joy", "q"] == table.loc["joy", "p"]  # the only word that was tested


def test_p_counts_only_labellings_that_say_something():
    nan = float("nan")
    few = [5.0, 6.0, nan, nan, nan, 1.0, 2.0, nan, nan, nan]
    table = readings({"few": few, "all": list(range(10))}, [1] * 5 + [0] * 5)
    p = words_by_group(table, permutations=4000).set_index("word")["p"]
    assert p["few"] == pytest.approx(2 / 6, abs=0.04)  # 2 of the 6 ways to halve four readers


def test_perfect_separation_is_not_overlooked():
    """Shares of few heads are often equal: then nobody differs within a group."""
    mixed = readings({"w": [1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0]}, [1] * 4 + [0] * 4)
    # labellings with as large an effect have 3 or 4 ones on a side: (16 + 16 + 1 + 1) of 70
    assert words_by_group(mixed)["p"].item() == pytest.approx(34 / 70, abs=0.03)
    parted = words_by_group(readings({"w": [1.0] * 4 + [0.0] * 4}, [1] * 4 + [0] * 4))
    assert parted["effect"].item() == np.inf
    assert parted["p"].item() == pytest.approx(2 / 70, abs=0.01)


def test_large_values_do_not_drown_the_effect():
    values = [3.0, 5.0, 7.0, 1.0, 2.0, 3.0]
    labels = [1, 1, 1, 0, 0, 0]
    near, far = (
        words_by_group(readings({"w": [v * 1e-4 + shift for v in values]}, labels)).iloc[0]
        for shift in (0.0, 1e4)
    )
    assert far["effect"] == pytest.approx(near["effect"], rel=1e-3)
    assert far["p"] == near["p"]


def test_planted_word_comes_first():
    rng = np.random.default_rng(0)
    labels = [1, 0] * 12
    words = {f"word{n}": rng.normal(size=24) for n in range(30)}
    words["grief"] = rng.normal(size=24) + 2.5 * np.array(labels)
    table = words_by_group(readings(words, labels, "negative"))
    assert table.loc[0, ["word", "valence"]].tolist() == ["grief", "negative"]
    assert table["q"][0] < 0.01
    assert (table["q"][1:] > 0.05).all()
    assert table["effect"].abs().is_monotonic_decreasing


def test_p_is_uniform_when_nothing_differs():
    rng = np.random.default_rng(1)
    words = {f"word{n}": rng.normal(size=24) for n in range(400)}
    p = words_by_group(readings(words, [1, 0] * 12), permutations=1000)["p"]
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.03)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_true": 1}, r"all 4 people are of one group: .*Explain sessions of both"),
        ({"word": None}, r"no step has a word: .*steps carry text"),
        ({"y_true": [3.0, 40.0, 12.0, 1.0]}, r"scores, not the groups 0 and 1: .*task.kind binary"),
    ],
)
def test_questions_that_cannot_be_answered(change, message):
    table = readings({"joy": [1.0, 2.0, 3.0, 4.0]}, [1, 0, 1, 0]).assign(**change)
    with pytest.raises(ValueError, match=message):
        words_by_group(table)
