"""Corpora of a pre-training are compared with the evaluated corpora and their relations."""

import pytest

from depmm.corpora.corpus_facts import CorpusFacts, RelatedCorpus
from depmm.corpora.pretraining import find_pretraining_overlap


@pytest.mark.parametrize(
    ("pretrained_on", "corpus", "found"),
    [
        ("ravdess", "ravdess", True),
        ("RAVDESS", "ravdess_speech", True),  # a part of the corpus of a spec
        ("DAIC-WOZ", "daic_woz", True),
        ("edaic", "daic_woz", True),  # related by the specs
        ("avec2013", "avec2014_clips", True),
        ("librispeech", "ravdess", False),
        ("MSP-Podcast", "msp", False),
        ("emodb", "ravdess", False),
    ],
)
def test_equal_and_related_corpora_are_found(pretrained_on, corpus, found):
    clauses = find_pretraining_overlap(["librilight", pretrained_on], [corpus], {})
    assert len(clauses) == found
    assert all(pretrained_on in clause and corpus in clause for clause in clauses)


def test_facts_of_the_manifest_are_used():
    same_layout = CorpusFacts(layouts=["emodb"])
    assert find_pretraining_overlap(["emodb"], ["berlin"], {"berlin": same_layout})
    related = RelatedCorpus(corpus="msp*", same_ids=False, reason="one set of speakers")
    facts = {"mine": CorpusFacts(related_corpora=[related])}
    (clause,) = find_pretraining_overlap(["MSP-Podcast"], ["mine"], facts)
    assert "one set of speakers" in clause
    assert not find_pretraining_overlap(["MSP-Podcast"], ["mine"], {})
