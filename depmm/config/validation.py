"""Conversion of pydantic errors to a ``ConfigError`` with setting, value and remedy."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from depmm.config.classical import ClassicalModelConfig
from depmm.config.encoders import EncoderConfig
from depmm.config.experiment import sections_by_kind
from depmm.config.fusion import FusionConfig
from depmm.config.settings import ConfigError, Settings
from depmm.config.tuning import RANGE, VALUES, RangeConfig
from depmm.errors import closest, did_you_mean

# pydantic inserts the kind of a section into the location of an error; it is not a key of the file
SECTIONS: dict[str, type[Settings]] = {
    **sections_by_kind(EncoderConfig, FusionConfig, ClassicalModelConfig),
    RANGE: RangeConfig,
}


@dataclass(frozen=True)
class Problem:
    """One setting that cannot be used.

    Attributes
    ----------
    setting : str
        Dotted name.
    value : object
        Given value.
    message : str
        What is wrong and what to do.
    remedy : str or None
        The part of ``message`` with what to do, if it is known.
    """

    setting: str
    value: Any
    message: str
    remedy: str | None = None


def config_error(
    error: ValidationError,
    root: type[Settings],
    source: str,
    file: Path | None = None,
    section: str | None = None,
    overrides: Sequence[str] = (),
) -> ConfigError:
    """Convert an error of pydantic.

    Parameters
    ----------
    error : ValidationError
        Error of pydantic.
    root : type
        The section that was validated.
    source : str
        Origin of the settings, with which the message begins.
    file : Path, optional
        The config file.
    section : str, optional
        Name of ``root`` in the config, if it is not the whole config.
    overrides : sequence of str, optional
        Settings as ``key=value``. If one of them is the only problem, the message begins with it.

    Returns
    -------
    ConfigError
        Error whose message lists all problems and whose attributes describe the first one.
    """
    problems = [_problem(details, root, section) for details in error.errors()]
    first = problems[0]
    lines = [problem.message for problem in problems]
    if len(problems) == 1:
        prefix = f"{section}." if section else ""
        for override in overrides:
            key = prefix + override.partition("=")[0]
            if f"{first.setting}.".startswith(f"{key}.") or key.startswith(f"{first.setting}."):
                source = f"override {override!r}"
    message = f"{source}: {lines[0]}" if len(lines) == 1 else "\n  ".join([f"{source}:", *lines])
    converted = ConfigError(message, setting=first.setting, file=file, value=first.value)
    converted.remedy = first.remedy
    return converted


def _problem(details: ErrorDetails, root: type[Settings], section: str | None) -> Problem:
    location = details["loc"]
    keys = [part for part in location if part not in SECTIONS and part != VALUES]
    prefix = [section] if section else []
    setting = ".".join(map(str, [*prefix, *keys])) or "config"
    value = details["input"]
    match details["type"]:
        case "extra_forbidden":
            remedy = did_you_mean(str(keys[-1]), _known_keys(root, keys[:-1], location))
            return Problem(setting, value, f"{setting}: unknown setting. {remedy}", remedy)
        case "missing":
            return Problem(setting, None, f"{setting}: required, but not given.")
        case "union_tag_invalid":
            known = re.findall(r"'([^']*)'", details["ctx"]["expected_tags"])
            kind = str(details["ctx"]["tag"])
            remedy = did_you_mean(kind, known)
            message = f"{setting}.kind: {kind!r} is unknown. {remedy}"
            return Problem(f"{setting}.kind", kind, message, remedy)
        case "literal_error" if isinstance(value, str):
            known = re.findall(r"'([^']*)'", details["ctx"]["expected"])
            suggestion = closest(value, known)
            remedy = f"Use {' or '.join(known)}."
            if suggestion:
                remedy = f"Did you mean {suggestion!r}? {remedy}"
            return Problem(setting, value, f"{setting}: {value!r} is unknown. {remedy}", remedy)
        case "value_error":
            cause = details["ctx"]["error"]
            if isinstance(cause, ConfigError):
                name = ".".join(filter(None, [*prefix, *map(str, keys), cause.setting]))
                return Problem(name, cause.value, str(cause), cause.remedy)
            return Problem(setting, value, f"{setting}: {cause}")
    message = f"{setting}: {details['msg']}, got {value!r}."
    if details["type"] in ("float_type", "int_type") and _is_number_without_point(value):
        remedy = "YAML reads 1e-4 as text: write 1.0e-4."
        return Problem(setting, value, f"{message} {remedy}", remedy)
    return Problem(setting, value, message)


def _is_number_without_point(value: Any) -> bool:
    """Tell whether a text is a number that YAML reads as text: ``1e-4``."""
    return isinstance(value, str) and re.fullmatch(r"[-+]?\d+[eE][-+]?\d+", value) is not None


def _known_keys(root: type[Settings], keys: list[Any], location: tuple[Any, ...]) -> list[str]:
    """List the keys that the section at ``keys`` accepts."""
    if kind := next((part for part in location if part in SECTIONS), None):
        return list(SECTIONS[kind].model_fields)
    section: Any = root
    for key in keys:
        if isinstance(key, str):  # an int is an index of a list
            annotation = section.model_fields[key].annotation
            # the section inside of X | None and list[X]
            section = next((m for m in get_args(annotation) if hasattr(m, "model_fields")), None)
            section = section or annotation
    return list(section.model_fields)
