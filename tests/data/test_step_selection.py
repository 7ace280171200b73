"""Selection of steps, and numbers of steps that a model does not allow."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from session_data import tiny_config

from depmm.config import ExtractConfig
from depmm.corpora.manifest import read_manifest, write_manifest
from depmm.data.errors import DataError
from depmm.data.experiment_data import load_experiment_data
from depmm.schemas.manifest import SESSION_KEY
from depmm.store.errors import StoreError
from depmm.store.extract import extract


def test_only_steps_of_the_valence_are_read(corpus):
    config = tiny_config(corpus, "data.steps={valence: [negative]}")
    whole, part = load_experiment_data(tiny_config(corpus)), load_experiment_data(config)
    assert part.sessions[SESSION_KEY].equals(whole.sessions[SESSION_KEY])
    assert part.sessions["valence"].tolist() == ["negative"] * 12
    for index, key in enumerate(part.dataset.session_keys):
        steps = corpus.manifest.steps.set_index(SESSION_KEY).loc[key]
        negative = (steps["valence"] == "negative").tolist()
        assert part.sessions["n_steps"][index] == sum(negative) < len(negative)
        complete, item = whole.dataset[None, index], part.dataset[None, index]
        for step, selected in enumerate(negative):
            if selected:
                np.testing.assert_array_equal(
                    item.signals["audio"][step], complete.signals["audio"][step]
                )
                np.testing.assert_array_equal(
                    item.signals["face"][step], complete.signals["face"][step]
                )
            assert len(item.signals["audio"][step]) > 0 or not selected
            assert (
                bool(len(item.signals["audio"][step]) or len(item.signals["face"][step]))
                == selected
            )


def test_only_the_first_steps_are_positions_of_the_model(corpus):
    whole = load_experiment_data(tiny_config(corpus))
    for steps, kept in (("{first: 3}", None), ("{first: 3, valence: [negative]}", "negative")):
        config = tiny_config(corpus, f"data.steps={steps}", "data.max_steps=3")
        part = load_experiment_data(config)
        for index, key in enumerate(part.dataset.session_keys):
            valence = corpus.manifest.steps.set_index(SESSION_KEY).loc[key]["valence"][:3]
            read = [kept in (None, name) for name in valence]
            item, complete = part.dataset[None, index], whole.dataset[None, index]
            assert (
                len(item.signals["audio"])
                == len(item.signals["face"])
                == 3
                < len(complete.signals["audio"])
            )
            for step, is_read in enumerate(read):
                assert (
                    len(item.signals["audio"][step])
                    == len(complete.signals["audio"][step]) * is_read
                )
            assert part.sessions["n_steps"][index] == sum(read)
        if kept is None:  # a later step does not matter
            assert part.sessions["n_steps"].tolist() == [3] * 12
    assert len(part.dataset[0, 0].signals["audio"]) == 3


def test_a_model_of_fixed_length_reads_the_first_steps(corpus):
    for first, fits in ((None, False), (2, False), (3, True), (9, False)):
        config = tiny_config(
            corpus, f"data.steps.first={first or 'null'}", "model.fusion.num_steps=3"
        )
        if fits:
            load_experiment_data(config)
            continue
        with pytest.raises(DataError) as info:
            load_experiment_data(config)
        assert info.value.value == (2 if first == 2 else 4)


@pytest.mark.parametrize("kind", ["dep_former", "dep_former_release"])
def test_a_remedy_for_another_number_of_steps_can_be_followed(corpus, kind):
    fusion = f"model.fusion={{kind: {kind}, num_steps: 7}}"
    with pytest.raises(DataError) as info:
        load_experiment_data(tiny_config(corpus, fusion))
    assert (info.value.setting, info.value.value) == ("model.fusion.num_steps", 4)
    assert ("model.fusion.kind dep_former " in info.value.remedy) == (kind != "dep_former")
    any_number = "model.fusion={kind: dep_former, num_steps: null}"
    load_experiment_data(tiny_config(corpus, fusion, any_number))


def test_augmentation_keeps_only_selected_steps(corpus):
    config = tiny_config(
        corpus, "data.steps={valence: [negative, neutral]}", "data.augment={keep_steps: 0.3}"
    )
    data = load_experiment_data(config).dataset
    valence = corpus.manifest.steps.set_index(SESSION_KEY).loc[data.session_keys[0]]["valence"]
    masks = {
        tuple(len(sound) > 0 for sound in data[epoch, 0].signals["audio"] or [])
        for epoch in range(40)
    }
    assert len(masks) > 1
    assert all(any(mask) for mask in masks)
    for mask in masks:
        assert not any(np.array(mask) & (valence == "positive").to_numpy())


def test_sessions_without_the_steps_are_excluded_and_counted(corpus, tmp_path):
    shutil.copytree(corpus.folder, tmp_path / "manifest")
    manifest = read_manifest(corpus.folder)
    steps = manifest.steps.assign(task="reading")
    first = (steps[SESSION_KEY] == steps[SESSION_KEY].iloc[0]).all(axis=1)
    steps.loc[first, "task"] = None
    write_manifest(replace(manifest, steps=steps), tmp_path / "manifest")
    config = tiny_config(
        corpus, f"data.manifest={tmp_path / 'manifest'}", "data.steps={task: [reading]}"
    )
    data = load_experiment_data(config)
    assert len(data.sessions) == len(data.dataset) == 11
    assert data.excluded == {"no audio or face in the steps of data.steps": 1}
    assert data.dataset.session_keys[0] != tuple(steps.loc[0, SESSION_KEY])

    write_manifest(replace(manifest, steps=steps.drop(index=7)), tmp_path / "manifest")
    with pytest.raises(StoreError, match="Run depmm extract again") as info:
        load_experiment_data(config)
    assert info.value.session == steps["session"][7]


def test_the_mean_of_a_single_step_cannot_be_subtracted(corpus, tmp_path):
    config = tiny_config(corpus, "model.subtract_session_mean=true")
    load_experiment_data(config)
    valence = corpus.manifest.steps["valence"].value_counts().idxmin()  # one word of four
    with pytest.raises(DataError) as info:
        load_experiment_data(
            tiny_config(
                corpus, "model.subtract_session_mean=true", f"data.steps={{valence: [{valence}]}}"
            )
        )
    assert (info.value.setting, info.value.value) == ("model.subtract_session_mean", 1)
    steps = corpus.manifest.steps.copy()
    of_one = (steps["subject"] == "S003") & (steps["step"] > 0)
    steps.loc[of_one, "audio"] = None  # one step with sound remains
    manifest = replace(corpus.manifest, steps=steps)
    write_manifest(manifest, tmp_path / "manifest")
    extract(manifest, corpus.recordings, tmp_path / "store", ExtractConfig(), workers=0)
    places = [f"data.{name}={tmp_path / name}" for name in ("manifest", "store")]
    with pytest.raises(DataError) as info:
        load_experiment_data(
            tiny_config(
                corpus,
                "model.subtract_session_mean=true",
                *places,
                "data.modalities=[audio]",
                "model.encoders.face=null",
                "model.fusion={kind: gru_attention}",
            )
        )
    assert (info.value.setting, info.value.subject) == ("model.subtract_session_mean", "S003")
