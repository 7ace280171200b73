"""Units of the evaluation: their columns, means by hand, and refusals."""

import pandas as pd
import pytest

from depmm.evaluation.prediction_checks import PredictionTableError, check_predictions
from depmm.evaluation.stats.resampled_sessions import resample_sessions
from depmm.evaluation.thresholds import COLUMN, apply_threshold
from depmm.evaluation.units import average_properties, average_sessions, unit_columns

ROWS = pd.DataFrame(
    {
        "subject": ["1", "1", "1", "2", "2", "2"],
        "session": ["a", "b", "c"] * 2,
        "emotion": ["sad", "sad", "happy"] * 2,
        "y_true": [1, 1, 0] * 2,
        "y_prob": [0.2, 0.6, 0.3, 0.9, 0.7, 0.1],
    }
)


def test_sessions_of_a_unit_are_averaged_and_subjects_stay_clusters():
    table = average_sessions(check_predictions(ROWS), "subject,emotion")
    values = table.set_index(["subject", "session"])["y_prob"].sort_index()
    assert values.index.tolist() == [("1", "happy"), ("1", "sad"), ("2", "happy"), ("2", "sad")]
    assert values.tolist() == pytest.approx([0.3, 0.4, 0.1, 0.8])
    resampled = resample_sessions(table, 20, 0.95, 0)
    assert resampled.subjects.tolist() == [0, 0, 1, 1]
    assert (resampled.weights[:, 0] == resampled.weights[:, 1]).all()


def test_properties_are_averaged_over_the_same_sessions():
    rows = check_predictions(ROWS)
    properties = rows[["corpus", "subject", "session"]].assign(loudness=[1.0, 3, 5] * 2)
    averaged = average_properties(properties, rows, "subject,emotion")
    assert averaged["session"].tolist() == ["happy", "sad"] * 2
    assert averaged["loudness"].tolist() == [5, 2] * 2


@pytest.mark.parametrize("unit", ["emotion", "subject,", "subject,subject", "subject,fold", ""])
def test_units_across_subjects_and_malformed_units_are_refused(unit):
    with pytest.raises(PredictionTableError) as info:
        unit_columns(unit)
    assert (info.value.setting, info.value.value) == ("unit", unit)


def test_a_unit_has_one_label_and_no_missing_column():
    table = check_predictions(ROWS)
    with pytest.raises(PredictionTableError) as info:
        average_sessions(table, "subject")
    assert (info.value.column, info.value.subject) == ("y_true", "1")
    with pytest.raises(PredictionTableError) as info:
        average_sessions(table, "subject,mood")
    assert info.value.column == "mood"
    known = table["emotion"].where(table["session"] != "b")
    with pytest.raises(PredictionTableError) as info:
        average_sessions(table.assign(emotion=known), "subject,emotion")
    assert (info.value.column, info.value.session) == ("emotion", "b")


def test_the_column_threshold_decides():
    rows = check_predictions(ROWS.assign(threshold=0.65))
    table = apply_threshold(rows)
    assert table["y_pred"].tolist() == [0, 0, 0, 1, 1, 0]
    assert set(table["threshold_source"]) == {COLUMN}
    assert set(apply_threshold(rows, 0.5)["threshold"]) == {0.5}
    for values in (1.2, [0.5] * 5 + [0.6], None):
        with pytest.raises(PredictionTableError) as info:
            check_predictions(ROWS.assign(threshold=values))
        assert info.value.column == "threshold"
