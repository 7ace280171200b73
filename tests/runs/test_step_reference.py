"""Means of training subjects against means by hand, their fallbacks and their file."""

import numpy as np
import pandas as pd
import pytest
import torch
from untrained_models import build_untrained, encode_sessions

from depmm.data.batch import SessionLoader
from depmm.files.damage import DamagedFileError
from depmm.runs.step_reference import (
    StepReference,
    load_step_reference,
    measure_step_reference,
)
from depmm.schemas.explanations import TRAINING_INDEX, TRAINING_STEPS, TRAINING_WORD


def measure(model, data, batch_size: int = 3) -> StepReference:
    return measure_step_reference(
        model, data, SessionLoader(data.dataset, torch.device("cpu")), batch_size
    )


def test_means_by_hand(corpus):
    """Every subject has the same weight; words of fewer than three subjects have no mean."""
    model, data = build_untrained(corpus)
    train = data.indices("train")
    sessions = data.sessions.iloc[train]
    steps = data.steps.copy()
    first, second = sessions["subject"].iloc[:2]
    chosen = steps["subject"] == first
    # a subject with another word, and one who reads a word twice
    steps.loc[chosen & (steps["step"] == 0), "text"] = "rare"
    repeated = steps.loc[(steps["subject"] == second) & (steps["step"] == 1), "text"].item()
    steps.loc[(steps["subject"] == second) & (steps["step"] == 2), "text"] = repeated
    object.__setattr__(data, "steps", steps)
    reference = measure(model, data)
    assert "rare" not in reference.words
    assert reference.n_indices == 4
    with torch.no_grad():
        features, _ = encode_sessions(model, data, train)
    keyed = sessions[["subject"]].reset_index(drop=True).reset_index(names="row")
    read = keyed.merge(steps, on="subject")
    for name, means in reference.means.items():
        x = features[name].numpy()
        for position, word in enumerate(reference.words):
            rows = read[read["text"] == word]
            values = pd.DataFrame(x[rows["row"], rows["step"]]).groupby(rows["subject"].to_numpy())
            np.testing.assert_allclose(means[position], values.mean().mean(), atol=1e-5)
        np.testing.assert_allclose(means[len(reference.words) :][:4], x.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(means[-1], x.mean(axis=(0, 1)), atol=1e-5)
    one_by_one = measure(model, data, batch_size=1)
    for name, means in one_by_one.means.items():
        np.testing.assert_allclose(means, reference.means[name], atol=1e-5)


def test_steps_behind_the_first_ones_have_no_part(corpus):
    """``data.steps.first`` leaves out the last of four steps: neither its word has a mean."""
    model, data = build_untrained(corpus, "data.steps.first=3")
    reference, all_steps = measure(model, data), measure(*build_untrained(corpus))
    last = data.steps.loc[data.steps["step"] == 3, "text"].unique()
    assert set(reference.words) == set(all_steps.words) - set(last) < set(all_steps.words)
    assert (reference.n_indices, all_steps.n_indices) == (3, 4)
    n_words = len(reference.words)
    for name, means in reference.means.items():
        indices = all_steps.means[name][len(all_steps.words) :]
        torch.testing.assert_close(means[n_words:-1], indices[:3])
        torch.testing.assert_close(means[-1], indices[:3].mean(dim=0))
    four_words = [[*reference.words[:1], None, None, *last[:1]]]
    features, kinds = reference.look_up(four_words, 3)
    assert kinds.tolist() == [[TRAINING_WORD, TRAINING_INDEX, TRAINING_INDEX]]
    assert features["audio"].shape[:2] == (1, 3)


def test_unknown_words_have_the_mean_of_their_index_or_of_all_steps():
    table = torch.arange(5.0)[:, None]
    words = [["b", None, "x"], ["a"]]
    with_index = StepReference(("a", "b"), 2, {"audio": table})
    features, kinds = with_index.look_up(words, 4)
    assert features["audio"][..., 0].tolist() == [[1, 3, 4, 4], [0, 3, 4, 4]]
    assert kinds[0].tolist() == [TRAINING_WORD, TRAINING_INDEX, TRAINING_STEPS, TRAINING_STEPS]
    assert kinds[1, 0] == TRAINING_WORD
    features, kinds = StepReference(("a", "b"), 0, {"audio": table[:3]}).look_up(words, 3)
    assert features["audio"][..., 0].tolist() == [[1, 2, 2], [0, 2, 2]]
    features, kinds = StepReference((), 0, {"audio": table[:1]}).look_up(words, 3)
    assert (kinds == TRAINING_STEPS).all()


def test_the_kind_names_modalities_with_the_mean_of_all_steps():
    table = torch.arange(4.0)[:, None]  # two words, one index, all steps
    few = table.clone()
    few[[0, 2]] = 3.0  # few subjects have the modality in word a and at index 0
    reference = StepReference(("a", "b"), 1, {"audio": table, "eyes": few, "face": few})
    words = [["a", "b", "x"], ["x", "a", "b"]]
    mixed = "eyes, face: training steps"
    _, kinds = reference.look_up(words, 3)
    assert kinds.tolist() == [
        [f"{TRAINING_WORD}; {mixed}", TRAINING_WORD, TRAINING_STEPS],
        [f"{TRAINING_INDEX}; {mixed}", f"{TRAINING_WORD}; {mixed}", TRAINING_WORD],
    ]
    # a modality that the step does not have is not replaced
    masks = {name: torch.ones(2, 3, dtype=torch.bool) for name in reference.means}
    masks["eyes"][0, 0] = masks["audio"][1, 1] = False
    _, kinds = reference.look_up(words, 3, masks)
    assert kinds[0, 0] == f"{TRAINING_WORD}; face: training steps"
    assert kinds[1, 1] == TRAINING_STEPS


def test_faces_of_few_subjects_have_no_mean_of_their_own(corpus):
    model, data = build_untrained(corpus)
    reference = measure(model, data)
    train = data.indices("train")
    keep = set(train[:2])  # two training sessions have faces

    def without_faces(inputs):
        features, masks = type(model).encode(model, inputs)
        kept = [torch.tensor(index in keep) for index in seen.pop(0)]
        masks["face"] = masks["face"] & torch.stack(kept)[:, None]
        return features, masks

    seen = [[index] for index in train]
    model.encode = without_faces
    few = measure(model, data, batch_size=1)
    torch.testing.assert_close(few.means["audio"], reference.means["audio"])
    assert (few.means["face"] == few.means["face"][-1]).all()
    assert not torch.equal(few.means["face"][-1], reference.means["face"][-1])


def test_a_file_that_does_not_fit_the_model_is_refused(corpus, tmp_path):
    model, data = build_untrained(corpus)
    path = tmp_path / "step_reference.safetensors"
    reference = measure(model, data)
    reference.save(path)
    read = load_step_reference(path, model)
    assert (read.words, read.n_indices) == (reference.words, reference.n_indices)
    for name, means in reference.means.items():
        assert torch.equal(read.means[name], means)
    wrong = {name: means[:-1] for name, means in reference.means.items()}
    infinite = {name: means / 0 for name, means in reference.means.items()}
    for means in (wrong, infinite, {"audio": reference.means["audio"]}):
        StepReference(reference.words, reference.n_indices, means).save(path)
        with pytest.raises(DamagedFileError) as info:
            load_step_reference(path, model)
        assert info.value.file == path
    path.write_bytes(b"not a tensor")
    with pytest.raises(DamagedFileError):
        load_step_reference(path, model)
