"""Check of the environment: libraries, face model, devices and remedies."""

import sys
import tomllib
from pathlib import Path

from depmm.doctor import EXTRAS, LIBRARIES, check_environment, format_checks


def test_every_library_is_checked_and_a_missing_face_model_is_a_note(monkeypatch, tmp_path):
    monkeypatch.setenv("DEPMM_FACE_LANDMARKER", str(tmp_path / "face_landmarker.task"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("DEPMM_VOICE_MODEL", raising=False)
    monkeypatch.delenv("DEPMM_FACE_ENCODER", raising=False)
    checks = {check.component: check for check in check_environment()}
    models = {"face model", "voice model", "face recognition model"}
    assert checks.keys() == {*LIBRARIES, *(f"extra {name}" for name in EXTRAS), *models, "devices"}
    assert (checks["torch"].status, checks["torch"].remedy) == ("ok", "")
    assert checks["face model"].status == "note"
    assert "DEPMM_FACE_LANDMARKER" in checks["face model"].remedy
    assert checks["voice model"].status == "note"
    assert "DEPMM_VOICE_MODEL" in checks["voice model"].remedy
    assert "DEPMM_FACE_ENCODER" in checks["face recognition model"].remedy
    (tmp_path / "face_landmarker.task").touch()
    checks = {check.component: check for check in check_environment()}
    assert checks["face model"].status == "ok"
    assert checks["face model"].detail == str(tmp_path / "face_landmarker.task")


def test_an_extra_that_is_not_installed_is_a_note(monkeypatch):
    monkeypatch.setattr("depmm.doctor.find_spec", lambda name: None if name == "optuna" else name)
    checks = {check.component: check for check in check_environment()}
    assert [checks[f"extra {name}"].status for name in ("tuning", "steps")] == ["note", "ok"]
    assert checks["extra tuning"].remedy == 'pip install "depmm[tuning]"'


def test_the_extras_are_those_of_the_package():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    assert EXTRAS.keys() == project["project"]["optional-dependencies"].keys() - {"dev", "docs"}


def test_a_library_that_cannot_be_imported_has_a_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    for library in ("cv2", "mediapipe"):
        monkeypatch.setitem(sys.modules, library, None)
    missing = {check.component: check for check in check_environment() if check.status == "missing"}
    assert missing["soundfile"].remedy == "pip install soundfile"
    assert "libgl1" in missing["cv2"].remedy
    assert "libegl1" in missing["mediapipe"].remedy
    assert missing.keys() == {"soundfile", "cv2", "mediapipe"}


def test_torchaudio_that_is_built_for_another_torch_has_a_remedy(monkeypatch, tmp_path):
    (tmp_path / "torchaudio.py").write_text("raise OSError('Could not load this library: a.so')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torchaudio", raising=False)
    (check,) = [check for check in check_environment() if check.component == "torchaudio"]
    assert check.status == "missing"
    assert "a.so" in check.detail
    assert "whl/cpu" in check.remedy
    assert "*torchaudio*.so" in check.remedy
    monkeypatch.setitem(sys.modules, "torchaudio", None)  # not installed
    (check,) = [check for check in check_environment() if check.component == "torchaudio"]
    assert (check.status, check.remedy) == ("missing", "pip install torchaudio")


def test_the_table_has_a_row_for_each_check():
    checks = check_environment()
    lines = format_checks(checks)
    assert len(lines) == len(checks) + 2
    assert (
        len({line.index(check.component) for check, line in zip(checks, lines[2:], strict=True)})
        == 1
    )
