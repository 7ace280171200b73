"""Reading data specs by path and by name."""

import shutil

import pytest

from depmm import shipped_files
from depmm.corpora.spec import SpecError, list_specs, load_spec, specs_folder


def test_a_spec_is_found_by_path_and_by_name(tmp_path, monkeypatch):
    path = specs_folder() / "daic_woz.yaml"
    assert load_spec("daic_woz") == load_spec(path) == load_spec(str(path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "daic_woz").mkdir()  # a folder of recordings is not a spec
    assert load_spec("daic_woz").name == "daic_woz"


def test_the_error_of_an_unknown_name_suggests_a_known_one():
    with pytest.raises(SpecError) as info:
        load_spec("daic_wozz")
    assert info.value.value == "daic_wozz"
    assert "'daic_woz'" in info.value.remedy
    with pytest.raises(SpecError) as info:
        load_spec("zzz")
    assert all(name in info.value.remedy for name, _ in list_specs())


def test_the_error_of_a_missing_file_has_its_path():
    with pytest.raises(SpecError) as info:
        load_spec("nowhere/daic_woz.yaml")
    assert str(info.value.file) == "nowhere/daic_woz.yaml"
    with pytest.raises(SpecError) as info:
        load_spec(specs_folder() / "emodbb.yaml")
    assert "'emodb.yaml'" in str(info.value)


def test_every_spec_file_is_listed_by_its_corpus_id():
    listed = dict(list_specs())
    assert sorted(listed) == sorted(path.stem for path in specs_folder().glob("*.yaml"))
    assert all(load_spec(name).name == name for name in listed)
    assert listed["emodb"] == load_spec("emodb").title


def test_installed_specs_take_precedence_over_those_of_a_checkout(tmp_path, monkeypatch):
    installed = tmp_path / "depmm/data_specs"
    installed.mkdir(parents=True)
    shutil.copy(specs_folder() / "emodb.yaml", installed / "emodb.yaml")
    monkeypatch.setattr(shipped_files, "PACKAGE", tmp_path / "depmm")
    assert [name for name, _ in list_specs()] == ["emodb"]


def test_errors_carry_file_line_and_setting(tmp_path):
    path = tmp_path / "emodb.yaml"
    text = (specs_folder() / "emodb.yaml").read_text(encoding="utf-8")
    lines = text.splitlines()
    index = next(k for k, line in enumerate(lines) if line.startswith("session:"))
    lines[index] = 'session: "{stm}"'
    path.write_text("\n".join(lines))
    with pytest.raises(SpecError) as info:
        load_spec(path)
    assert info.value.file == path
    assert info.value.setting == "recordings[0].pattern"
    assert info.value.line == next(k for k, line in enumerate(lines, 1) if "- pattern" in line)
