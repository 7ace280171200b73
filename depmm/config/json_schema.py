"""JSON Schema of config files, for completion and validation in editors."""

from typing import Any

from depmm.config.experiment import ClassicalConfig, Config


def config_json_schema() -> dict[str, Any]:
    """Build the JSON Schema of config files, for completion and validation in editors.

    No setting is required, because a file may contain only the differences from its ``base``. Every
    setting may be null, which gives the default of a setting that does not allow None. Rules
    between settings are not part of the schema; they are checked by ``load_experiment``.

    Returns
    -------
    dict
        JSON Schema, draft 2020-12.
    """
    network, classical = Config.model_json_schema(), ClassicalConfig.model_json_schema()
    about = "path of another config, relative to this file, or the name of a config of depmm"
    base = {"type": "string", "description": about}
    schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {"base": base, **classical["properties"], **network["properties"]},
        "$defs": {**classical["$defs"], **network["$defs"]},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "depmm config",
        **_optional(schema),
    }


def _optional(schema: Any) -> Any:
    """Make all settings optional and nullable, including the kind of a section of a union."""
    if isinstance(schema, list):
        return [_optional(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    relaxed = {}
    for key, value in schema.items():
        match key, value:
            case "required" | "discriminator", _:
                continue
            case "oneOf", _:
                relaxed["anyOf"] = _optional(value)
            case "properties" | "patternProperties", dict():
                relaxed[key] = {name: _nullable(_optional(part)) for name, part in value.items()}
            case "additionalProperties", dict():
                relaxed[key] = _nullable(_optional(value))
            case _:
                relaxed[key] = _optional(value)
    return relaxed


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    shown = ("description", "default", "title")
    notes = {key: value for key, value in schema.items() if key in shown}
    rest = {key: value for key, value in schema.items() if key not in shown}
    return {**notes, "anyOf": [rest, {"type": "null"}]}
