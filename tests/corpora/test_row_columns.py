"""Rows that are kept by column."""

import pandas as pd

from depmm.corpora.row_columns import RowColumns


def test_the_table_is_that_of_a_list_of_rows():
    rows = [
        {"session": "a", "start_s": 0.0, "end_s": None, "text": None},
        {"session": "b", "start_s": 1.5, "end_s": 2.0, "text": "yes", "channel": 1},
        {"session": "c", "end_s": None, "text": None},
    ]
    columns = RowColumns()
    for row in rows:
        columns.append(row)
    assert len(columns) == 3
    table = columns.pop_table()
    pd.testing.assert_frame_equal(table, pd.DataFrame(rows))
    assert len(columns) == 3
    assert not columns.columns


def test_categories_and_no_rows():
    columns = RowColumns()
    for text in ("b", "a", "b"):
        columns.append({"reader": text})
    table = columns.pop_table(["reader"])
    assert table["reader"].dtype == "category"
    assert table["reader"].tolist() == ["b", "a", "b"]
    assert RowColumns().pop_table().empty
