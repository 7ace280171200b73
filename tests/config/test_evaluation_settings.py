"""Decision thresholds, and candidates of a tuning: the product of its grid."""

import pytest

from depmm.config import (
    ConfigError,
    EvaluationConfig,
    TuningConfig,
    dump_config,
    load_config,
    load_experiment,
)


@pytest.mark.parametrize("threshold", ["validation", 0.5, 0.013])
def test_a_threshold_survives_the_file_of_a_run(tmp_path, threshold):
    config = load_config("demo", [f"evaluation.threshold={threshold}"])
    assert config.evaluation.threshold == threshold
    (tmp_path / "config.yaml").write_text(dump_config(config))
    assert load_config(tmp_path / "config.yaml") == config


@pytest.mark.parametrize("name", ["demo", "classical_svm"])
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("1", 1),
        ("1.2", 1.2),
        ("best", "best"),
        ("true", True),
        (".nan", None),
        ("[]", []),
    ],
)
def test_an_invalid_threshold_is_one_error_of_the_setting(name, text, value):
    with pytest.raises(ConfigError) as info:
        load_experiment(name, [f"evaluation.threshold={text}"])
    assert info.value.setting == "evaluation.threshold"
    if value is not None:
        assert info.value.value == value
    assert info.value.remedy is not None
    assert len(str(info.value).splitlines()) == 1


def test_without_a_threshold_it_is_chosen_on_validation_subjects():
    assert EvaluationConfig().threshold == "validation"
    # null is the default, also if a base sets a number
    assert load_config("dep_former", ["evaluation.threshold=null"]).evaluation.threshold == (
        "validation"
    )


def test_a_score_has_no_threshold():
    with pytest.raises(ConfigError) as info:
        load_config("demo_severity", ["evaluation.threshold=0.5"])
    assert info.value.setting == "evaluation.threshold"
    assert info.value.value == 0.5


def test_published_systems_with_two_classes_decide_by_the_higher_output():
    names = ("spectrogram_cnn", "attention_resnet_18", "attention_resnet_18_modma", "emoaudionet")
    names += ("emoaudionet_daic_woz", "emoaudionet_small", "dep_former", "dep_former_release")
    assert {load_config(name).evaluation.threshold for name in names} == {0.5}
    for name in ("demo", "emodb_negative", "emoaudionet_daic_woz_severity"):
        assert load_config(name).evaluation.threshold == "validation"


def test_all_candidates_of_a_tuning_have_the_same_threshold():
    grid = "tuning={metric: auroc, grid: {evaluation.threshold: [0.4, 0.5]}}"
    with pytest.raises(ConfigError) as info:
        load_experiment("demo", [grid])
    assert info.value.setting == "evaluation"


def test_candidates_are_listed_in_order_and_the_last_setting_changes_fastest():
    tuning = TuningConfig(
        metric="auroc", grid={"classical.n_mfcc": [2, 8], "classical.model.C": [0.1, 10.0]}
    )
    assert tuning.candidates == [
        {"classical.n_mfcc": n_mfcc, "classical.model.C": strength}
        for n_mfcc in (2, 8)
        for strength in (0.1, 10.0)
    ]
