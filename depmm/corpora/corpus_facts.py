"""Facts about a corpus that its tables cannot show: related corpora, and missing subject ids.

A data spec states them, ``corpora.json`` next to the tables of a manifest keeps them, and the audit
and the check of initial weights read them.
"""

import json
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import Field, TypeAdapter, ValidationError

from depmm.config import Settings
from depmm.corpora.errors import ManifestError
from depmm.files import write_text

FACTS_FILE = "corpora.json"


class RelatedCorpus(Settings):
    """Another corpus that shares, or may share, subjects with this one."""

    corpus: str = Field(description="id of the other corpus; * stands for any text")
    same_ids: bool = Field(description="whether equal numbers name the same subject in both")
    reason: str = Field(description="what the two corpora share")

    def matches(self, corpus: str) -> bool:
        """Check whether a corpus is the other corpus.

        Parameters
        ----------
        corpus : str
            Corpus id.

        Returns
        -------
        bool
            Whether its id matches.
        """
        return fnmatchcase(corpus, self.corpus)


class CorpusFacts(Settings):
    """What is known about a corpus beyond its tables."""

    related_corpora: list[RelatedCorpus] = Field([])
    without_subject_ids: str | None = Field(None, description="why subjects are unknown")

    def union(self, other: "CorpusFacts") -> "CorpusFacts":
        """Combine two sets of facts; these come first.

        Parameters
        ----------
        other : CorpusFacts
            Facts about the same corpus from another source.

        Returns
        -------
        CorpusFacts
            The facts of both.
        """
        further = [each for each in other.related_corpora if each not in self.related_corpora]
        return CorpusFacts(
            related_corpora=[*self.related_corpora, *further],
            without_subject_ids=self.without_subject_ids or other.without_subject_ids,
        )


_FACTS_BY_CORPUS = TypeAdapter(dict[str, CorpusFacts])


def relations_between(
    facts: Mapping[str, CorpusFacts], first: str, second: str
) -> Iterator[tuple[str, str, RelatedCorpus]]:
    """Yield what the specs of two corpora say about each other.

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
    for corpus, other in ((first, second), (second, first)):
        for related in facts.get(corpus, CorpusFacts()).related_corpora:
            if related.matches(other):
                yield corpus, other, related


def write_facts(facts: Mapping[str, CorpusFacts], folder: Path) -> None:
    """Write ``corpora.json`` into the folder of a manifest, or remove it where there are no facts.

    Parameters
    ----------
    facts : mapping of str to CorpusFacts
        Facts by corpus id.
    folder : Path
        Folder of the manifest; it must exist.
    """
    known = {corpus: each.model_dump() for corpus, each in facts.items() if each != CorpusFacts()}
    if known:
        write_text(folder / FACTS_FILE, json.dumps(known, indent=1, ensure_ascii=False) + "\n")
    else:
        (folder / FACTS_FILE).unlink(missing_ok=True)


def read_facts(folder: Path) -> dict[str, CorpusFacts]:
    """Read ``corpora.json`` from the folder of a manifest.

    Parameters
    ----------
    folder : Path
        Folder of the manifest.

    Returns
    -------
    dict of str to CorpusFacts
        Facts by corpus id; empty where the folder has no such file.

    Raises
    ------
    ManifestError
        If the file cannot be read or holds anything else.
    """
    path = folder / FACTS_FILE
    if not path.is_file():
        return {}
    try:
        return _FACTS_BY_CORPUS.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ManifestError(
            f"{path}: not the facts of a manifest's corpora ({error}). Run depmm index again.",
            file=path,
        ) from None
