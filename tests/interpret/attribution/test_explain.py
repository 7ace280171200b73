"""Interpretation: occlusion is an intervention, rows have names."""

import numpy as np
import pandas as pd
import pytest
import torch

from depmm.config import load_config
from depmm.data.batch import collate
from depmm.data.experiment_data import ExperimentData, load_experiment_data
from depmm.evaluation.batch_prediction import predict_sessions
from depmm.interpret.attribution.explain import explain_sessions
from depmm.interpret.attribution.occlusion import occlude_steps
from depmm.models.fusion.dep_former.sparse_attention import count_selected_queries
from depmm.models.model import DepressionModel, build_model

MEAN_POOL = "model.fusion={kind: mean_pool, dropout: 0.0}"
ROUNDING = 3e-6  # of a difference of two float32 logits, which are below 1


def untrained(corpus, *overrides: str) -> tuple[DepressionModel, ExperimentData]:
    config = load_config(corpus.config, list(overrides))
    torch.manual_seed(0)
    data = load_experiment_data(config)
    return build_model(config.model, config.target.kind, data.score_range).eval(), data


def batch_of(data: ExperimentData, numbers: list[int]) -> dict[str, torch.Tensor]:
    batch = collate([data.dataset[None, number] for number in numbers])
    del batch["index"]
    return batch


def encoded(model: DepressionModel, data: ExperimentData, numbers: list[int]):
    return model.encode(**batch_of(data, numbers))


# ---- one session -------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("center", ["true", "false"])
def test_occlusion_is_the_difference_of_two_passes(corpus, center):
    model, data = untrained(corpus, f"model.subtract_session_mean={center}")
    table = occlude_steps(model, *encoded(model, data, [3, 1, 4]))
    assert sorted(table[["row", "step"]].to_numpy().tolist()) == [
        [row, step] for row in range(3) for step in range(4)
    ]
    columns = {
        "occlusion": ("audio", "face"), "occlusion_audio": ("audio",), "occlusion_face": ("face",)
    }  # fmt: skip
    assert table.columns.tolist() == ["row", "step", *columns]
    for row_of_batch, number, step in ((1, 1, 0), (2, 4, 2)):
        batch = batch_of(data, [number])
        full = model(**batch).logits.item()
        row = table[(table["row"] == row_of_batch) & (table["step"] == step)]
        for column, replaced in columns.items():
            features, masks = model.encode(**batch)
            for name in replaced:
                others = [i for i in range(4) if i != step and masks[name][0, i]]
                features[name][0, step] = features[name][0, others].mean(dim=0)
            by_hand = full - model.fuse(features, masks)[0].item()
            assert row[column].item() == pytest.approx(by_hand, abs=ROUNDING)
    assert table[list(columns)].abs().min().min() > 5 * ROUNDING


@torch.no_grad()
def test_occlusion_of_a_modality_that_is_not_there(corpus):
    model, data = untrained(corpus)
    features, masks = encoded(model, data, [0, 1, 2])
    masks["face"][0] = False
    masks["audio"][1, 2] = False
    masks["face"][2, 1:] = False  # one step with a face: nothing replaces that face
    table = occlude_steps(model, features, masks).set_index(["row", "step"])
    assert len(table) == 3 * 4
    assert table.loc[0, "occlusion_face"].isna().all()
    alone = table.loc[2], table.loc[0]
    for part in alone:
        assert part["occlusion_face"].isna().all()
        np.testing.assert_allclose(part["occlusion"], part["occlusion_audio"], atol=ROUNDING)
    assert table.loc[1, "occlusion_audio"].isna().tolist() == [False, False, True, False]
    both, face = table.loc[(1, 2), ["occlusion", "occlusion_face"]]
    assert both == pytest.approx(face, abs=ROUNDING)
    assert abs(face) > 100 * ROUNDING
    voice = {"audio": features["audio"]}, {"audio": masks["audio"]}
    unimodal, _ = untrained(corpus, "data.modalities=[audio]", "model.encoders.face=null")
    only = occlude_steps(unimodal, *voice)
    assert only.columns.tolist() == ["row", "step", "occlusion", "occlusion_audio"]
    assert only["occlusion"].equals(only["occlusion_audio"])


@torch.no_grad()
def test_the_only_step_cannot_be_replaced(corpus):
    model, data = untrained(corpus)
    features, masks = encoded(model, data, [0, 1])
    features = {name: x[:, :1] for name, x in features.items()}
    assert occlude_steps(model, features, {name: mask[:, :1] for name, mask in masks.items()}).empty


# ---- the sessions of a run ---------------------------------------------------------------------

KEY = ["corpus", "subject", "session", "split", "fold", "seed", "label"]


def explained(corpus, *overrides: str, split: str = "test") -> dict[str, pd.DataFrame]:
    """All tables of an untrained model."""
    model, data = untrained(corpus, *overrides)
    batches = list(explain_sessions(model, data, corpus.manifest.steps, split, fold=3, seed=7))
    return {name: pd.concat([batch[name] for batch in batches]) for name in batches[0]}


@pytest.fixture(scope="module")
def tables(corpus) -> dict[str, pd.DataFrame]:
    return explained(corpus)


def test_explained_sessions_carry_names_and_words(corpus, tables):
    _, data = untrained(corpus)
    tested = data.sessions[data.sessions["split"] == "test"]
    assert list(tables) == ["attention", "attributions", "branches", "modalities"]
    for table in tables.values():
        assert table.columns.tolist()[: len(KEY)] == KEY
        assert table["session"].drop_duplicates().tolist() == tested["session"].tolist()
        assert (table["fold"] == 3).all()
        assert (table["seed"] == 7).all()
        groups = table.drop_duplicates("session")["label"]
        assert groups.dtype == "Int8"
        assert groups.tolist() == tested["target"].tolist()
    attributions = tables["attributions"]
    assert attributions.columns.tolist()[len(KEY) :] == [
        *("y_prob", "step", "word", "valence"),
        *("occlusion", "occlusion_audio", "occlusion_face"),
        *("selected_multimodal", "selected_audio", "selected_face", "selected"),
    ]
    assert len(attributions) == 4 * len(tested)
    steps = ["corpus", "subject", "session", "step"]
    for name in ("attributions", "attention"):
        joined = tables[name].merge(corpus.manifest.steps, on=steps, validate="m:1")
        assert len(joined) == len(tables[name])
        assert (joined["word"] == joined["text"]).all()
        assert (joined["valence_x"] == joined["valence_y"]).all()
    assert tables["attention"].columns.tolist()[len(KEY) :] == [
        *(
            "encoder",
            "stack",
            "layer",
            "head",
            "step",
            "word",
            "valence",
            "selected",
            "shared_selected",
        ),
        *("sparsity", "attention_received", "confidence", "gate"),
    ]
    assert tables["branches"].columns.tolist()[len(KEY) :] == ["branch", "logit", "gate", "present"]
    assert tables["modalities"]["modality"].tolist() == ["audio", "face"] * len(tested)


def test_explanations_asked_for_are_compared_with_attention(corpus):
    model, data = untrained(corpus)
    batches = explain_sessions(
        model, data, corpus.manifest.steps, "test", 0, 0, ["integrated_gradients"]
    )
    areas = pd.concat([batch["faithfulness"] for batch in batches])
    assert areas.columns.tolist() == [
        *KEY, "method", "order", "deletion", "insertion", "logit",
    ]  # fmt: skip
    assert areas["method"].unique().tolist() == [
        *("occlusion", "selected", "integrated_gradients", "random"),
    ]
    assert (areas.groupby("session")["order"].max() == 39).all()
    assert areas.groupby("session")["logit"].agg(np.ptp).max() == 0


def test_places_of_faces_that_came_aligned(corpus):
    model, data = untrained(corpus)
    batches = list(explain_sessions(model, data, corpus.manifest.steps, "test", 0, 0, ["grad_cam"]))
    assert "faithfulness" not in batches[0]  # no explanation of steps was asked for
    table = pd.concat([batch["region_attributions"] for batch in batches])
    assert table.columns.tolist() == [
        *KEY, "step", "word", "valence", "modality", "region", "share", "area", "peak",
    ]  # fmt: skip
    assert table["region"].unique().tolist() == ["upper_third", "middle_third", "lower_third"]
    assert len(table) == 3 * 4 * len(data.indices("test"))
    spoken = table[table["peak"] > 0]
    assert len(spoken) > 0
    sums = spoken.groupby(["session", "step"])["share"].sum()
    np.testing.assert_allclose(sums, 1, atol=1e-5)
    assert table.loc[table["peak"] == 0, "share"].isna().all()


def test_an_unknown_method_is_said(corpus):
    model, data = untrained(corpus)
    with pytest.raises(ValueError, match=r"'gradcam' is unknown. Did you mean 'grad_cam'"):
        next(explain_sessions(model, data, corpus.manifest.steps, "test", 0, 0, ["gradcam"]))


def test_selected_is_the_share_of_heads_of_the_first_layer(tables):
    attention, attributions = tables["attention"], tables["attributions"]
    for encoder in ("multimodal", "audio", "face"):
        of_encoder = attention["encoder"] == encoder
        first = attention[of_encoder & (attention["stack"] == 0) & (attention["layer"] == 0)]
        share = first.groupby(["session", "step"], sort=False)["selected"].mean()
        assert attributions[f"selected_{encoder}"].tolist() == share.tolist()
        assert share.groupby("session").sum().tolist() == [count_selected_queries(4, 1)] * 4
    assert attributions["selected"].equals(attributions["selected_multimodal"])


def test_the_explained_probability_is_the_predicted_one(corpus, tables):
    model, data = untrained(corpus)
    numbers = data.indices("test")
    predicted = predict_sessions(model, data.dataset, numbers, batch_size=3)["prediction"]
    told = tables["attributions"].drop_duplicates("session")["y_prob"]
    np.testing.assert_allclose(told, predicted, atol=1e-5)


def test_scores_have_no_group_and_mean_pooling_no_attention(corpus):
    tables = explained(
        corpus, MEAN_POOL, "data.modalities=[audio]", "model.encoders.face=null",
        "target={kind: severity, column: score}",
    )  # fmt: skip
    assert list(tables) == ["attributions", "modalities"]
    table = tables["attributions"]
    assert table.columns.tolist()[len(KEY) :] == [
        *(
            "score_pred",
            "step",
            "word",
            "valence",
            "occlusion",
            "occlusion_audio",
            "occlusion_face",
        ),
    ]
    assert table["label"].isna().all()
    assert table["score_pred"].between(0, 63).all()
    assert table["occlusion_face"].isna().all()


def test_an_unknown_split_is_said(corpus):
    with pytest.raises(ValueError, match=r"no session is in split 'tset': choose train"):
        explained(corpus, split="tset")
