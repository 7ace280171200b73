"""Corpora on which pre-trained weights were trained, and which an experiment evaluates.

Weights that were trained on the evaluated recordings, or on other recordings of their subjects, can
recognise them, so that the evaluation is too optimistic.
"""

import re
from collections.abc import Iterable, Mapping

from depmm.corpora.corpus_facts import CorpusFacts, relations_between
from depmm.corpora.spec import all_facts, list_spec_names


def find_pretraining_overlap(
    pretrained_on: Iterable[str], corpora: Iterable[str], facts: Mapping[str, CorpusFacts]
) -> list[str]:
    """Find evaluated corpora that are, or are related to, corpora of the pre-training.

    Parameters
    ----------
    pretrained_on : iterable of str
        Corpora of the pre-training; case, spaces and hyphens of a name do not matter.
    corpora : iterable of str
        Ids of the evaluated corpora. An id that begins with the name of a spec of depmm, such as
        ``ravdess_speech``, is treated as a part of that corpus.
    facts : mapping of str to CorpusFacts
        Facts of the evaluated corpora, as stated by the manifest.

    Returns
    -------
    list of str
        For each pair, a clause that names both and the reason, sorted.
    """
    clauses = set()
    for name in pretrained_on:
        source = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
        for corpus in corpora:
            known = all_facts([corpus, source], facts)
            names = {*_spec_names(corpus), *known[corpus].layouts}
            if names & _spec_names(source):
                clauses.add(f"the corpus {corpus} is part of the pre-training ({name})")
            else:
                clauses |= {
                    f"the corpus {corpus} is related to {name} of the pre-training: "
                    f"{relation.reason}"
                    for *_, relation in relations_between(known, source, corpus)
                }
    return sorted(clauses)


def _spec_names(corpus: str) -> set[str]:
    """Return a corpus id, and the most specific spec with whose name it begins."""
    specs = [name for name in list_spec_names() if corpus.startswith(name)]
    return {corpus, *sorted(specs, key=len)[-1:]}
