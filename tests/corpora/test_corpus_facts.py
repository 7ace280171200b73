"""Facts about corpora in specs, manifests and the audit."""

from dataclasses import replace

import layouts
import pytest

from depmm.corpora.corpus_facts import CorpusFacts, RelatedCorpus, read_facts, relations_between
from depmm.corpora.errors import ManifestError
from depmm.corpora.index import index_corpus
from depmm.corpora.manifest import concat_manifests, read_manifest, write_manifest
from depmm.corpora.spec import parse_spec, shipped_facts

SPEC = """\
name: {name}
title: t
citation: c
licence: l
access: a
{facts}
recordings:
  - pattern: "{{subject}}.wav"
    modalities: [audio]
session: "{{subject}}"
"""
RELATED = 'related_corpora: [{corpus: "second*", same_ids: true, reason: the same study}]'


def index_toy(tmp_path, name: str, facts: str):
    root = tmp_path / name
    layouts.write(root, {"A1.wav": "", "A2.wav": ""})
    return index_corpus(parse_spec(SPEC.format(name=name, facts=facts), f"{name}.yaml"), root)[0]


def test_a_moved_manifest_contains_the_facts_of_the_spec(tmp_path):
    manifest = index_toy(tmp_path, "first", RELATED)
    write_manifest(manifest, tmp_path / "m")
    (tmp_path / "m").rename(tmp_path / "moved")
    related = RelatedCorpus(corpus="second*", same_ids=True, reason="the same study")
    facts = read_manifest(tmp_path / "moved").facts
    assert facts == manifest.facts
    assert facts["first"].related_corpora == [related]


def test_a_manifest_without_facts_has_no_file_of_facts(tmp_path):
    write_manifest(index_toy(tmp_path, "first", RELATED), tmp_path / "m")
    other = index_toy(tmp_path, "other", "")
    write_manifest(replace(other, facts={}), tmp_path / "m")
    assert not (tmp_path / "m/corpora.json").exists()
    assert read_manifest(tmp_path / "m").facts == {}


def test_a_joined_manifest_has_the_facts_of_all_corpora(tmp_path):
    first = index_toy(tmp_path, "first", RELATED)
    second = index_toy(tmp_path, "second_b", "without_subject_ids: only videos are named")
    both = concat_manifests([first, second])
    assert both.facts["second_b"].without_subject_ids == "only videos are named"
    relations = list(relations_between(both.facts, "second_b", "first"))
    assert [(corpus, other) for corpus, other, _ in relations] == [("first", "second_b")]


@pytest.mark.parametrize("content", ["", "[]", '{"a": {"unknown_key": 1}}'])
def test_a_damaged_file_of_facts_is_refused(content, tmp_path):
    path = tmp_path / "corpora.json"
    path.write_text(content)
    with pytest.raises(ManifestError) as info:
        read_facts(tmp_path)
    assert info.value.file == path


def test_a_release_of_a_corpus_has_the_facts_of_its_spec():
    assert shipped_facts("mpdd_2025") == shipped_facts("mpdd") != CorpusFacts()
    assert shipped_facts("ewre_simulated") == CorpusFacts()
    assert shipped_facts("unknown") == CorpusFacts()
