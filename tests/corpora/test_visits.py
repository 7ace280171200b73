"""Visits by date: numbers, the nearest row, and what is ambiguous."""

import layouts
import pytest

from depmm.corpora.errors import ManifestError
from depmm.corpora.index import index_corpus
from depmm.corpora.spec import SpecError, parse_spec

SPEC = """\
name: clinic
recordings: [{pattern: "{subject}_{date}.wav", modalities: [audio]}]
visits: {date: date, format: "%d.%m.%Y"}
session: "{subject}_{visit}"
columns: [date]
tables:
  - file: bdi.csv
    join: {subject: subject}
    nearest: {column: assessed, within_days: 10}
    fields: {bdi: bdi}
label: {instrument: BDI-II, score: bdi}
"""
FILES = dict.fromkeys(["P1_02.12.2023.wav", "P1_10.02.2024.wav", "P2_05.03.2024.wav"], "")
HEADER = "subject,assessed,bdi\n"


def index(tmp_path, rows, spec=SPEC):
    root = layouts.write(tmp_path, {**FILES, "bdi.csv": HEADER + rows})
    return index_corpus(parse_spec(spec, "clinic.yaml"), root)


def test_visits_are_numbered_by_date_and_rows_join_the_nearest(tmp_path):
    rows = "P1,2024-02-08,20\nP1,2023-12-12,3\nP2,2024-03-05,7\nP2,2024-06-01,9\n"
    manifest, report = index(tmp_path, rows)
    sessions = manifest.sessions.set_index("session")
    assert sessions["score"].to_dict() == {"P1_1": 3, "P1_2": 20, "P2_1": 7}
    assert sessions.loc["P1_1", "date"] == "2023-12-02"
    (far,) = report.missing
    assert (far.kind, far.where) == ("recording", "bdi.csv, line 5")


def test_a_visit_without_a_row_is_reported(tmp_path):
    _, report = index(tmp_path, "P1,2024-02-08,20\nP2,2024-03-05,7\n")
    assert [(item.kind, item.where) for item in report.missing] == [("row", "P1_02.12.2023.wav")]


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ("P2,2024-03-01,7\nP2,2024-03-09,8\n", 3),  # two rows for one visit
        ("P1,2024-02-08,20\nP1,2024-13-01,3\n", 3),  # no date
    ],
)
def test_ambiguous_rows_and_wrong_dates_are_refused(tmp_path, rows, line):
    with pytest.raises(ManifestError) as info:
        index(tmp_path, rows)
    assert (str(info.value.file), info.value.line, info.value.column) == (
        "bdi.csv",
        line,
        "assessed",
    )


def test_a_row_between_two_visits_is_refused(tmp_path):
    files = dict.fromkeys(["P1_01.01.2024.wav", "P1_11.01.2024.wav"], "")
    layouts.write(tmp_path, {**files, "bdi.csv": HEADER + "P1,2024-01-06,5\n"})
    with pytest.raises(ManifestError) as info:
        index_corpus(parse_spec(SPEC, "clinic.yaml"), tmp_path)
    assert info.value.column == "assessed"


def test_a_date_of_another_form_is_refused(tmp_path):
    with pytest.raises(ManifestError) as info:
        index(tmp_path, "P1,2024-02-08,20\n", SPEC.replace("%d.%m.%Y", "%Y%m%d"))
    assert info.value.column == "date"


@pytest.mark.parametrize(
    ("old", "new", "setting"),
    [
        ("visits: {date: date", "visits: {date: day", "visits.date"),
        ('visits: {date: date, format: "%d.%m.%Y"}\n', "", "tables[0].nearest"),
        ("{subject}_{date}.wav", "{subject}_{date}_{visit}.wav", "recordings[0].pattern"),
        ("within_days: 10", "within_days: -1", "tables[0].nearest.within_days"),
    ],
)
def test_mistakes_are_reported_with_their_setting(old, new, setting):
    with pytest.raises(SpecError) as info:
        parse_spec(SPEC.replace(old, new), "clinic.yaml")
    assert setting in str(info.value)
