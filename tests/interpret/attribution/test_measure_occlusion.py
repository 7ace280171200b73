"""Classical explanations: occlusion of steps and permutation importance, by hand."""

import numpy as np
import pytest

from depmm.config import ClassicalSettings
from depmm.data.measured_steps import ClassicalInputs, InputColumn, MeasuredSteps
from depmm.interpret.attribution.classical import list_weights, measure_importance
from depmm.interpret.attribution.measure_occlusion import occlude_measured_steps
from depmm.measures.measure import Measure
from depmm.models.classical.model import fit_model


def column(name: str, modality: str, group: str, statistic: str = "step") -> InputColumn:
    return InputColumn(name, "voice", Measure(name, modality, group, "1", name), statistic)


COLUMNS = {
    "audio": [column("a", "audio", "pitch"), column("b", "audio", "pauses")],
    "face": [column("c", "face", "smile")],
}
NAMES = {name: [c.name for c in columns] for name, columns in COLUMNS.items()}


def make_steps(settings: ClassicalSettings) -> MeasuredSteps:
    """Make 40 sessions of three steps without a store."""
    rng = np.random.default_rng(0)
    steps = MeasuredSteps.__new__(MeasuredSteps)
    steps.settings, steps.columns = settings, COLUMNS
    steps.rows = np.stack([np.repeat(np.arange(40), 3), np.tile(np.arange(3), 40)], axis=1)
    steps.values = {
        "audio": rng.standard_normal((120, 2)), "face": rng.standard_normal((120, 1))
    }  # fmt: skip
    return steps


def fit(settings: ClassicalSettings):
    steps = make_steps(settings)
    inputs = steps.inputs()
    means = np.array([steps.values["audio"][3 * i : 3 * i + 3, 0].mean() for i in range(40)])
    target = (means > 0).astype(float)
    names = {name: [c.name for c in columns] for name, columns in inputs.columns.items()}
    model = fit_model(settings, names, inputs.measures, target[inputs.session], None, 0)
    return steps, inputs, model, target


@pytest.mark.parametrize("unit", ["session", "step"])
def test_occlusion_replaces_a_step_by_the_mean_of_its_session(unit):
    settings = ClassicalSettings(
        model={"kind": "ridge"}, measures={"audio": ["voice"], "face": ["face"]}, unit=unit
    )
    steps, inputs, model, _ = fit(settings)
    found = occlude_measured_steps(model, steps, 5)
    whole = model.predict(inputs.measures, inputs.session)[5]
    for step in range(3):
        changed = make_steps(settings)
        for table in changed.values.values():
            table[15 + step] = table[15:18].mean(axis=0)
        other = changed.inputs()
        expected = whole - model.predict(other.measures, other.session)[5]
        assert found[step] == pytest.approx(expected, abs=1e-12)
    # of a linear model, the modalities add up, and the steps of a session add up to 0
    parts = [occlude_measured_steps(model, steps, 5, [name]) for name in COLUMNS]
    np.testing.assert_allclose(np.sum(parts, axis=0), found, rtol=0, atol=1e-12)
    assert found.sum() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("unit", ["session", "step"])
def test_missing_measures_stay_missing(unit):
    """Otherwise the mean of the session would be imputed, which changes deviation and count."""
    settings = ClassicalSettings(
        model={"kind": "ridge"}, measures={"audio": ["voice"], "face": ["face"]}, unit=unit
    )
    steps, _, model, _ = fit(settings)

    def without_values(steps):
        steps.values["face"][16] = np.nan  # step 1 of session 5 has no face
        steps.values["audio"][17, 1] = np.nan  # step 2 has one of two measures
        return steps

    without_values(steps)
    whole = steps.inputs()
    logit = model.predict(whole.measures, whole.session)[5]
    for names in (["audio"], ["face"], list(COLUMNS)):
        found = occlude_measured_steps(model, steps, 5, names)
        for step in range(3):
            changed = without_values(make_steps(settings))
            for name in names:
                table = changed.values[name]
                mean = np.nanmean(table[15:18], axis=0)
                table[15 + step] = np.where(np.isnan(table[15 + step]), np.nan, mean)
            other = changed.inputs()
            expected = logit - model.predict(other.measures, other.session)[5]
            if (names, step) == (["face"], 1):
                expected = np.nan
            assert found[step] == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_importance_finds_the_group_that_separates_the_classes():
    settings = ClassicalSettings(
        model={"kind": "ridge"}, measures={"audio": ["voice"], "face": ["face"]}
    )
    _, inputs, model, target = fit(settings)
    rows = measure_importance(model, inputs, list(range(40)), target)
    by_group = {(row["modality"], row["group"]): row["importance"] for row in rows}
    assert by_group["audio", "pitch"] > 0.2
    assert abs(by_group["audio", "pauses"]) < 0.1
    assert by_group["audio", None] == pytest.approx(by_group["audio", "pitch"], abs=0.1)
    assert {row["inputs"] for row in rows if row["group"] is None} == {1, 2}
    weights = list_weights(model, inputs.columns)
    assert max(weights, key=lambda row: abs(row["weight"]))["input"] == "a_mean"


def test_a_single_class_has_no_importance():
    settings = ClassicalSettings(
        model={"kind": "ridge"}, measures={"audio": ["voice"], "face": ["face"]}
    )
    _, inputs, model, target = fit(settings)
    negative = np.flatnonzero(target == 0).tolist()
    rows = measure_importance(model, inputs, negative, target)
    assert all(np.isnan(row["value"]) for row in rows)


def test_inputs_without_a_measured_step_keep_one_row():
    settings = ClassicalSettings(
        model={"kind": "ridge"}, measures={"audio": ["voice"], "face": ["face"]}, unit="step"
    )
    steps = make_steps(settings)
    steps.values["audio"][6:9] = np.nan
    steps.values["face"][6:9] = np.nan
    steps.values["face"][0] = np.nan
    inputs: ClassicalInputs = steps.inputs()
    assert np.bincount(inputs.session).tolist() == [3, 3, 1, *[3] * 37]
