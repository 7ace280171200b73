"""The account that indexing gives: required, present, missing, unused, superseded, left out."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath

_SHOWN = 10  # entries of a list in the summary; the JSON has them all


@dataclass(frozen=True)
class Missing:
    """Something that the spec promises and the folder lacks.

    Parameters
    ----------
    kind : ``file`` of a step, ``recording`` of a table's row, ``row`` of a recording, ``table``,
        ``word`` of the spec's word list
    where : the file or table that shows the gap
    message : what is missing
    """

    kind: str
    where: str
    message: str


@dataclass(frozen=True)
class PatternCount:
    """How many files one pattern of the spec matched.

    Parameters
    ----------
    pattern : as written in the spec
    role : ``audio``, ``face``, ``audio+face`` or ``table``
    required : a table without which the corpus is incomplete
    files : number of files that it took
    """

    pattern: str
    role: str
    required: bool
    files: int


@dataclass(frozen=True)
class IndexReport:
    """What was found in a corpus folder; every visible file is counted exactly once.

    Parameters
    ----------
    corpus : its id
    patterns : the spec's patterns in order, each with its number of files
    missing : what the spec promises and the folder lacks
    unused : files that no pattern knows, in folders of the corpus
    unrelated_folders : folder -> number of files, where nothing below belongs to the corpus
    superseded : (path, the file that took its place)
    excluded : (path, the rule of the spec that leaves it out)
    ignored : number of files under ``ignore`` of the spec
    hidden : number of files and folders whose name starts with a dot, never read
    counts : people, sessions, steps, labels and modalities of the manifest
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
        """Everything, as JSON text."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "IndexReport":
        """Read what ``to_json`` wrote.

        Raises
        ------
        ValueError : it is something else
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
            raise ValueError(
                f"no report of depmm index ({error}). Index the corpus again."
            ) from None

    def summary(self) -> str:
        """The counts and the first entries of each list, as text for a terminal."""
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
        lines += _listed("missing", [f"{item.where}: {item.message}" for item in self.missing])
        lines += _listed("unused files", self.unused)
        lines += _listed("superseded", [f"{path} by {winner}" for path, winner in self.superseded])
        lines += _listed(
            "left out by the spec", [f"{path}: {rule}" for path, rule in self.excluded]
        )
        lines += _listed(
            "folders without anything of this corpus",
            [f"{folder}/ ({number} files)" for folder, number in self.unrelated_folders.items()],
        )
        if self.ignored or self.hidden:
            lines.append(f"ignored by the spec: {self.ignored}; hidden: {self.hidden}")
        return "\n".join(lines)


def unrelated_folders(
    unmatched: Iterable[str], matched: Iterable[str]
) -> tuple[list[str], dict[str, int]]:
    """Separate stray files of this corpus from folders that have nothing to do with it.

    A folder may hold several corpora side by side. A file that no pattern knows is *unused* when
    its folder, or one below, holds something of this corpus; otherwise only its outermost foreign
    folder is counted.

    Parameters
    ----------
    unmatched, matched : paths relative to the corpus root

    Returns
    -------
    unused : paths
    others : folder -> number of files below
    """
    own = {"."}
    for folder in {path.rpartition("/")[0] for path in matched}:
        own.update([folder, *map(str, PurePosixPath(folder).parents)])
    unused, others = [], Counter[str]()
    outermost: dict[str, str | None] = {}
    for path in unmatched:
        folder = path.rpartition("/")[0] or "."
        if folder not in outermost:
            above = [*map(str, reversed(PurePosixPath(folder).parents)), folder]
            outermost[folder] = next((name for name in above if name not in own), None)
        top = outermost[folder]
        if top is None:
            unused.append(path)
        else:
            others[top] += 1
    return unused, dict(sorted(others.items()))


def _listed(title: str, entries: Iterable[str]) -> list[str]:
    entries = list(entries)
    if not entries:
        return []
    more = [f"  ... and {len(entries) - _SHOWN} more"] if len(entries) > _SHOWN else []
    return [f"{title}: {len(entries)}", *(f"  {entry}" for entry in entries[:_SHOWN]), *more]
