"""Reference pages of commands, settings and tables, generated from the code."""

import inspect
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from system_pages import markdown_table  # beside this file, where mkdocs and scripts find it

from depmm.cli import app
from depmm.config import ClassicalConfig, Config
from depmm.config.load import read_with_bases
from depmm.config.shipped import find_config, list_configs
from depmm.schemas import ALL as SCHEMAS
from depmm.schemas import metrics_json

DOCS = Path(__file__).parent
UNITS = {"s": "s", "hz": "Hz", "db": "dB", "ms": "ms"}  # by the end of the name of a setting
UNIT_WORDS = re.compile(r"\bin (dB|Hz|pixels|samples|seconds|s|frames)\b")
N_USES = 2  # shipped configs that a row names


def commands_page() -> str:
    """Write usage, arguments, options, exit status and an example of every command."""
    group: Any = typer.main.get_command(app)
    parts = [
        "# Commands",
        "Exit status of all commands: 0, success; 2, the command has failed, and the message "
        "contains the cause and the remedy ([Errors](errors.md)); 130, interrupted (143: by "
        "SIGTERM), run the same command to continue; 141, the reader of the output has ended. "
        "Status 1 means that the command has finished and reports a problem, and is explained at "
        "the commands that have it.",
    ]
    examples = command_examples()
    for name, command in group.commands.items():
        arguments = [_usage(p) for p in command.params if not hasattr(p, "is_flag")]
        usage = " ".join([f"depmm {name}", *arguments, "[OPTIONS]"])
        parts += [f"## depmm {name}", command.help or "", f"```\n{usage}\n```"]
        rows = [
            [
                f"`{_parameter_name(parameter)}`",
                getattr(parameter, "help", "") or "",
                _parameter_default(parameter),
            ]
            for parameter in command.params
            if parameter.name != "help"
        ]
        if rows:
            parts.append(markdown_table(["argument or option", "meaning", "default"], rows))
        if "typer.Exit(1)" in inspect.getsource(inspect.unwrap(command.callback)):
            parts.append(f"Exit status 1: {_status_1(command.help or '')}.")
        if name in examples:
            page, line = examples[name]
            parts.append(f"Example, from [{_title(page)}](../{page}):\n\n```\n{line}\n```")
    return "\n\n".join(parts) + "\n"


def _status_1(text: str) -> str:
    found = re.search(r"[Ee]xits with 1 (if [^.]+)", text)
    return " ".join(found.group(1).split()) if found else "a problem is reported"


@cache
def command_examples() -> Mapping[str, tuple[str, str]]:
    """Find the first line of a code block of the pages that calls each command.

    Returns
    -------
    mapping of str to tuple of (str, str)
        Page, relative to the folder of the docs, and line, by command.
    """
    found: dict[str, tuple[str, str]] = {}
    for page in sorted(DOCS.rglob("*.md"), key=_order):
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        for block in re.findall(r"^```\w*\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
            for line in block.splitlines():
                if match := re.match(r"depmm ([a-z-]+)( |$)", line):
                    shown = " ".join(line.split())
                    found.setdefault(match[1], (page.relative_to(DOCS).as_posix(), shown))
    return found


def _order(page: Path) -> tuple[int, str]:
    """Sort pages: how-to pages explain a command at length."""
    return page.parent.name != "how-to", page.as_posix()


def _title(page: str) -> str:
    text = (DOCS / page).read_text(encoding="utf-8")
    return text.partition("\n")[0].lstrip("# ")


def _usage(argument: Any) -> str:
    name = _parameter_name(argument)
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _parameter_name(parameter: Any) -> str:
    if not hasattr(parameter, "is_flag"):
        return str(parameter.metavar or parameter.name.upper())
    names = ", ".join(parameter.opts)
    return names if parameter.is_flag else f"{names} {parameter.metavar or parameter.name.upper()}"


def _parameter_default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    value = parameter.default
    if value is None or value is False or value in ((), ""):
        return ""
    return f"`{value}`"


def settings_page() -> str:
    """Write every setting with type, default, unit, meaning, and the configs that set it."""
    parts = [
        "# Settings",
        "A config is a YAML file with these sections. `base: other.yaml` inherits the settings of "
        "another config, and `base: demo` those of a config of depmm; `key=value` on the command "
        "line changes a setting, for example "
        "`training.learning_rate=1.0e-3`. An unknown setting is an error, which names the most "
        "similar one. `null` is the value of a "
        "setting whose type allows None, for example `training.patience: null`; any other setting "
        "or section that is `null` has its default, whatever the base says, and an entry of a "
        "mapping that is `null` is removed, for example `model.encoders.face: null`. "
        "The last column names shipped configs whose file contains the setting; those that inherit "
        "it from their base are not counted (`depmm configs NAME` prints a config).",
        "For completion and checks in an editor, write the JSON Schema of configs (or of data "
        "specs) beside yours, and name it in the first line:",
        "```\ndepmm schema config > schema.json\n```",
        "```yaml\n# yaml-language-server: $schema=schema.json\nname: my_config\n```",
        "This comment is read by the YAML extension of VS Code and by other editors that use "
        "yaml-language-server. The schema is also [on this site](config.schema.json). Rules "
        "between settings are not part of it; depmm checks them when it reads the config.",
    ]
    seen: set[type[BaseModel]] = set()
    for model in (Config, ClassicalConfig):
        parts += list(_sections(model, "", seen))
    return "\n\n".join(parts) + "\n"


def _sections(model: type[BaseModel], prefix: str, seen: set[type[BaseModel]]) -> Iterator[str]:
    if model in seen:
        return
    seen.add(model)
    inner: list[tuple[type[BaseModel], str]] = []
    rows = []
    for name, field in model.model_fields.items():
        path = f"{prefix}.{name}" if prefix else name
        text = field.description or ""
        rows.append(
            [
                f'<a id="{model.__name__}.{name}"></a>`{path}`',
                _type(field),
                _default(field),
                _unit(name, text),
                text,
                _uses(model, name),
            ]
        )
        inner += [(section, path) for section in _models(field.annotation)]
    yield f"## {prefix or 'top level'} ({model.__name__})"
    yield (model.__doc__ or "").split("\n\n")[0]
    yield markdown_table(["setting", "type", "default", "unit", "meaning", "set by"], rows)
    for section, path in inner:
        yield from _sections(section, path, seen)


def _unit(name: str, description: str) -> str:
    if found := UNIT_WORDS.search(description):
        return {"seconds": "s"}.get(found[1], found[1])
    return UNITS.get(name.rpartition("_")[2], "") if "_" in name else ""


def _uses(model: type[BaseModel], name: str) -> str:
    if name == "name" or _models(model.model_fields[name].annotation):
        return ""  # every config has a name, and sections list their own settings
    names = sorted(config_uses().get((model.__name__, name), []), key=len)
    more = f" and {len(names) - N_USES} more" if len(names) > N_USES else ""
    return ", ".join(f"`{config}`" for config in names[:N_USES]) + more


@cache
def config_uses() -> Mapping[tuple[str, str], list[str]]:
    """Collect the shipped configs whose file contains each setting.

    Returns
    -------
    mapping of (str, str) to list of str
        Names of configs, by class and setting.
    """
    uses: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, _ in list_configs():
        file = find_config(name)
        raw = yaml.safe_load(file.read_text(encoding="utf-8"))
        merged = read_with_bases(file)
        kind = ClassicalConfig if "classical" in merged else Config
        for key in dict.fromkeys(_used(kind, raw, merged)):
            uses[key].append(name)
    return uses


def _used(model: type[BaseModel], raw: Any, merged: Any) -> Iterator[tuple[str, str]]:
    """Walk the settings of a file; the kinds of its sections may be those of its base."""
    for name, value in raw.items():
        if name not in model.model_fields:
            continue
        yield model.__name__, name
        field = model.model_fields[name]
        models = _models(field.annotation)
        full = merged.get(name)
        if not models or not isinstance(value, dict) or not isinstance(full, dict):
            continue
        # a mapping by modality or by a single section
        named = "dict[" in str(field.annotation).lower()
        pairs = [(v, full.get(k)) for k, v in value.items()] if named else [(value, full)]
        for part, whole in pairs:
            if isinstance(part, dict) and isinstance(whole, dict):
                yield from _used(_of_kind(models, whole), part, whole)


def _of_kind(models: list[type[BaseModel]], values: Mapping[str, Any]) -> type[BaseModel]:
    for model in models:
        kind = model.model_fields.get("kind")
        if kind is not None and values.get("kind") in get_args(kind.annotation):
            return model
    return models[0]


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models(part)]


def _type(field: FieldInfo) -> str:
    if models := _models(field.annotation):
        return " or ".join(model.__name__ for model in models)
    return _type_name(field.annotation)


def _type_name(annotation: Any) -> str:
    """Write a type without the validators that are attached to it."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_name(parts[0])
    if origin is Literal:
        return ", ".join(map(repr, parts))
    if origin in (Union, UnionType):
        return " | ".join(map(_type_name, parts))
    if origin is not None:
        return f"{origin.__name__}[{', '.join(map(_type_name, parts))}]"
    return "None" if annotation is type(None) else str(getattr(annotation, "__name__", annotation))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "section below"
    return f"`{str(value)!r}`" if isinstance(value, Path) else f"`{value!r}`"


def tables_page() -> str:
    """Write the columns of every table and the keys of metrics.json."""
    parts = [
        "# Tables",
        "The columns of every table that depmm writes, and the keys of "
        "[metrics.json](#metricsjson). Parquet files can be read with pandas, R and DuckDB.",
    ]
    for schema in SCHEMAS.values():
        rows = [
            [
                f"`{column.name}`",
                column.dtype + (" or missing" if column.nullable else ""),
                column.unit or "",
                column.meaning + ("" if column.required else " (not in every table)"),
            ]
            for column in schema.columns
        ]
        parts += [f"## {schema.file}", schema.meaning]
        if schema.extra_columns:
            parts.append("The table may have further columns.")
        parts.append(markdown_table(["column", "type", "unit", "meaning"], rows))
    summary, conventions = (metrics_json.__doc__ or "").split("\n\n", 1)
    keys = [[f"`{key.path}`", key.type, key.meaning] for key in metrics_json.METRICS_JSON]
    parts += ["## metrics.json", summary, conventions.strip()]
    parts.append(markdown_table(["key", "type", "meaning"], keys))
    return "\n\n".join(parts) + "\n"
