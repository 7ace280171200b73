"""Configs are found by path or name."""

from pathlib import Path

import pytest

from depmm.config import ConfigError, find_config, list_configs

FOLDER = Path(__file__).parents[2] / "experiments" / "configs"


def test_every_config_is_listed_with_the_first_line_of_its_header():
    listed = dict(list_configs())
    assert list(listed) == sorted(path.stem for path in FOLDER.glob("*.yaml"))
    assert all(listed.values())
    first = (FOLDER / "demo.yaml").read_text().splitlines()[0]
    assert first == f"# {listed['demo']}"


def test_a_config_is_found_by_its_name():
    assert find_config("demo") == FOLDER / "demo.yaml"


def test_a_file_takes_precedence_over_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("demo").mkdir()  # a folder is not a config
    assert find_config("demo") == FOLDER / "demo.yaml"
    Path("dep_former").write_text("name: mine")
    assert find_config("dep_former") == Path("dep_former")


def test_an_unknown_name_suggests_the_closest_one():
    with pytest.raises(ConfigError) as info:
        find_config("dmeo")
    assert info.value.value == "dmeo"
    assert "'demo'" in info.value.remedy


@pytest.mark.parametrize("path", ["none.yaml", "configs/demo"])
def test_a_path_that_does_not_exist_is_refused(path):
    with pytest.raises(ConfigError) as info:
        find_config(path)
    assert info.value.file == Path(path)
