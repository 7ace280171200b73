"""Pages that mkdocs generates from the code, the notebooks and files of the repository.

mkdocs calls ``on_files`` before it reads the pages (see ``hooks`` in ``mkdocs.yml``).
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from system_pages import markdown_table  # beside this file, where mkdocs and scripts find it

from depmm.cli import app
from depmm.config import ClassicalConfig, Config, config_json_schema
from depmm.measures.sets import SET_NAMES, measures_of
from depmm.media.voice import contours as voice_contours
from depmm.schemas import ALL as SCHEMAS
from depmm.schemas import metrics_json

ROOT = Path(__file__).parents[1]
REPOSITORY_FILES = {
    "results.md": "experiments/README.md",
    "reference/data_specs.md": "data_specs/README.md",
    "reference/changelog.md": "CHANGELOG.md",
    "reference/security.md": "SECURITY.md",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    pages = {
        "reference/commands.md": commands_page(),
        "reference/settings.md": settings_page(),
        "reference/tables.md": tables_page(),
        "reference/measures.md": measures_page(),
        "reference/config.schema.json": json.dumps(config_json_schema(), indent=1),
    }
    for page, source in REPOSITORY_FILES.items():
        pages[page] = (ROOT / source).read_text(encoding="utf-8")
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        pages[f"tutorials/{notebook.stem}.md"] = notebook_page(notebook)
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    return files


def commands_page() -> str:
    """Write the help of every command as a table of arguments and options."""
    group: Any = typer.main.get_command(app)
    parts = [
        "# Commands",
        "Exit status 0: success. 1: the command has finished, but reports a problem, for example "
        "an audit error or a recording that cannot be read. 2: the command has failed; the message "
        "contains the cause and the remedy. 130: interrupted (143: by SIGTERM); run the same "
        "command to continue. 141: the reader of the output has ended.",
    ]
    for name, command in group.commands.items():
        arguments = [_usage(p) for p in command.params if not hasattr(p, "is_flag")]
        usage = " ".join([f"depmm {name}", *arguments, "[OPTIONS]"])
        parts += [f"## depmm {name}", command.help or "", f"```\n{usage}\n```"]
        rows = [
            [f"`{_parameter_name(parameter)}`", getattr(parameter, "help", "") or ""]
            for parameter in command.params
            if parameter.name != "help"
        ]
        parts.append(markdown_table(["argument or option", "meaning"], rows))
    return "\n\n".join(parts) + "\n"


def _usage(argument: Any) -> str:
    name = _parameter_name(argument)
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _parameter_name(parameter: Any) -> str:
    if not hasattr(parameter, "is_flag"):
        return str(parameter.metavar or parameter.name.upper())
    names = ", ".join(parameter.opts)
    return names if parameter.is_flag else f"{names} {parameter.metavar or parameter.name.upper()}"


def settings_page() -> str:
    """Write every setting with its type, default and meaning."""
    parts = [
        "# Settings",
        "A config is a YAML file with these sections. `base: other.yaml` inherits the settings of "
        "another config; `key=value` on the command line changes a setting, for example "
        "`training.learning_rate=1.0e-3`. An unknown setting is an error. `null` is the value of a "
        "setting whose type allows None, for example `training.patience: null`; any other setting "
        "or section that is `null` has its default, whatever the base says, and an entry of a "
        "mapping that is `null` is removed, for example `model.encoders.face: null`. "
        "[config.schema.json](config.schema.json) is a JSON Schema of these settings for editors.",
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
        rows.append(
            [
                f"`{path}`",
                _type(field),
                _default(field),
                field.description or "",
            ]
        )
        inner += [(section, path) for section in _models(field.annotation)]
    yield f"## {prefix or 'top level'} ({model.__name__})"
    yield (model.__doc__ or "").split("\n\n")[0]
    yield markdown_table(["setting", "type", "default", "meaning"], rows)
    for section, path in inner:
        yield from _sections(section, path, seen)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models(part)]


def _type(field: FieldInfo) -> str:
    if models := _models(field.annotation):
        return " or ".join(model.__name__ for model in models)
    text = re.sub(
        r"\b(typing|pathlib|collections\.abc|depmm\.config(\.\w+)?)\.", "", str(field.annotation)
    )
    return re.sub(r"<class '(\w+)'>", r"\1", text)


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
                column.meaning,
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


def measures_page() -> str:
    """Write the measures of every set, and the columns of the stream of the voice."""
    contours = (voice_contours.__doc__ or "").split("\n\n", 1)[1]
    parts = [
        "# Measures",
        "The columns that `depmm measures MANIFEST STORE --out DIR` writes, by set. Sets describe "
        "the steps of a session; `timing` describes the whole session. A value that is undefined "
        "is missing, for example the pitch of a step without a voiced frame. How the measures of "
        "the voice agree with Praat, openSMILE and librosa is shown in "
        "[Measures of the voice](../concepts/voice.md).",
    ]
    for name in SET_NAMES:
        measures = measures_of(name)
        rows = [[f"`{m.name}`", m.group, m.unit, m.description] for m in measures]
        parts += [f"## {name}", f"{len(measures)} measures."]
        parts.append(markdown_table(["measure", "group", "unit", "formula and source"], rows))
    parts += ["## The stream voice", f"```\n{contours.strip()}\n```"]
    return "\n\n".join(parts) + "\n"


def notebook_page(path: Path) -> str:
    """Convert a notebook to a page of its text and its code, without output."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    parts = []
    for cell in cells:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
    parts.append(f"This page is the notebook `notebooks/{path.name}`.")
    return "\n\n".join(parts) + "\n"
