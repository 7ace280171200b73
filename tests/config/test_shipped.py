"""The configs that are part of depmm are found by name."""

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


def test_a_name_is_the_file_of_that_config():
    assert find_config("demo") == FOLDER / "demo.yaml"


def test_a_file_comes_before_a_config_of_that_name(tmp_path, monkeypatch):
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
def test_a_path_that_does_not_exist_is_not_taken_for_a_name(path):
    with pytest.raises(ConfigError) as info:
        find_config(path)
    assert info.value.file == Path(path)
