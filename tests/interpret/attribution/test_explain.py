"""Tables of explained sessions: keys, words, schemas and values; the public function."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from untrained_models import build_untrained, encode_sessions

from depmm import train
from depmm.config import dump_config, load_config
from depmm.corpora.manifest import write_manifest
from depmm.corpora.splits import write_split
from depmm.evaluation.batch_prediction import predict_sessions
from depmm.interpret.attribution.explain import explain
from depmm.interpret.attribution.explain_sessions import COMPUTE, explain_sessions
from depmm.interpret.attribution.methods import (
    GRAD_CAM,
    ON_REQUEST,
    REQUESTABLE,
    SIGNAL_METHODS,
    STEP_METHODS,
)
from depmm.interpret.errors import ExplanationError
from depmm.models.fusion.dep_former.query_selection import count_selected_queries
from depmm.runs.step_reference import StepReference, load_step_reference
from depmm.schemas.explanations import (
    CLASSICAL_TABLES,
    EXPLANATIONS,
    PREDICTION_KEY,
    TRAINING_WORD,
)

MEAN_POOL = "model.fusion={kind: mean_pool, dropout: 0.0}"
UNIMODAL = ("data.modalities=[audio]", "model.encoders.face=null")
KEY = [column.name for column in PREDICTION_KEY]


def explain_untrained(
    corpus, *overrides: str, split: str = "test", methods: tuple[str, ...] = ()
) -> dict[str, pd.DataFrame]:
    """All tables of an untrained model."""
    model, data = build_untrained(corpus, *overrides)
    steps = corpus.manifest.steps
    batches = list(explain_sessions(model, data, steps, split, fold=3, seed=7, methods=methods))
    return {name: pd.concat([batch[name] for batch in batches]) for name in batches[0]}


@pytest.fixture(scope="module")
def tables(corpus) -> dict[str, pd.DataFrame]:
    return explain_untrained(corpus)


def test_tables_have_keys_and_words(corpus, tables):
    _, data = build_untrained(corpus)
    tested = data.sessions[data.sessions["split"] == "test"]
    assert list(tables) == [
        *("attributions", "session_attributions", "modalities", "branches", "attention")
    ]
    for table in tables.values():
        assert table.columns.tolist()[: len(KEY)] == KEY
        assert table["session"].drop_duplicates().tolist() == tested["session"].tolist()
        assert (table["fold"] == 3).all()
        assert (table["seed"] == 7).all()
        labels = table.drop_duplicates("session")["label"]
        assert labels.dtype == "Int8"
        assert labels.tolist() == tested["target"].tolist()
    attributions = tables["attributions"]
    assert attributions.columns.tolist()[len(KEY) :] == [
        *("y_prob", "step", "word", "valence", "reference"),
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
    assert tables["modalities"]["modality"].tolist() == ["audio", "face"] * len(tested)


def test_a_run_with_the_first_steps_is_trained_and_explained(corpus, tmp_path):
    run = train(corpus.config, [f"out={tmp_path}", "name=first", "data.steps.first=3"])
    explain(run, methods=["permutation", "integrated_gradients", "shapley"])
    attributions = pd.read_parquet(run / "attributions.parquet")
    assert set(attributions.groupby("session")["step"].apply(tuple)) == {(0, 1, 2)}
    assert (attributions["reference"] == TRAINING_WORD).any()
    assert attributions[["occlusion", "shapley"]].notna().all().all()


@pytest.mark.parametrize(
    "overrides", [(), (*UNIMODAL, MEAN_POOL, "target={kind: severity, column: score}")]
)
def test_tables_fit_their_schemas(corpus, overrides):
    methods = tuple(method.name for method in ON_REQUEST)
    methods = methods if overrides else (*methods, *SIGNAL_METHODS)
    tables = explain_untrained(corpus, *overrides, methods=methods)
    assert len(tables) == (5 if overrides else len(EXPLANATIONS) - len(CLASSICAL_TABLES))
    for name, table in tables.items():
        schema = EXPLANATIONS[name]
        schema.check(table)
        required = [column.name for column in schema.columns if column.name in table]
        assert [column for column in table if column in schema.names] == required


def test_methods_are_named_once():
    assert list(COMPUTE) == [method.name for method in ON_REQUEST]
    assert {*REQUESTABLE, "occlusion"} == {
        *(method.name for method in STEP_METHODS),
        *SIGNAL_METHODS,
    }


def test_requested_methods_are_compared_with_attention(corpus):
    areas = explain_untrained(corpus, methods=("integrated_gradients",))["faithfulness"]
    assert areas["method"].unique().tolist() == [
        *("occlusion", "selected", "integrated_gradients", "random"),
    ]
    assert (areas.groupby("session")["order"].max() == 39).all()
    assert areas.groupby("session")["logit"].agg(np.ptp).max() == 0


def test_regions_of_aligned_faces_are_thirds(corpus):
    _, data = build_untrained(corpus)
    tables = explain_untrained(corpus, methods=(GRAD_CAM,))
    assert "faithfulness" not in tables  # no method of steps was requested
    table = tables["region_attributions"]
    assert table["region"].unique().tolist() == ["upper_third", "middle_third", "lower_third"]
    assert len(table) == 3 * 4 * len(data.indices("test"))
    positive = table[table["peak"] > 0]
    assert len(positive) > 0
    sums = positive.groupby(["session", "step"])["share"].sum()
    np.testing.assert_allclose(sums, 1, atol=1e-5)
    assert table.loc[table["peak"] == 0, "share"].isna().all()


def test_selected_is_the_share_of_heads_of_the_first_layer(tables):
    attention, attributions = tables["attention"], tables["attributions"]
    for encoder in ("multimodal", "audio", "face"):
        in_encoder = attention["encoder"] == encoder
        first = attention[in_encoder & (attention["block"] == 0) & (attention["layer"] == 0)]
        share = first.groupby(["session", "step"], sort=False)["selected"].mean()
        assert attributions[f"selected_{encoder}"].tolist() == share.tolist()
        assert share.groupby("session").sum().tolist() == [count_selected_queries(4, 1)] * 4
    assert attributions["selected"].equals(attributions["selected_multimodal"])


def test_probability_in_the_table_is_the_prediction(corpus, tables):
    model, data = build_untrained(corpus)
    predicted = predict_sessions(model, data.dataset, data.indices("test"), batch_size=3)[
        "prediction"
    ]
    explained = tables["attributions"].drop_duplicates("session")["y_prob"]
    np.testing.assert_allclose(explained, predicted, atol=1e-5)


def test_scores_have_no_label_and_mean_pooling_has_no_attention(corpus):
    tables = explain_untrained(
        corpus, MEAN_POOL, *UNIMODAL, "target={kind: severity, column: score}"
    )
    assert list(tables) == ["attributions", "session_attributions", "modalities", "branches"]
    table = tables["attributions"]
    assert table.columns.tolist()[len(KEY) :] == [
        *("score_pred", "step", "word", "valence", "reference"),
        *("occlusion", "occlusion_audio"),
    ]
    assert table["label"].isna().all()
    assert table["score_pred"].between(0, 63).all()


@pytest.mark.parametrize(
    ("kind", "output"),
    [
        ("binary", "number"),
        ("binary", "classes"),
        ("severity", "linear"),
        ("severity", "classes"),
        ("levels", "ordinal"),
    ],
)
def test_models_of_every_head_are_explained(corpus, kind, output):
    column = "label" if kind == "binary" else "score"
    target = f"target={{kind: {kind}, column: {column}, output: {output}}}"
    overrides = (MEAN_POOL, *UNIMODAL, target)
    table = explain_untrained(corpus, *overrides, methods=tuple(COMPUTE))["attributions"]
    model, data = build_untrained(corpus, *overrides)
    predicted = predict_sessions(model, data.dataset, data.indices("test"), 8)["prediction"]
    column = "y_prob" if kind == "binary" else "score_pred"
    explained = table.drop_duplicates("session")[column]
    np.testing.assert_allclose(explained, predicted, rtol=0, atol=1e-5)
    assert table[list(COMPUTE)].notna().all(axis=None)


def test_unknown_method_and_split_are_rejected(corpus):
    with pytest.raises(ExplanationError) as info:
        explain_untrained(corpus, methods=("gradcam",))
    assert (info.value.setting, info.value.value) == ("method", "gradcam")
    with pytest.raises(ExplanationError) as info:
        explain_untrained(corpus, split="tset")
    assert (info.value.setting, info.value.value) == ("split", "tset")
    with pytest.raises(ExplanationError) as info:
        explain("run", reference="people")
    assert (info.value.setting, info.value.value) == ("reference", "people")


@pytest.fixture
def run(corpus, tmp_path):
    """A run folder with an untrained model."""
    model, data = build_untrained(corpus)
    model.save_pretrained(tmp_path)
    write_split(
        data.sessions[["corpus", "subject", "split"]].drop_duplicates(), tmp_path / "split.csv"
    )
    config = load_config(corpus.config)
    (tmp_path / "config.yaml").write_text(dump_config(config))
    empty = pd.DataFrame(columns=["corpus", "subject", "session", "split", "y_prob"])
    empty.to_parquet(tmp_path / "predictions.parquet")
    return tmp_path


def test_explain_writes_the_tables_of_a_run(run, tables):
    report = explain(str(run), methods=["shapley"], html=True, reference="session")
    assert report.folder == run
    assert list(report.rows) == [
        *("attributions", "session_attributions", "modalities", "branches", "attention"),
        "faithfulness",
    ]
    assert list(report.absent) == ["region_attributions", "region_occlusion"]
    assert report.page == run / "explorer.html"
    assert report.page.is_file()
    for name, rows in report.rows.items():
        assert len(pd.read_parquet(run / f"{name}.parquet")) == rows
    written = pd.read_parquet(run / "attributions.parquet")
    expected = tables["attributions"].reset_index(drop=True)
    np.testing.assert_allclose(written["occlusion"], expected["occlusion"], atol=1e-5)
    assert explain(run, split="validation").page is None
    assert not (run / "faithfulness.parquet").exists()


def test_steps_are_replaced_by_the_stored_means_of_training_subjects(corpus, run):
    """The means are measured once; a run without its training data can be explained with them."""
    explain(run, methods=["shapley", "integrated_gradients"])
    table = pd.read_parquet(run / "attributions.parquet")
    whole = pd.read_parquet(run / "session_attributions.parquet")
    assert table["reference"].unique().tolist() == ["training word"]
    assert whole["reference"].unique().tolist() == ["training"]
    model, data = build_untrained(corpus)
    stored = load_step_reference(run / "step_reference.safetensors", model)
    features, _ = encode_sessions(model, data, data.indices("train"))
    texts = corpus.manifest.steps["text"].unique().tolist()
    assert stored.words == tuple(sorted(texts))
    for name, means in stored.means.items():
        np.testing.assert_allclose(means[-1], features[name].detach().mean(dim=(0, 1)), atol=1e-5)
    sums = table.groupby("session", sort=False)[["shapley", "integrated_gradients"]].sum()
    gap = table.groupby("session", sort=False)["integrated_gradients_gap"].first()
    np.testing.assert_allclose(sums["shapley"], whole["all_steps"], atol=1e-5)
    np.testing.assert_allclose(sums["integrated_gradients"] - gap, whole["all_steps"], atol=1e-5)
    changed = StepReference(
        stored.words, stored.n_indices, {name: m + 1 for name, m in stored.means.items()}
    )
    changed.save(run / "step_reference.safetensors")
    explain(run)
    again = pd.read_parquet(run / "session_attributions.parquet")
    np.testing.assert_allclose(again["logit"], whole["logit"], atol=1e-6)
    assert (again["reference_logit"] - whole["reference_logit"]).abs().min() > 1e-4


def test_failed_explanation_keeps_the_previous_tables(run):
    explain(run)
    before = {path: path.read_bytes() for path in run.glob("*.parquet")}
    with pytest.raises(ExplanationError):
        explain(run, methods=["gradcam"])
    assert {path: path.read_bytes() for path in run.glob("*.parquet")} == before


def test_the_results_of_an_earlier_call_are_not_removed_silently(corpus, tmp_path, caplog):
    run = train(corpus.config, [f"out={tmp_path}", "name=twice"])
    explain(run, methods=["shapley"])
    assert (run / "faithfulness.parquet").is_file()
    assert "removed" not in caplog.text
    report = explain(run, methods=["integrated_gradients"])
    assert "by shapley are removed" in caplog.text
    assert "--method shapley" in caplog.text
    assert "shapley" not in pd.read_parquet(run / "attributions.parquet")
    report = explain(run)
    assert report.absent["faithfulness"].startswith("removed, it was of an earlier call: ")


def test_labels_are_those_that_were_tested(corpus, tmp_path):
    """Also if the manifest has other labels now."""
    run = train(corpus.config, [f"out={tmp_path}", "name=labels"])
    sessions = corpus.manifest.sessions
    flipped = sessions.assign(label=1 - sessions["label"], score=63 - sessions["score"])
    write_manifest(replace(corpus.manifest, sessions=flipped), tmp_path / "manifest")
    explain(run, overrides=[f"data.manifest={tmp_path / 'manifest'}"])
    tested = pd.read_parquet(run / "predictions.parquet").set_index("session")["y_true"]
    explained = pd.read_parquet(run / "attributions.parquet").drop_duplicates("session")
    assert len(explained)
    assert explained["label"].tolist() == tested[explained["session"]].tolist()


def test_sessions_that_the_data_no_longer_contain_are_counted(corpus, tmp_path, caplog):
    run = train(corpus.config, [f"out={tmp_path}", "name=lost"])
    predictions = pd.read_parquet(run / "predictions.parquet")
    lost, *kept = predictions.loc[predictions["split"] == "test", "session"]
    rest = f"session != {lost!r}"
    tables = {name: getattr(corpus.manifest, name).query(rest) for name in ("sessions", "steps")}
    write_manifest(replace(corpus.manifest, **tables), tmp_path / "manifest")
    caplog.clear()
    explain(run, overrides=[f"data.manifest={tmp_path / 'manifest'}"])
    explained = pd.read_parquet(run / "attributions.parquet")
    assert set(explained["session"]) == set(kept)
    assert f"1 of {len(kept) + 1} sessions" in caplog.text
    assert lost in caplog.text
    caplog.clear()
    explain(run)
    assert "sessions" not in caplog.text
