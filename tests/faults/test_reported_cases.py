"""Small recordings and tables that users reported, each with the result that is right.

The inputs are beside the project; the tests of each module contain inputs of the same kinds.
"""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from depmm.store.session_file import SessionReader

pytestmark = pytest.mark.slow
CASES = Path(__file__).parents[3] / "shared" / "cases"


class Outcome(NamedTuple):
    """What the commands of a case wrote: exit statuses, text and tables."""

    codes: tuple[int, ...]
    text: str
    steps: pd.DataFrame | None
    index: pd.DataFrame | None
    failures: pd.DataFrame | None
    warnings: pd.DataFrame | None
    store: Path


@pytest.fixture
def run_case(depmm, tmp_path, monkeypatch, real_data):
    if not CASES.is_dir():
        pytest.skip(f"the reported cases are missing ({CASES})")

    monkeypatch.setenv("DEPMM_FACE_LANDMARKER", str(real_data / "models" / "face_landmarker.task"))

    def run(number: str) -> Outcome:
        folder = next(CASES.glob(f"{number}-*"))
        manifest, store = tmp_path / "manifest", tmp_path / "store"
        monkeypatch.chdir(folder)
        results = [depmm("index", "spec.yaml", "rec", "--out", manifest)]
        if (manifest / "steps.parquet").is_file():
            results.append(depmm("extract", manifest, "rec", "--out", store, "--workers", 1))
            results.append(depmm("audit", manifest, "--root", "rec", "--out", tmp_path / "audit"))
        tables = [
            pd.read_parquet(path) if path.is_file() else None
            for path in (
                manifest / "steps.parquet",
                store / "index.parquet",
                store / "failures.parquet",
                store / "warnings.parquet",
            )
        ]
        text = "".join(result.out + result.err for result in results)
        assert "Traceback" not in text
        return Outcome(tuple(result.code for result in results), text, *tables, store)

    return run


def seconds(outcome: Outcome) -> dict[str, float]:
    """Return the seconds of stored sound by subject."""
    return dict(zip(outcome.index["subject"], outcome.index["audio_s"], strict=True))


def named(outcome: Outcome, name: str) -> list[str]:
    """Return the subjects with a warning of this name."""
    return outcome.warnings.query("name == @name")["subject"].tolist()


def test_a_track_without_a_decoder_concerns_one_session(run_case):
    outcome = run_case("01")
    assert outcome.index["subject"].tolist() == ["P01", "P02"]
    lost = outcome.failures.query("subject == 'P01' and stage == 'audio'")
    warned = outcome.warnings.query("subject == 'P01' and name == 'skipped_track'")
    assert len(lost) + len(warned) >= 1
    assert (outcome.index["n_frames"] > 0).all()
    assert "P02" not in set(outcome.failures["subject"])


def test_the_content_decides_the_reader(run_case):
    outcome = run_case("02")
    assert outcome.failures.empty
    assert seconds(outcome)["P1"] == pytest.approx(20.8, abs=0.2)
    assert min(seconds(outcome).values()) > 3


def test_an_open_quotation_mark_is_refused_with_its_line(run_case):
    outcome = run_case("03")
    assert outcome.codes[0]
    assert "P1_words.csv, line 7" in outcome.text
    assert outcome.steps is None or outcome.steps.empty


def test_a_column_that_stands_twice_is_refused(run_case):
    outcome = run_case("04")
    assert outcome.codes == (2,)
    assert "labels.csv" in outcome.text
    assert "PHQ8_Score" in outcome.text
    assert outcome.steps is None


def test_joined_recordings_are_read_on_one_clock(run_case):
    outcome = run_case("05")
    for subject in ("P1", "P2", "P3"):
        read = subject in seconds(outcome) and seconds(outcome)[subject] > 5.9
        refused = subject in set(outcome.failures["subject"])
        assert read or refused, subject
    assert len(seconds(outcome)) >= 1


def test_the_decoded_length_counts(run_case):
    outcome = run_case("06")
    assert outcome.failures.empty
    ends = outcome.steps.groupby("subject")["end_s"].max()
    for subject, length in seconds(outcome).items():
        assert ends[subject] == pytest.approx(length, abs=0.1), subject
    assert ends["P1"] == pytest.approx(20.8, abs=0.2)
    assert ends["P4"] < 28


def test_pixels_are_made_square(run_case):
    outcome = run_case("07")
    opened = {}
    for path in sorted(outcome.store.rglob("*.safetensors")):
        with SessionReader(path) as reader:
            opened[path.parent.name] = reader.read_tensor("face.blendshapes")[:, 25].mean()
    # jawOpen; the recordings show the same face, with pixels of 1:1 and of 64:45
    assert opened["P1"] == pytest.approx(opened["P2"], abs=0.05)


def test_the_louder_channel_is_used_if_one_is_inverted(run_case):
    outcome = run_case("09")
    assert named(outcome, "inverted_channels") == ["P1"]
    with SessionReader(next(outcome.store.rglob("*.safetensors"))) as reader:
        assert abs(reader.read_waveform(0)).max() > 0.03
    assert "inverted" in outcome.text


def test_the_default_track_is_used(run_case):
    outcome = run_case("10")
    assert named(outcome, "other_tracks") == ["P1"]
    with SessionReader(next(outcome.store.rglob("*.safetensors"))) as reader:
        assert abs(reader.read_waveform(0)).max() > 0.03


def test_two_faces_per_time_are_refused(run_case):
    outcome = run_case("11")
    assert outcome.failures["stage"].unique().tolist() == ["openface"]
    assert "face_id" in outcome.failures["cause"][0] + outcome.failures["remedy"][0]
    assert seconds(outcome)["2"] == pytest.approx(3.3, abs=0.05)


def test_short_features_do_not_cut_the_sound(run_case):
    outcome = run_case("12")
    assert seconds(outcome)["3"] == pytest.approx(3.3, abs=0.05)
    assert seconds(outcome)["5"] == pytest.approx(3.3, abs=0.05)
    reported = {*outcome.failures["subject"], *outcome.warnings["subject"]}
    assert reported == {"3", "5"}


def test_a_broken_header_concerns_one_file(run_case):
    outcome = run_case("13")
    assert outcome.codes[0] == 1
    assert "P2.wav" in outcome.text
    assert "P1" in seconds(outcome)


def test_a_turn_that_ends_before_it_starts_is_named(run_case):
    outcome = run_case("14")
    assert outcome.codes[0] in (1, 2)
    assert "P1_words.csv, line 3" in outcome.text
    assert "0.5" in outcome.text


def test_a_jump_of_the_clock_is_reported(run_case):
    outcome = run_case("17")
    text = " ".join([*outcome.failures["cause"], *outcome.warnings["problem"]])
    assert "gap" in text.lower() or "without data" in text
    assert "1800" in text or "30 min" in text or "179" in text


def test_a_decomposed_name_is_normalised(run_case):
    outcome = run_case("21")
    assert outcome.codes[0] == 0
    assert outcome.steps["subject"].unique().tolist() == ["M\u00fcller"]
    assert seconds(outcome)["M\u00fcller"] == pytest.approx(3.3, abs=0.05)


def test_one_class_has_no_f1(depmm, tmp_path):
    if not CASES.is_dir():
        pytest.skip(f"the reported cases are missing ({CASES})")
    table = next(CASES.glob("16-*")) / "oneclass.csv"
    assert depmm("evaluate", table, "--out", tmp_path / "report").code == 0
    metrics = json.loads((tmp_path / "report" / "metrics.json").read_text())["metrics"]
    assert "better" not in json.dumps(metrics["f1_macro"]["verdict"])
    assert metrics["f1_macro"]["value"] is None


def test_a_name_with_a_colon_is_read(tmp_path, monkeypatch):
    from depmm.media.containers.container import probe

    if not CASES.is_dir():
        pytest.skip(f"the reported cases are missing ({CASES})")
    shutil.copy(next(CASES.glob("19-*/*.mp4")), tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("P01:visit2.mp4", "./P01:visit2.mp4"):
        assert probe(Path(name)).has_video
