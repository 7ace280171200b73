"""The JSON Schema of configs accepts valid configs and rejects mistakes within sections."""

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from depmm.config import config_json_schema, dump_config, load_experiment

CONFIGS = sorted((Path(__file__).parents[2] / "experiments" / "configs").glob("*.yaml"))
VALIDATOR = Draft202012Validator(config_json_schema())


def test_the_schema_is_valid():
    Draft202012Validator.check_schema(config_json_schema())


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_is_valid_with_and_without_defaults(path):
    VALIDATOR.validate(yaml.safe_load(path.read_text()))
    VALIDATOR.validate(yaml.safe_load(dump_config(load_experiment(path))))


@pytest.mark.parametrize(
    "config",
    [
        {"nmae": "x"},
        {"training": {"epoch": 3}},
        {"training": {"epochs": "many"}},
        {"model": {"fusion": {"kind": "dep_fromer"}}},
        {"model": {"encoders": {"audio": {"n_mfccs": 3}}}},
        {"base": 3},
    ],
)
def test_a_mistake_is_invalid(config):
    assert not VALIDATOR.is_valid(config)


def test_the_command_prints_the_schemas(depmm):
    assert json.loads(depmm("schema", "config").out) == config_json_schema()
    written = Path(__file__).parents[2] / "data_specs" / "schema.json"
    assert depmm("schema", "spec").out == written.read_text()
    assert depmm("schema", "specs").code == 2


def test_every_setting_is_explained():
    """An editor shows the description and the allowed values of a setting."""
    sections = config_json_schema()["$defs"].values()
    settings = [s for section in sections for s in section.get("properties", {}).values()]
    assert len(settings) > 200
    assert not [setting for setting in settings if "description" not in setting]
