"""The table of properties: types of columns, file names, steps, recordings and missing values."""

import numpy as np
import pandas as pd
import pytest
from audit_manifests import balanced_manifest, manifest_of

from depmm.audit.column_types import convert_column, find_outcome_columns, is_date
from depmm.audit.findings import AuditInput, RecordingStatistics, recordings_table
from depmm.audit.path_properties import mask_id, path_properties
from depmm.audit.session_properties import (
    join_values,
    session_properties,
    subject_properties,
)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["3", "4.5", None], [3, 4.5, np.nan]),
        (["1970-01-02", "1970-02-01", ""], [1, 31, np.nan]),
        (["02/01/1970", "31/01/1970", None], [1, 30, np.nan]),
        (["01/31/1970", "01.02.1970", None], [30, 1, np.nan]),
        (["10:30", "7:15", None], [10.5, 7.25, np.nan]),
    ],
)
def test_numbers_dates_and_times_become_numbers(values, expected):
    converted = convert_column(pd.Series(values, dtype="str"))[""]
    np.testing.assert_allclose(converted, expected)


def test_dates_with_times_have_a_time_of_day():
    values = pd.Series(["1970-01-02T06:00:00Z", "1970-01-03 12:00"], dtype="str")
    converted = convert_column(values)
    np.testing.assert_allclose(converted[""], [1.25, 2.5])
    np.testing.assert_allclose(converted[" time of day"], [6, 12])
    assert is_date(values)


@pytest.mark.parametrize("value", ["2021-02-30", "site 2021-02-03", "1.2.3", "nan"])
def test_other_text_stays_text(value):
    converted = convert_column(pd.Series(["2020-01-01", value], dtype="str"))
    assert converted[""].tolist() == ["2020-01-01", value]


def test_columns_that_are_the_label_are_outcomes_only_by_name_and_values():
    manifest = balanced_manifest(20)
    sessions = manifest.sessions
    labels = sessions["label"]
    sessions["phq8_binary"] = labels.astype("str")
    sessions["site"] = [f"s{label}" for label in labels]
    sessions["age_group"] = ["old", "old", "young", "young"] * 5
    names = ["phq8_binary", "site", "age_group"]
    assert find_outcome_columns(sessions, names) == ["phq8_binary"]
    properties = session_properties(AuditInput(manifest))
    assert properties.outcomes == {"toy": ("phq8_binary",)}
    assert "column.phq8_binary" not in properties.table
    assert "column.site" in properties.table


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("P_07", "P_07", "\0"),
        ("x7_70_7", "7", "x\0_70_\0"),
        ("data/control/ann", "ann", "data/control/\0"),
        ("planning", "ann", "planning"),
    ],
)
def test_ids_are_masked_where_they_are_not_a_part_of_something_longer(text, name, expected):
    assert mask_id(text, name) == expected


def test_names_of_files_are_described_without_ids():
    uses = pd.DataFrame(
        [
            ("c", "07", "07-1", "patients/P_07_dep.WAV", "audio"),
            ("c", "8", "8", "all/S008.mp4", "face"),
        ],
        columns=["corpus", "subject", "session", "file", "use"],
    )
    described = path_properties(uses).drop(columns=["corpus", "subject", "session", "use"])
    assert described.loc[0].tolist() == ["patients", "P_", "_dep", ".wav", 6, 0]
    assert described.loc[1].tolist() == ["all", "S", "", ".mp4", 4, 3]


def test_values_of_several_sessions_are_joined():
    table = pd.DataFrame({"subject": list("aabbc"), "site": ["y", "x", "y", "y", None]})
    assert join_values(table, ["subject"]).to_dict() == {"a": "x + y", "b": "y"}


def test_recordings_texts_and_missing_values_are_properties():
    manifest = manifest_of(
        [
            {"subject": f"S{k}", "label": k % 2, "instrument": "group", "age": 30.0 if k else None}
            for k in range(4)
        ]
    )
    manifest.steps["text"] = ["one two", "three"] * 4
    manifest.steps.loc[manifest.steps["subject"] == "S3", "audio"] = None
    files = {
        ("toy", f"S{k}-1.wav"): {"sample_rate": 8000.0 * (k + 1), "container": "wav"}
        for k in range(3)
    }
    inputs = AuditInput(manifest, RecordingStatistics(table=recordings_table(files)))
    properties = session_properties(inputs)
    table = properties.table.set_index("subject")
    assert table["steps.n_words"].tolist() == [3, 3, 3, 3]
    assert table["steps.words_per_s"].tolist() == [1.5] * 4
    np.testing.assert_allclose(table["recording.sample_rate"], [8000, 16000, 24000, np.nan])
    assert table["missing.age"].tolist() == ["missing", "known", "known", "known"]
    # the file and every statistic of the recording are missing for one session: one property
    assert table.filter(like="missing.").shape[1] == 2
    subjects = subject_properties(inputs, properties)
    assert subjects["subject"].tolist() == ["S0", "S1", "S2", "S3"]
    assert subjects["label"].tolist() == [0, 1, 0, 1]
