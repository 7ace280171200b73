"""Report of indexing: required, present, missing, unused, superseded and excluded files."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from depmm.corpora.errors import ManifestError
from depmm.corpora.near_misses import NearMiss
from depmm.files.checksums import read_text

_MAX_LISTED = 10  # entries of a list in the summary; the JSON contains all of them
_VALUES = re.compile(r"'[^']*'|[0-9]+")
_MAX_PER_KIND = 3  # failures that differ only in file, numbers and values


@dataclass(frozen=True)
class Missing:
    """A file or row that the spec requires and the folder does not contain.

    Attributes
    ----------
    kind : {"file", "recording", "row", "table", "word"}
        What is missing: a file of a step, the recording of a table row, the table row of a
        recording, a table, or a word in the word list of the spec.
    where : str
        File or table in which the gap was noticed.
    message : str
        Description of the gap.
    """

    kind: str
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}."


@dataclass(frozen=True)
class IndexFailure:
    """A file of one subject or session that cannot be used; the others are indexed.

    Attributes
    ----------
    file : str
        Path relative to the corpus root.
    line : int or None
        Line of the file.
    column : str or None
        Column or field.
    value : str or None
        The value that cannot be used.
    message : str
        What is wrong, where, and what to do.
    left_out : str
        What is not in the manifest, for example ``"session S1"`` or ``"1 of 20 steps of session
        S1"``.
    """

    file: str
    line: int | None
    column: str | None
    value: str | None
    message: str
    left_out: str

    def __str__(self) -> str:
        return f"{self.message} Left out: {self.left_out}."


@dataclass(frozen=True)
class LeftOut:
    """Number of files, rows or steps that rules of the spec leave out, per value.

    Attributes
    ----------
    source : str
        Pattern or table.
    unit : {"files", "rows", "steps", "values"}
        What is counted.
    kept, left_out : int
        Number of units that are used, and that are not.
    values : dict of str to int
        Field and value, or another reason -> number of units that are left out, largest first.
    hints : tuple of str
        Values that differ from a kept value only in case or blanks.
    example : str
        A file, or file and line, that is left out.
    """

    source: str
    unit: str
    kept: int
    left_out: int
    values: dict[str, int]
    hints: tuple[str, ...] = ()
    example: str = ""

    def __str__(self) -> str:
        text = f"{self.source}: {self.kept} of {self.kept + self.left_out} {self.unit} kept"
        shown = list(self.values.items())[:_MAX_LISTED]
        if shown:
            parts = [f"{value} ({count})" for value, count in shown]
            parts += ["..."] if len(self.values) > len(shown) else []
            text += f"; {self.left_out} left out: {', '.join(parts)}"
            text += f", for example {self.example}" if self.example else ""
        return ". ".join([text, *self.hints[:_MAX_LISTED]]) + "."


@dataclass(frozen=True)
class PatternCount:
    """Number of files that one pattern of the spec matched.

    Attributes
    ----------
    pattern : str
        The pattern, as written in the spec.
    role : str
        ``audio``, ``face`` or ``audio+face``, followed by the name of a feature stream, or
        ``table``.
    required : bool
        Whether the pattern is that of a required table.
    files : int
        Number of files.
    """

    pattern: str
    role: str
    required: bool
    files: int


@dataclass(frozen=True)
class IndexReport:
    """Content of a corpus folder; every visible file is counted exactly once.

    Attributes
    ----------
    corpus : str
        Corpus id.
    patterns : tuple of PatternCount
        The spec's patterns in order, each with its number of files.
    failures : tuple of IndexFailure
        Files of single sessions that cannot be used, and what is left out because of them.
    missing : tuple of Missing
        Files and rows that the spec requires and the folder does not contain.
    left_out : tuple of LeftOut
        Files, rows and steps that rules of the spec leave out, with their values.
    near_misses : tuple of NearMiss
        Patterns that further files would match but for case, extension, blanks or hyphens.
    unused : tuple of str
        Files that no pattern matches, in folders of the corpus.
    unrelated_folders : dict of str to int
        Folders that contain no file of the corpus, with their number of files.
    superseded : tuple of tuple of (str, str)
        Path, and the file of an earlier pattern that is used instead.
    excluded : tuple of tuple of (str, str)
        Path, and the rule of the spec that excludes it or a step of it, or the part of it that is
        not used because another file of the step is shorter or longer.
    ignored : int
        Number of files that match ``ignore`` of the spec.
    hidden : int
        Number of files and folders whose name starts with a dot; they are never read.
    counts : dict of str to int
        Subjects, sessions, steps, labels and modalities of the manifest.
    unused_ignores : tuple of str
        Patterns of ``ignore`` of the spec that match no file.
    """

    corpus: str
    patterns: tuple[PatternCount, ...]
    failures: tuple[IndexFailure, ...]
    missing: tuple[Missing, ...]
    left_out: tuple[LeftOut, ...]
    near_misses: tuple[NearMiss, ...]
    unused: tuple[str, ...]
    unrelated_folders: dict[str, int]
    superseded: tuple[tuple[str, str], ...]
    excluded: tuple[tuple[str, str], ...]
    ignored: int
    hidden: int
    counts: dict[str, int]
    unused_ignores: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether nothing is missing and every file can be used."""
        return not self.missing and not self.failures

    def to_json(self) -> str:
        """Return the whole report as JSON."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "IndexReport":
        """Read what ``to_json`` returns.

        Parameters
        ----------
        text : str
            JSON.

        Returns
        -------
        IndexReport
            The report.

        Raises
        ------
        ManifestError
            If the text is not such a report.
        """
        try:
            content = json.loads(text)
            content["patterns"] = tuple(PatternCount(**item) for item in content["patterns"])
            content["failures"] = tuple(IndexFailure(**item) for item in content["failures"])
            content["missing"] = tuple(Missing(**item) for item in content["missing"])
            content["left_out"] = tuple(
                LeftOut(**{**item, "hints": tuple(item["hints"])}) for item in content["left_out"]
            )
            near = content.get("near_misses", ())  # reports of earlier versions have none
            content["near_misses"] = tuple(NearMiss(**item) for item in near)
            content["unused"] = tuple(content["unused"])
            content["unused_ignores"] = tuple(content.get("unused_ignores", ()))
            for name in ("superseded", "excluded"):
                content[name] = tuple((path, reason) for path, reason in content[name])
            return cls(**content)
        except (ValueError, KeyError, TypeError) as error:
            raise ManifestError(
                f"not a report of depmm index ({error}). Index the corpus again."
            ) from None

    def summary(self) -> str:
        """Return the counts and the first entries of each list, as text for a terminal."""
        counts = self.counts
        lines = [
            f"{self.corpus}: {counts['subjects']} subjects, {counts['sessions']} sessions, "
            f"{counts['steps']} steps ({counts['steps_with_audio']} with audio, "
            f"{counts['steps_with_face']} with face)",
            *[
                f"modality {name.removeprefix('steps_with_any_')}: {n_steps} of {counts['steps']} "
                "steps, features included"
                for name, n_steps in counts.items()
                if name.startswith("steps_with_any_")
            ],
            *[
                f"features: {name.removeprefix('steps_with_').removesuffix('_features')} of "
                f"{n_steps} steps"
                for name, n_steps in counts.items()
                if name.endswith("_features") and not name.startswith("steps_with_any_")
            ],
            f"labels: {counts['positive']} positive, {counts['negative']} negative, "
            f"{counts['unlabelled']} without label; {counts['scores']} with a score",
            "present:",
        ]
        lines += [
            f"  {item.files:>7} {item.pattern} ({item.role}{', required' if item.required else ''})"
            for item in self.patterns
        ]
        if self.failures:
            lines.append(f"failures: {len(self.failures)}")
            listed = list_failures(self.failures, _MAX_PER_KIND)
            lines += [f"  {line}" for line in listed[:_MAX_LISTED]]
            lines += ["  ... index.json has all of them"] if len(listed) > _MAX_LISTED else []
        lines += _list_entries("missing", list(map(str, self.missing)))
        lines += _list_entries("left out by the spec", list(map(str, self.left_out)))
        lines += _list_entries("near misses", list(map(str, self.near_misses)))
        lines += _list_entries("unused files", self.unused)
        lines += _list_entries(
            "superseded", [f"{path} by {other}" for path, other in self.superseded]
        )
        lines += _list_entries(
            "files that are not used, or not completely",
            [f"{path}: {reason}" for path, reason in self.excluded],
        )
        lines += _list_entries(
            "folders without files of this corpus",
            [
                f"{folder}/ ({count} file{'s' if count > 1 else ''})"
                for folder, count in self.unrelated_folders.items()
            ],
        )
        if self.ignored or self.hidden:
            lines.append(f"ignored by the spec: {self.ignored}; hidden: {self.hidden}")
        lines += _list_entries("patterns of ignore that match no file", list(self.unused_ignores))
        return "\n".join(lines)


def list_failures(failures: Iterable[IndexFailure], at_most: int) -> list[str]:
    """Write failures by their kind: those of one kind differ only in file, numbers and values.

    Parameters
    ----------
    failures : iterable of IndexFailure
        The failures.
    at_most : int
        Number of failures of each kind that are listed.

    Returns
    -------
    list of str
        The failures, and for each kind the number of the others.
    """
    kinds: dict[str, list[IndexFailure]] = {}
    for failure in failures:
        kind = _VALUES.sub("", failure.message.replace(failure.file, ""))
        kinds.setdefault(kind, []).append(failure)
    lines = []
    for found in kinds.values():
        lines += [str(failure) for failure in found[:at_most]]
        if len(found) > at_most:
            lines.append(f"... and {len(found) - at_most} more of this kind.")
    return lines


def separate_unrelated_folders(
    unmatched: Iterable[str], matched: Iterable[str]
) -> tuple[list[str], dict[str, int]]:
    """Separate unused files of a corpus from folders that do not belong to it.

    A root may contain several corpora. A file that no pattern matches is *unused* if its folder, or
    a folder below, contains a file of this corpus. Otherwise only its outermost unrelated folder is
    listed.

    Parameters
    ----------
    unmatched, matched : iterable of str
        Paths relative to the corpus root.

    Returns
    -------
    unused : list of str
        Paths.
    unrelated_folders : dict of str to int
        Folder -> number of files in it and below.
    """
    corpus_folders = {"."}
    for folder in {path.rpartition("/")[0] for path in matched}:
        corpus_folders.update([folder, *map(str, PurePosixPath(folder).parents)])
    unused, counts = [], Counter[str]()
    outermost: dict[str, str | None] = {}
    for path in unmatched:
        folder = path.rpartition("/")[0] or "."
        if folder not in outermost:
            above = [*map(str, reversed(PurePosixPath(folder).parents)), folder]
            unrelated = (name for name in above if name not in corpus_folders)
            outermost[folder] = next(unrelated, None)
        top = outermost[folder]
        if top is None:
            unused.append(path)
        else:
            counts[top] += 1
    return unused, dict(sorted(counts.items()))


def _list_entries(title: str, entries: Sequence[str]) -> list[str]:
    if not entries:
        return []
    more = [f"  ... and {len(entries) - _MAX_LISTED} more"] if len(entries) > _MAX_LISTED else []
    return [f"{title}: {len(entries)}", *(f"  {entry}" for entry in entries[:_MAX_LISTED]), *more]


def read_index_report(manifest: Path) -> IndexReport | None:
    """Read the report that ``depmm index`` writes into the folder of a manifest.

    Parameters
    ----------
    manifest : Path
        Folder of the manifest.

    Returns
    -------
    IndexReport or None
        The report; None if there is no ``index.json``.

    Raises
    ------
    ManifestError
        If ``index.json`` is not a report.
    """
    path = manifest / "index.json"
    if not path.is_file():
        return None
    text = read_text(path)
    try:
        return IndexReport.from_json(text)
    except ValueError as error:
        raise ManifestError(f"{path}: {error}", file=path) from None
