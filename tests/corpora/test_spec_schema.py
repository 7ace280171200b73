"""Format of data specs: the documented example, and the JSON Schema for editors."""

import json
import re

from depmm.corpora.spec import parse_spec, specs_folder
from depmm.corpora.spec_schema import Spec, json_schema


def test_the_documented_example_is_valid_and_uses_every_key():
    text = (specs_folder() / "README.md").read_text(encoding="utf-8")
    example, *others = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    spec = parse_spec(example, "README.md")
    assert spec.model_fields_set == set(Spec.model_fields) - {"visits"}  # has {visit} in its names
    example += "".join(others)
    assert spec.steps.table is not None
    for name in type(spec.steps.table).model_fields:
        assert f"{name}:" in example
    for name in Spec.model_fields:
        assert f"`{name}`" in text, f"{name} is not documented"


def test_the_json_schema_is_current():
    written = (specs_folder() / "schema.json").read_text(encoding="utf-8")
    assert written == json_schema(), (
        "run: python -m depmm.corpora.spec_schema > data_specs/schema.json"
    )


def test_the_json_schema_explains_every_key_and_refuses_others():
    schema = json.loads(json_schema())
    assert set(schema["properties"]) == set(Spec.model_fields)
    assert schema["additionalProperties"] is False
    for name, part in schema["$defs"].items():
        if "properties" in part:
            assert part["additionalProperties"] is False, name
    assert schema["$defs"]["StepTable"]["properties"]["whole_file"]["description"]
