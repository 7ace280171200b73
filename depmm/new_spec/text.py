"""Write a proposed spec as YAML with comments."""

import json
import re
import textwrap
from typing import Any

from depmm.corpora.instruments import INSTRUMENTS, find_scale, short_name
from depmm.new_spec.coverage import Coverage
from depmm.new_spec.sections import Draft, Entry

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_. -]*[A-Za-z0-9_]|[A-Za-z]")
_RESERVED = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
_WIDTH = 110


def write_spec(name: str, draft: Draft, coverage: Coverage) -> str:
    """Write a spec with a comment for every proposal.

    Parameters
    ----------
    name : str
        Id of the corpus.
    draft : Draft
        The sections.
    coverage : Coverage
        Counts of the patterns of recordings, tables and the step table, in this order.

    Returns
    -------
    str
        The YAML document.
    """
    fields, counts = draft.fields, iter(zip(coverage.counts, coverage.examples, strict=True))
    lines = _comment(
        "Proposed by depmm new-spec. Check what is marked GUESS, and correct it. Keys that are not "
        "used here are described under Data specs in the documentation."
    )
    lines += [f"name: {_scalar(name)}", "# title, citation, licence and access are optional", ""]
    lines += _comment(*draft.comments.get("recordings", []))
    lines.append("recordings:")
    for entry in draft.recordings:
        lines += _entry(entry, "pattern", *next(counts), coverage.n_files, draft)
    table_lines: list[str] = []
    for entry in draft.tables:
        table_lines += _entry(entry, "file", *next(counts), coverage.n_files, draft)
    lines += [""]
    for field, why in fields.evidence.items():
        lines += _comment(f"{field}: {why}")
    if "GUESS" not in " ".join(fields.evidence.values()) and fields.session == "{subject}":
        lines += _comment("one session per subject: no part of the names is a visit or a date")
    lines.append(f"subject: {_scalar(_expand(fields.subject, draft))}")
    if fields.date_format is not None:
        lines += _comment("the dates of a subject are numbered: visit 1, 2, ...")
        lines.append(f"visits: {write_value({'date': 'date', 'format': fields.date_format})}")
    lines.append(f"session: {_scalar(fields.session)}")
    modalities = _modalities_of_all(draft)
    if modalities:
        lines.append(f"required_modalities: {write_value(modalities)}")
    if fields.order or draft.steps:
        lines += ["", "steps:"]
        if fields.order:
            lines += _comment(
                "GUESS: files of a session are steps, in the order of these", indent=2
            )
            lines.append(f"  order: {write_value(fields.order)}")
        if draft.steps:
            step_lines = _entry(draft.steps, "file", *next(counts), coverage.n_files, draft)
            lines.append("  table:")
            lines += [
                "    " + re.sub(r"^  - ", "", line).strip()
                if line.startswith("  - ")
                else "  " + line[2:]
                if not line.strip().startswith("#")
                else "    " + line.strip()
                for line in step_lines
            ]
    lines += [""] if table_lines else []
    lines += ["tables:", *table_lines] if table_lines else []
    lines += _comment(*draft.comments.get("tables", []))
    if draft.unjoined:
        lines += _comment(
            f"not used, no part of the paths agrees: {', '.join(draft.unjoined[:10])}"
        )
    if draft.codes:
        lines += ["", "codes:"]
        for field, rule in draft.codes.items():
            lines.append(f"  {field}: {write_value(rule)}")
    lines += [""]
    for note in draft.comments.get("label", []):
        lines += _comment(note)
    if draft.label:
        label = dict(draft.label)
        label["instrument"] = _instrument(label["instrument"])
        lines.append(f"label: {write_value(label)}")
    else:
        lines += _comment(
            "no column with scores or classes was found. For example:",
            "label: {instrument: PHQ-9, score: phq}",
        )
    if draft.empty:
        lines += ["", *_comment("files without content")]
        lines.append(f"ignore: {write_value(draft.empty)}")
    if coverage.unmatched:
        files = (
            "1 file matches" if coverage.n_unmatched == 1 else f"{coverage.n_unmatched} files match"
        )
        lines += ["", *_comment(f"{files} no pattern:")]
        lines += [f"#   {path}" for path in coverage.unmatched[:20]]
    return "\n".join(lines) + "\n"


def _modalities_of_all(draft: Draft) -> list[str]:
    found = [entry.keys["modalities"] for entry in draft.recordings]
    return list(dict.fromkeys(name for names in found for name in names))


def _expand(text: str, draft: Draft) -> str:
    """Replace fields that consist of several ones in a template."""
    for name, parts in draft.fields.expansions.items():
        text = text.replace("{" + name + "}", re.sub(r":[0-9]+", "", parts))
    return text


def expand_pattern(pattern: str, draft: Draft) -> str:
    """Replace fields that consist of several ones in a pattern.

    Parameters
    ----------
    pattern : str
        A pattern of the draft.
    draft : Draft
        The draft.

    Returns
    -------
    str
        The pattern as the spec has it.
    """
    for name, parts in draft.fields.expansions.items():
        pattern = re.sub(r"\{" + name + r"(?::[0-9]+)?\}", parts, pattern, count=1)
    return _expand(pattern, draft)


def _entry(
    entry: Entry, key: str, count: int, examples: list[str], n_files: int, draft: Draft
) -> list[str]:
    """Write one pattern or table."""
    shown = f", for example {', '.join(examples)}" if examples else ""
    comments = [f"{count} of {n_files} files{shown}", *entry.comments]
    lines = [line for comment in comments for line in _comment(comment, indent=2)]
    keys = dict(entry.keys)
    if "join" in keys:
        keys["join"] = _expand_join(keys["join"], entry.pattern, draft)
    lines.append(f"  - {key}: {_scalar(expand_pattern(entry.pattern, draft))}")
    lines += [f"    {name}: {write_value(value)}" for name, value in keys.items()]
    return lines


def _expand_join(join: dict[str, str], pattern: str, draft: Draft) -> dict[str, str]:
    expanded = {}
    for column, target in join.items():
        parts = draft.fields.expansions.get(target)
        if parts is None:
            expanded[column] = _expand(target, draft)
        elif column == target and "{" + target + "}" in pattern:
            expanded |= {name: name for name in re.findall(r"\{(\w+)", parts)}
        else:
            expanded[column] = _expand("{" + target + "}", draft)
    return expanded


def _instrument(text: str) -> Any:
    if text in INSTRUMENTS:
        return text
    scale = find_scale(text)
    definition = {"name": short_name(text), "minimum": scale.lowest, "maximum": scale.highest}
    return definition | ({"cut_off": scale.cut_off} if scale.cut_off is not None else {})


def _comment(*texts: str, indent: int = 0) -> list[str]:
    lines = []
    for text in texts:
        printable = "".join(letter if letter.isprintable() else "?" for letter in text)
        wrapped = textwrap.wrap(printable, _WIDTH - indent - 2, break_long_words=False)
        lines += [f"{' ' * indent}# {line}" for line in wrapped]
    return lines


def write_value(value: Any) -> str:
    """Write a value in the flow style of YAML.

    Parameters
    ----------
    value : object
        Mappings, lists, texts, numbers, Booleans and None.

    Returns
    -------
    str
        YAML.
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(k)}: {write_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(write_value(item) for item in value) + "]"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:.10g}"
    return _scalar(value)


def _scalar(text: str) -> str:
    """Write a text plainly if YAML reads it as this text, else in quotation marks."""
    if _PLAIN.fullmatch(text) and text.lower() not in _RESERVED:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    # JSON leaves DEL and the line breaks of Unicode as they are, which YAML refuses or folds
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in quoted)
