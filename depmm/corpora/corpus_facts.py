"""Facts about a corpus that are not in its tables.

These are related corpora, missing subject ids, the windows that its steps were cut into, and whose
words their text is, as the data spec states them, and the corpora of depmm with the same layout
(``spec_layout``). They are stored in ``corpora.json`` next to the tables of a manifest, and in
runs. The audit, the extraction, the check of the run that initial weights come from, and the
prediction of new recordings use them.
"""

import json
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from pydantic import Field, TypeAdapter, ValidationError

from depmm.config import Settings
from depmm.corpora.errors import ManifestError
from depmm.files.checksums import read_bytes, remove, write_text

FACTS_FILE = "corpora.json"


class RelatedCorpus(Settings):
    """A corpus that shares, or may share, subjects with the described corpus."""

    corpus: str = Field(description="id of the other corpus; * stands for any text")
    same_ids: bool = Field(description="whether equal numbers in the ids denote the same subject")
    reason: str = Field(description="what the two corpora share")

    def matches(self, corpus: str) -> bool:
        """Check whether ``corpus`` of this relation matches a corpus id.

        Parameters
        ----------
        corpus : str
            Corpus id.

        Returns
        -------
        bool
            True if the id matches.
        """
        return fnmatchcase(corpus, self.corpus)


class Windows(Settings):
    """Windows of equal length, one after the other or overlapping, inside each step."""

    length_s: float = Field(gt=0)
    hop_s: float | None = Field(
        None,
        gt=0,
        description="from the start of a window to the start of the next; default: length_s",
    )

    @property
    def effective_hop_s(self) -> float:
        """Time from the start of a window to the start of the next, in seconds."""
        return self.length_s if self.hop_s is None else self.hop_s


class CorpusFacts(Settings):
    """Facts about a corpus that are not in its tables."""

    related_corpora: list[RelatedCorpus] = Field([])
    without_subject_ids: str | None = Field(
        None, description="reason why the ids do not identify subjects"
    )
    windows: Windows | None = Field(
        None, description="windows that the steps were cut into; null if they were not cut"
    )
    text_speaker: Literal["participant", "unknown"] = Field(
        "participant", description="whose words the text of the steps is; unknown: not extracted"
    )
    layouts: list[str] = Field(
        [], description="corpora of depmm whose spec has the same content, under any name"
    )
    spec_sha256: str | None = Field(None, description="SHA-256 of the content of the spec")

    def union(self, other: "CorpusFacts") -> "CorpusFacts":
        """Combine the facts of two sources; those of this object come first.

        Parameters
        ----------
        other : CorpusFacts
            Facts about the same corpus from another source.

        Returns
        -------
        CorpusFacts
            The facts of both; without windows if they differ.
        """
        further = [item for item in other.related_corpora if item not in self.related_corpora]
        return CorpusFacts(
            related_corpora=[*self.related_corpora, *further],
            without_subject_ids=self.without_subject_ids or other.without_subject_ids,
            windows=self.windows if self.windows == other.windows else None,
            text_speaker="unknown"
            if "unknown" in (self.text_speaker, other.text_speaker)
            else "participant",
            layouts=list(dict.fromkeys([*self.layouts, *other.layouts])),
            spec_sha256=self.spec_sha256 or other.spec_sha256,
        )


_FACTS_BY_CORPUS = TypeAdapter(dict[str, CorpusFacts])


def relations_between(
    facts: Mapping[str, CorpusFacts], first: str, second: str
) -> Iterator[tuple[str, str, RelatedCorpus]]:
    """Yield the relations of two corpora that their specs state, or else those of equal specs.

    A relation of a corpus holds for every corpus with the same layout. Two corpora with the layout
    of one corpus of depmm have the same subjects. Other corpora with equal specs may be two studies
    of one laboratory, so that equal ids do not identify subjects.

    Parameters
    ----------
    facts : mapping of str to CorpusFacts
        Facts by corpus id.
    first, second : str
        Two corpus ids.

    Yields
    ------
    tuple of (str, str, RelatedCorpus)
        The corpus that states the relation, the other corpus, and the relation.
    """
    known = {corpus: facts.get(corpus, CorpusFacts()) for corpus in (first, second)}
    names = {corpus: [corpus, *known[corpus].layouts] for corpus in (first, second)}
    stated = [
        (corpus, other, related)
        for corpus, other in ((first, second), (second, first))
        for related in known[corpus].related_corpora
        if any(related.matches(name) for name in names[other])
    ]
    yield from stated
    if stated:
        return
    layouts = [name for name in names[first] if name in names[second]]
    hashes = {known[corpus].spec_sha256 for corpus in (first, second)}
    if layouts:
        reason = f"both have the files and tables of {' and '.join(layouts)}"
        yield first, second, RelatedCorpus(corpus=second, same_ids=True, reason=reason)
    elif len(hashes) == 1 and None not in hashes:
        reason = "their specs have the same content, so that they may be one corpus under two names"
        yield first, second, RelatedCorpus(corpus=second, same_ids=False, reason=reason)


def write_facts(facts: Mapping[str, CorpusFacts], folder: Path) -> None:
    """Write ``corpora.json`` into the folder of a manifest, or remove it if there are no facts.

    Parameters
    ----------
    facts : mapping of str to CorpusFacts
        Facts by corpus id.
    folder : Path
        Folder of the manifest; it must exist.
    """
    known = {corpus: item.model_dump() for corpus, item in facts.items() if item != CorpusFacts()}
    if known:
        write_text(folder / FACTS_FILE, json.dumps(known, indent=1, ensure_ascii=False) + "\n")
    else:
        remove(folder / FACTS_FILE)


def read_facts(folder: Path) -> dict[str, CorpusFacts]:
    """Read ``corpora.json`` from the folder of a manifest.

    Parameters
    ----------
    folder : Path
        Folder of the manifest.

    Returns
    -------
    dict of str to CorpusFacts
        Facts by corpus id; empty if the folder has no such file.

    Raises
    ------
    ManifestError
        If the file cannot be read or does not contain such facts.
    """
    path = folder / FACTS_FILE
    if not path.is_file():
        return {}
    try:
        return _FACTS_BY_CORPUS.validate_json(read_bytes(path))
    except (OSError, ValidationError) as error:
        raise ManifestError(
            f"{path}: does not contain facts about corpora ({error}). Run depmm index again.",
            file=path,
        ) from None
