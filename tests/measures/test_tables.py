"""Tables of measures: formulas in text, missing values, and columns without collisions."""

import numpy as np
import pandas as pd
from recordings import manifest_of

from depmm.measures.measure import Measure
from depmm.measures.sets import SESSION_SETS, SET_NAMES, measures_of
from depmm.measures.tables import MeasureTables, long_table, write_tables
from depmm.schemas.manifest import SESSION_KEY, STEP_KEY


def measure(name: str) -> Measure:
    return Measure(name, "audio", "pitch", "Hz", "=formula, with a comma")


def tables() -> MeasureTables:
    keys = [("c", "p1", "s1"), ("c", "p2", "s2")]
    steps = pd.MultiIndex.from_tuples([(*key, step) for key in keys for step in (0, 1)])
    return MeasureTables(
        pd.DataFrame({"f0": [1.0, 3.0, np.nan, 2.0]}, index=steps.set_names(STEP_KEY)),
        pd.DataFrame(
            {"turns": [4.0, np.nan]}, index=pd.MultiIndex.from_tuples(keys, names=SESSION_KEY)
        ),
        [measure("f0"), measure("turns")],
        [],
    )


def test_rows_of_steps_and_sessions():
    long = long_table(tables())
    values = {
        (session, None if pd.isna(step) else step, name): value
        for session, step, name, value in long[
            ["session", "step", "measure", "value"]
        ].itertuples(index=False)
    }  # fmt: skip
    expected = {
        ("s1", 0, "f0"): 1, ("s1", 1, "f0"): 3, ("s2", 0, "f0"): np.nan, ("s2", 1, "f0"): 2,
        ("s1", None, "f0_mean"): 2, ("s2", None, "f0_mean"): 2,
        ("s1", None, "f0_std"): np.sqrt(2), ("s2", None, "f0_std"): np.nan,
        ("s1", None, "turns"): 4, ("s2", None, "turns"): np.nan,
    }  # fmt: skip
    np.testing.assert_equal(values, expected)


def test_text_is_no_formula_and_missing_values_are_empty(tmp_path):
    manifest = manifest_of(
        {name: [{"task": "=1+1", "audio": "a.wav"}, {"start_s": 1.0, "audio": "a.wav"}]
         for name in ("s1", "s2")}
    )  # fmt: skip
    write_tables(tables(), manifest, None, tmp_path)
    lines = (tmp_path / "steps.csv").read_text().splitlines()
    assert lines[0] == "corpus,subject,session,step,start_s,end_s,task,valence,f0"
    assert lines[1] == "c,p1,s1,0,0.0,,'=1+1,,1.0"
    assert lines[3] == "c,p2,s2,0,0.0,,'=1+1,,"
    sessions = (tmp_path / "sessions.csv").read_text().splitlines()
    assert sessions[0].endswith("label,score,gender,age,f0_mean,f0_std,turns")
    assert sessions[2] == "c,p2,s2,,,,,2.0,,"
    assert "'=formula" in (tmp_path / "codebook.csv").read_text()


def test_no_two_measures_have_the_same_column():
    steps = [m.name for name in SET_NAMES if name not in SESSION_SETS for m in measures_of(name)]
    whole = [m.name for name in SESSION_SETS for m in measures_of(name)]
    columns = [f"{name}_{statistic}" for name in steps for statistic in ("mean", "std")] + whole
    assert len(set(columns)) == len(columns)
    assert max(map(len, columns)) <= 64
