"""Report of indexing: what was required, present, missing, unused, superseded and excluded."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath

from depmm.corpora.errors import ManifestError

_SHOWN = 10  # entries of a list in the summary; the JSON has them all


@dataclass(frozen=True)
class Missing:
    """Something that the spec promises and the folder does not have.

    Attributes
    ----------
    kind : {"file", "recording", "row", "table", "word"}
        A file of a step, the recording of a table's row, the row of a recording, a table, or a word
        of the spec's word list.
    where : str
        The file or table that shows the gap.
    message : str
        What is missing.
    """

    kind: str
    where: str
    message: str


@dataclass(frozen=True)
class PatternCount:
    """How many files one pattern of the spec matched.

    Attributes
    ----------
    pattern : str
        The pattern, as written in the spec.
    role : str
        ``audio``, ``face``, ``audio+face``, with the name of features, or ``table``.
    required : bool
        Whether it is a table without which the corpus is incomplete.
    files : int
        Number of files.
    """

    pattern: str
    role: str
    required: bool
    files: int


@dataclass(frozen=True)
class IndexReport:
    """What a corpus folder holds; every visible file is counted exactly once.

    Attributes
    ----------
    corpus : str
        Corpus id.
    patterns : tuple of PatternCount
        The spec's patterns in order, each with its number of files.
    missing : tuple of Missing
        What the spec promises and the folder does not have.
    unused : tuple of str
        Files that no pattern matches, in folders of the corpus.
    unrelated_folders : dict of str to int
        Folder -> number of files, where no file below belongs to the corpus.
    superseded : tuple of tuple of (str, str)
        Path, and the file of an earlier pattern that is used instead.
    excluded : tuple of tuple of (str, str)
        Path, and the rule of the spec that excludes it or a step of it.
    ignored : int
        Number of files under ``ignore`` of the spec.
    hidden : int
        Number of files and folders whose name starts with a dot; they are never read.
    counts : dict of str to int
        Subjects, sessions, steps, labels and modalities of the manifest.
    """

    corpus: str
    patterns: tuple[PatternCount, ...]
    missing: tuple[Missing, ...]
    unused: tuple[str, ...]
    unrelated_folders: dict[str, int]
    superseded: tuple[tuple[str, str], ...]
    excluded: tuple[tuple[str, str], ...]
    ignored: int
    hidden: int
    counts: dict[str, int]

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing

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
            If it is anything else.
        """
        try:
            content = json.loads(text)
            content["patterns"] = tuple(PatternCount(**item) for item in content["patterns"])
            content["missing"] = tuple(Missing(**item) for item in content["missing"])
            content["unused"] = tuple(content["unused"])
            for name in ("superseded", "excluded"):
                content[name] = tuple((path, reason) for path, reason in content[name])
            return cls(**content)
        except (ValueError, KeyError, TypeError) as error:
            raise ManifestError(
                f"not a report of depmm index ({error}). Index the corpus again."
            ) from None

    def summary(self) -> str:
        """Return the counts and the first entries of each list, as text for a terminal."""
        count = self.counts
        lines = [
            f"{self.corpus}: {count['subjects']} subjects, {count['sessions']} sessions, "
            f"{count['steps']} steps ({count['steps_with_audio']} with audio, "
            f"{count['steps_with_face']} with face)",
            *[
                f"features: {name.removeprefix('steps_with_').removesuffix('_features')} of "
                f"{number} steps"
                for name, number in count.items()
                if name.endswith("_features")
            ],
            f"labels: {count['positive']} positive, {count['negative']} negative, "
            f"{count['unlabelled']} sessions without label; {count['scores']} with a score",
            "present:",
        ]
        lines += [
            f"  {item.files:>7} {item.pattern} ({item.role}{', required' if item.required else ''})"
            for item in self.patterns
        ]
        lines += _list_entries(
            "missing", [f"{item.where}: {item.message}" for item in self.missing]
        )
        lines += _list_entries("unused files", self.unused)
        lines += _list_entries(
            "superseded", [f"{path} by {other}" for path, other in self.superseded]
        )
        lines += _list_entries(
            "excluded by the spec", [f"{path}: {rule}" for path, rule in self.excluded]
        )
        lines += _list_entries(
            "folders without files of this corpus",
            [f"{folder}/ ({count} files)" for folder, count in self.unrelated_folders.items()],
        )
        if self.ignored or self.hidden:
            lines.append(f"ignored by the spec: {self.ignored}; hidden: {self.hidden}")
        return "\n".join(lines)


def separate_unrelated_folders(
    unmatched: Iterable[str], matched: Iterable[str]
) -> tuple[list[str], dict[str, int]]:
    """Separate stray files of a corpus from folders that have nothing to do with it.

    A folder may hold several corpora next to each other. A file that no pattern matches is *unused*
    when its folder, or one below, holds a file of this corpus; otherwise only its outermost
    unrelated folder is counted.

    Parameters
    ----------
    unmatched, matched : iterable of str
        Paths relative to the corpus root.

    Returns
    -------
    unused : list of str
        Paths.
    unrelated_folders : dict of str to int
        Folder -> number of files below.
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
    more = [f"  ... and {len(entries) - _SHOWN} more"] if len(entries) > _SHOWN else []
    return [f"{title}: {len(entries)}", *(f"  {entry}" for entry in entries[:_SHOWN]), *more]
