"""Propose a commented data spec for a folder of recordings."""

import re
from dataclasses import dataclass
from pathlib import Path

from depmm.corpora.errors import ManifestError
from depmm.corpora.spec import parse_spec
from depmm.new_spec.coverage import Coverage, count_matches
from depmm.new_spec.draft import build_draft
from depmm.new_spec.files import find_kinds
from depmm.new_spec.sections import Draft, Entry
from depmm.new_spec.shapes import FolderContent, group_by_shape
from depmm.new_spec.text import expand_pattern, write_spec, write_value


@dataclass(frozen=True)
class Proposal:
    """A proposed spec.

    Attributes
    ----------
    text : str
        The YAML document, with comments.
    coverage : Coverage
        What its patterns match.
    draft : Draft
        Its sections.
    content : FolderContent
        The folder.
    """

    text: str
    coverage: Coverage
    draft: Draft
    content: FolderContent

    def summary(self) -> str:
        """Return what each pattern matches and what no pattern matches, for a terminal."""
        coverage = self.coverage
        entries = _entries(self.draft)
        lines = [f"{coverage.n_files} files"]
        for entry, count, examples in zip(entries, coverage.counts, coverage.examples, strict=True):
            role = "+".join(entry.keys.get("modalities", ["table"]))
            shown = f", such as {', '.join(examples)}" if examples else ""
            lines.append(f"  {count:>7} {entry.pattern} ({role}){shown}")
        subject = self.draft.fields.evidence.get("subject", "")
        lines.append(f"subject: {self.draft.fields.subject} ({subject})")
        lines.append(f"session: {self.draft.fields.session}")
        if self.draft.label:
            lines.append(f"label: {write_value(self.draft.label)}")
        else:
            lines.append("label: no column with scores or classes was found")
        if coverage.n_unmatched:
            files = "1 file" if coverage.n_unmatched == 1 else f"{coverage.n_unmatched} files"
            lines.append(f"no pattern matches {files}:")
            lines += [f"  {path}" for path in coverage.unmatched[:20]]
            if coverage.n_unmatched > 20:
                lines.append(f"  ... and {coverage.n_unmatched - 20} more")
        if self.content.n_links:
            lines.append(f"{self.content.n_links} links were not followed")
        if self.content.n_unsafe:
            lines.append(f"{self.content.n_unsafe} files have names that a manifest cannot store")
        return "\n".join(lines)


def propose_spec(root: Path | str) -> Proposal:
    """Look at a folder and propose a spec that ``depmm index`` accepts.

    Names, headers of tables and some recordings are read. Links are not followed. What is a guess
    is marked as ``GUESS`` in a comment of the spec.

    Parameters
    ----------
    root : Path or str
        The folder.

    Returns
    -------
    Proposal
        The spec.

    Raises
    ------
    ManifestError
        If the folder cannot be read, or contains neither recordings nor features.
    """
    root = Path(root)
    if not root.is_dir():
        raise ManifestError(
            f"{root}: not a folder.", file=root, remedy="Give the folder with the recordings."
        )
    content = group_by_shape(root)
    kinds, _ = find_kinds(content.shapes, root)
    draft = build_draft(kinds, root)
    if draft is None:
        raise ManifestError(
            f"{root}: none of {content.n_files} files is a recording or a file of features.",
            file=root,
            remedy="Give the folder above the recordings, or convert them to WAV, FLAC or MP4.",
        )
    draft.empty = content.empty
    patterns = [expand_pattern(entry.pattern, draft) for entry in _entries(draft)]
    coverage = count_matches(root, patterns)
    name = re.sub(r"[^a-z0-9]+", "_", root.resolve().name.lower()).strip("_") or "corpus"
    text = write_spec(name, draft, coverage)
    parse_spec(text, f"{name}.yaml")
    return Proposal(text, coverage, draft, content)


def _entries(draft: Draft) -> list[Entry]:
    return [*draft.recordings, *draft.tables, *([draft.steps] if draft.steps else [])]
