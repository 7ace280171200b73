"""Tables of a simulated layout: rows that agree with the signal and with the participants."""

import numpy as np
import pandas as pd
import pytest
import soundfile
from simulated_layouts import AUDIO_SPEC, simulate_and_index

from depmm.corpora.spec import parse_spec
from depmm.simulation.layout import simulate_layout
from depmm.simulation.layout_units import LayoutError

STEP_TABLE = """
steps:
  table:
    file: "{subject}.txt"
    sep: " "
    header: false
    columns: [from, to, word]
    join: {subject: subject}
    fields: {start: from, end: to, text: word}
    times: milliseconds
"""
STEP_SPEC = AUDIO_SPEC.replace("_{visit:int}", "").replace("_{visit}", "") + STEP_TABLE


def test_an_offset_is_subtracted_from_the_times_of_the_table(tmp_path):
    spec = parse_spec(STEP_SPEC.replace("age: age}", "age: age, offset_s: late}"), "toy")
    _, manifest, report = simulate_and_index(spec, tmp_path / "c", subjects=2)
    assert report.complete
    for name, rows in manifest.steps.groupby("subject"):
        written = pd.read_csv(tmp_path / f"c/{name}.txt", sep=" ", header=None)
        np.testing.assert_allclose(rows["start_s"], written[0] / 1000 + 0.1, atol=1e-9)
        sound, rate = soundfile.read(tmp_path / "c" / rows["audio"].iloc[0])
        silence = sound[: round((rows["start_s"].iloc[0] - 0.02) * rate)].std()
        first = sound[round(rows["start_s"].iloc[0] * rate) : round(rows["end_s"].iloc[0] * rate)]
        assert first.std() > 3 * silence


def test_tables_state_score_gender_and_age_of_the_participants(tmp_path):
    truth = simulate_layout(tmp_path / "c", parse_spec(AUDIO_SPEC, "toy"), subjects=6, words=1)
    table = pd.read_csv(tmp_path / "c/labels.csv", dtype={"subject": str}).set_index("subject")
    assert set(table.index) == set(truth["subjects"])
    for session in truth["sessions"].values():
        row, known = table.loc[session["subject"]], truth["subjects"][session["subject"]]
        assert row["score"] == session["score"]
        assert (row["score"] >= 10) == (known["diagnosis"] == "depressed")
        assert {1: "female", 2: "male"}[row["sex"]] == known["gender"]
        assert row["age"] == known["age"]


def test_a_step_table_that_drops_the_simulated_words_is_an_error(tmp_path):
    text = STEP_SPEC.replace("    times", '    drop: {word: ["*"]}\n    times')
    with pytest.raises(LayoutError) as info:
        simulate_layout(tmp_path / "c", parse_spec(text, "toy"), subjects=2)
    assert info.value.setting == "steps.table"
    assert info.value.session is not None
