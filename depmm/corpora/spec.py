"""Data specs: one YAML file describes how the files of a corpus become subjects and sessions.

``data_specs/README.md`` documents every key. Reading is strict: an unknown key, a field without a
source, or a cut-off outside the range of its instrument is an error with file, line and remedy.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from depmm.config import ConfigError, RowSelection, Settings, StreamConfig, ValidityRule
from depmm.corpora.corpus_facts import CorpusFacts, RelatedCorpus, Windows
from depmm.corpora.spec_rules import check_spec
from depmm.corpora.spec_schema import (
    Codes,
    ExcludedInterval,
    InstrumentDefinition,
    Label,
    Nearest,
    RecordingPattern,
    Simulation,
    Spec,
    Steps,
    StepTable,
    Table,
    Visits,
)
from depmm.corpora.strict_yaml import Problem, parse_yaml
from depmm.corpora.tables.table_files import normalize
from depmm.errors import DepmmError, did_you_mean
from depmm.files.limited_yaml import Location, YamlError, check_size
from depmm.shipped_files import find_by_name, shipped_folder

__all__ = [
    "Spec",
    "SpecError",
    "list_spec_names",
    "list_specs",
    "load_spec",
    "parse_spec",
    "shipped_facts",
    "specs_folder",
]


class SpecError(DepmmError):
    """A data spec that cannot be used."""


def specs_folder() -> Path:
    """Return the folder of the data specs that ship with depmm.

    Returns
    -------
    Path
        ``data_specs`` inside the installed package, or next to it in a checkout.
    """
    return shipped_folder("data_specs", "data_specs")


def list_specs() -> list[tuple[str, str]]:
    """List the data specs that ship with depmm.

    Returns
    -------
    list of tuple of (str, str)
        Name and title of every spec, sorted by name.
    """
    return [(name, load_spec(name).title or name) for name in list_spec_names()]


def list_spec_names() -> list[str]:
    """List the names of the data specs that ship with depmm.

    Returns
    -------
    list of str
        Sorted names.
    """
    return sorted(path.stem for path in specs_folder().glob("*.yaml"))


@lru_cache(maxsize=256)
def shipped_facts(corpus: str) -> CorpusFacts:
    """Return the facts about a corpus in the specs that ship with depmm.

    Parameters
    ----------
    corpus : str
        Corpus id. An id that begins with the name of a spec, such as ``mpdd_2025``, is treated as a
        part or release of that corpus.

    Returns
    -------
    CorpusFacts
        The facts; empty for an unknown corpus.
    """
    names = [name for name in list_spec_names() if corpus.startswith(name)]
    return (
        load_spec(specs_folder() / f"{max(names, key=len)}.yaml").facts if names else CorpusFacts()
    )


def all_facts(
    corpora: Iterable[str], manifest_facts: Mapping[str, CorpusFacts]
) -> dict[str, CorpusFacts]:
    """Collect the facts of every corpus: of the manifest, then of the specs of depmm.

    Parameters
    ----------
    corpora : iterable of str
        Corpus ids.
    manifest_facts : mapping of str to CorpusFacts
        Facts in the manifest.

    Returns
    -------
    dict of str to CorpusFacts
        Facts of each of the corpora.
    """
    collected = {}
    for corpus in corpora:
        facts = manifest_facts.get(corpus, CorpusFacts())
        for name in (corpus, *facts.layouts):
            facts = facts.union(shipped_facts(name))
        collected[corpus] = facts
    return collected


def find_spec(spec: Path | str) -> Path:
    """Find the file of a data spec by its path or its name.

    Parameters
    ----------
    spec : Path or str
        Path of a YAML file, or the name of a spec that ships with depmm, such as ``daic_woz``. A
        file of that name in the working directory takes precedence.

    Returns
    -------
    Path
        The file; not checked if ``spec`` is a path.

    Raises
    ------
    SpecError
        If no spec of that name ships with depmm.
    """
    return find_by_name(spec, specs_folder(), "data spec", SpecError)


def load_spec(spec: Path | str) -> Spec:
    """Read and check a data spec.

    Parameters
    ----------
    spec : Path or str
        Path of a YAML file, or the name of a spec that ships with depmm, such as ``daic_woz``. A
        file of that name in the working directory takes precedence.

    Returns
    -------
    Spec
        The spec.

    Raises
    ------
    SpecError
        If there is no such file or name, the file is not YAML, a key is unknown or missing, a value
        is wrong, a field has no source, or the cut-off is outside the range of the instrument.
    """
    path = find_spec(spec)
    try:
        check_size(path)
        text = path.read_text(encoding="utf-8")
    except YamlError as error:
        raise _yaml_error(str(path), error) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        siblings = sorted(file.name for file in path.parent.glob("*.yaml"))
        raise SpecError(
            f"{path}: cannot be read: {reason}. {did_you_mean(path.name, siblings)}", file=path
        ) from None
    return parse_spec(text, str(path))


def parse_spec(text: str, source: str) -> Spec:
    """Check a data spec that is given as text.

    Parameters
    ----------
    text : str
        The YAML document.
    source : str
        Name of the document in errors; paths in the spec are relative to its folder.

    Returns
    -------
    Spec
        The spec.

    Raises
    ------
    SpecError
        As ``load_spec``. The message lists all problems; the attributes are those of the first.
    """
    try:
        values, lines, problems = parse_yaml(normalize(text))
    except YamlError as error:
        raise _yaml_error(source, error) from None
    if not isinstance(values, dict):
        raise SpecError(
            f"{source}: a spec is a mapping with name, recordings, session, ...; this file has a "
            f"{type(values).__name__}.",
            file=source,
            value=values,
            remedy="Correct the file, or give another one.",
        )
    spec = None
    if not problems:
        try:
            spec = Spec.model_validate(values)
            problems = list(check_spec(spec))
        except ValidationError as error:
            # a misspelt key is also reported as missing: list unknown keys first
            items = sorted(error.errors(), key=lambda item: item["type"] == "missing")
            problems = [_problem(dict(item)) for item in items]
    if spec is None or problems:
        raise _spec_error(problems, lines, source)
    if spec.word_list is not None:
        spec = spec.model_copy(update={"word_list": str(Path(source).parent / spec.word_list)})
    return spec


def _yaml_error(source: str, error: YamlError) -> SpecError:
    where = source if error.line is None else f"{source}, line {error.line}"
    return SpecError(f"{where}: {error}.", file=source, line=error.line, remedy=error.remedy)


def _spec_error(problems: list[Problem], lines: dict[Location, int], source: str) -> SpecError:
    """Build one error from all problems, with the attributes of the first."""
    messages, positions = [], []
    for location, message in problems:
        ancestor = location
        while ancestor and ancestor not in lines:
            ancestor = ancestor[:-1]
        line = lines.get(ancestor, 1)
        parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in location]
        setting = "".join(parts).lstrip(".")
        messages.append(f"{source}, line {line}: {setting}: {message}")
        positions.append((setting, line))
    setting, line = positions[0]
    return SpecError("\n".join(messages), file=source, line=line, setting=setting)


def _problem(item: dict[str, Any]) -> Problem:
    """Convert an error of pydantic to a location and a message with a remedy."""
    location = tuple(part for part in item["loc"] if part != "[key]")
    cause = item.get("ctx", {}).get("error")
    if isinstance(cause, ConfigError) and cause.setting:  # a rule of a whole section
        return (*location, cause.setting), f"{cause} Got {cause.value!r}."
    if item["type"] == "extra_forbidden":
        hint = did_you_mean(str(location[-1]), _known_keys(location[:-1]))
        return location, f"unknown key. {hint}"
    if item["type"] == "missing":
        return location, "required, but not given. Add it."
    advice = "Put the value in quotes." if item["type"] == "string_type" else "Correct the value."
    return location, f"{item['msg']}, got {item['input']!r}. {advice}"


def _known_keys(location: Location) -> list[str]:
    """Return the keys of the section at a location."""
    sections: dict[str, type[Settings]] = {
        "recordings": RecordingPattern,
        "tables": Table,
        "steps": Steps,
        "codes": Codes,
        "label": Label,
        "visits": Visits,
        "simulate": Simulation,
        "related_corpora": RelatedCorpus,
    }
    subsections: dict[tuple[str, ...], type[Settings]] = {
        ("tables", "nearest"): Nearest,
        ("steps", "table"): StepTable,
        ("label", "instrument"): InstrumentDefinition,
        ("steps", "windows"): Windows,
        ("steps", "excluded_intervals"): ExcludedInterval,
        ("recordings", "features"): StreamConfig,
        ("recordings", "features", "valid"): ValidityRule,
        ("recordings", "features", "select"): RowSelection,
    }
    names = tuple(part for part in location if isinstance(part, str))
    model = sections.get(names[0], Spec) if names else Spec
    model = subsections.get(names[:2], model)
    return list(subsections.get(names[:3], model).model_fields)
