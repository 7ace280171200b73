"""Tables in the columns and types of their schema."""

import pytest
from corpus_samples import make_session_table, make_step_table

from depmm.corpora.errors import ManifestError
from depmm.corpora.manifest import build_manifest
from depmm.corpora.tables.typed_tables import apply_schema
from depmm.schemas.manifest import STEPS


@pytest.mark.parametrize(("column", "value"), [("subject", 1), ("label", 0.5)])
def test_wrong_types_are_refused(column, value):
    row = {"subject": "1", "session": "1", "instrument": "group", column: value}
    sessions = make_session_table([row])
    with pytest.raises(ManifestError) as info:
        build_manifest(sessions, make_step_table(sessions))
    assert info.value.column == column


def test_a_missing_column_is_refused():
    sessions = make_session_table([{"subject": "1", "session": "1"}])
    with pytest.raises(ManifestError) as info:
        build_manifest(sessions, make_step_table(sessions).drop(columns="start_s"))
    assert info.value.column == "start_s"


def test_an_unknown_column_is_refused():
    steps = make_step_table(make_session_table([{"subject": "1", "session": "1"}]))
    with pytest.raises(ManifestError) as info:
        apply_schema(steps.assign(extra=1), STEPS, "steps.parquet")
    assert (str(info.value.file), info.value.column) == ("steps.parquet", "extra")


def test_types_are_those_of_the_schema():
    steps = make_step_table(make_session_table([{"subject": "1", "session": "1"}]))
    table = apply_schema(steps[[*reversed(STEPS.names)]], STEPS)
    assert {name: str(dtype) for name, dtype in table.dtypes.items()} == {
        column.name: column.pandas_dtype for column in STEPS.columns
    }
    assert list(table) == STEPS.names
