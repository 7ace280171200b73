"""Joining of manifests: what a label means in each corpus, and which targets are one quantity."""

import pandas as pd
import pytest

from depmm.config import TargetConfig
from depmm.corpora.errors import ManifestError
from depmm.corpora.joining import check_joint_target, describe_label, restrict_target
from depmm.corpora.manifest import Manifest, build_manifest


def manifest(corpus: str, instrument: str, scores: list[float | None], labels: list[int]):
    names = [f"s{index}" for index in range(len(scores))]
    sessions = pd.DataFrame(
        {"corpus": corpus, "subject": names, "session": names, "instrument": instrument,
         "score": scores, "label": labels}
    )  # fmt: skip
    steps = sessions[["corpus", "subject", "session"]].assign(
        step=0, audio="a.wav", start_s=0.0, face_aligned=False
    )
    return build_manifest(sessions, steps)


@pytest.fixture
def phq8() -> Manifest:
    return manifest("daic", "PHQ-8", [3, 9, 12, 20], [0, 0, 1, 1])


@pytest.fixture
def phq9() -> Manifest:
    return manifest("modma", "PHQ-9", [1, 4, 6, 20], [0, 0, 1, 1])


@pytest.fixture
def diagnosed() -> Manifest:
    return manifest("androids", "group", [None, None], [0, 1])


def test_the_cut_off_of_a_label_is_found_in_the_scores(phq8, phq9, diagnosed):
    target = TargetConfig()
    assert describe_label("daic", phq8.sessions, target).cut_off == 10  # usual, between 9 and 12
    assert describe_label("modma", phq9.sessions, target).cut_off == 6  # not 10: 6 is positive
    assert describe_label("androids", diagnosed.sessions, target).cut_off is None
    contradicting = manifest("x", "PHQ-9", [9, 4], [0, 1])
    assert describe_label("x", contradicting.sessions, target).cut_off is None


def test_binary_labels_are_joined_and_their_differences_are_stated(phq8, phq9, diagnosed):
    labels, notes = check_joint_target(
        {"daic": phq8, "modma": phq9, "androids": diagnosed}, TargetConfig()
    )
    assert [label.instrument for label in labels] == ["PHQ-8", "PHQ-9", "group"]
    assert len(notes) == 2  # several instruments; the ninth item
    other = manifest("cmdc", "PHQ-9", [5, 20], [0, 1])
    notes = check_joint_target({"modma": phq9, "cmdc": other}, TargetConfig())[1]
    assert len(notes) == 1  # one instrument with two cut-offs
    assert "modma" in notes[0]
    assert check_joint_target({"daic": phq8, "daic2": phq8}, TargetConfig())[1] == []


@pytest.mark.parametrize("kind", ["severity", "levels"])
def test_scores_of_two_instruments_are_refused(kind, phq8, phq9):
    target = TargetConfig(kind=kind, column="score")
    with pytest.raises(ManifestError) as error:
        check_joint_target({"daic": phq8, "modma": phq9}, target)
    assert error.value.value == {"daic": "PHQ-8", "modma": "PHQ-9"}
    assert check_joint_target({"daic": phq8, "edaic": phq8}, target)[1] == []


def test_a_corpus_without_the_column_or_a_class_is_named(phq8):
    with pytest.raises(ManifestError) as error:
        check_joint_target({"daic": phq8}, TargetConfig(column="emotion"))
    assert (error.value.value, error.value.column) == ("daic", "emotion")
    target = TargetConfig(column="instrument", positive=["PHQ-9"], negative=["PHQ-8"])
    with pytest.raises(ManifestError) as error:
        check_joint_target({"daic": phq8}, target)
    assert error.value.value == "daic"


def test_classes_of_other_corpora_are_left_out():
    sessions = pd.DataFrame({"emotion": ["sad", "neutral", "calm"]})
    target = TargetConfig(column="emotion", positive=["sadness", "sad"], negative=["neutral"])
    assert restrict_target(target, sessions).positive == ["sad"]
    assert restrict_target(TargetConfig(), sessions) == TargetConfig()


def test_a_config_of_emotions_says_how_the_label_is_predicted(phq8, phq9):
    corpora = {"daic": phq8, "modma": phq9}
    emotions = TargetConfig(column="emotion", positive=["sad"], negative=["neutral"])
    for column in ("emotion", "label"):
        target = emotions.model_copy(update={"column": column})
        with pytest.raises(ManifestError) as caught:
            check_joint_target(corpora, target)
        assert caught.value.column == column
        assert (
            'target.column=label "target.positive=[]" "target.negative=[]"' in caught.value.remedy
        )
        assert "int64" not in str(caught.value)
