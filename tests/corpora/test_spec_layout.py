"""Specs with the layout of a corpus of depmm, under any name."""

import re
from itertools import combinations

import layouts
import pytest
from audit_manifests import split_manifest

from depmm.audit.audit import audit_manifest
from depmm.audit.findings import AuditInput
from depmm.corpora.corpus_facts import CorpusFacts, RelatedCorpus, relations_between
from depmm.corpora.index import index_corpus
from depmm.corpora.manifest import Manifest, concat_manifests
from depmm.corpora.spec import (
    list_spec_names,
    load_spec,
    parse_spec,
    shipped_facts,
    specs_folder,
)
from depmm.corpora.spec_layout import collect_facts, find_layouts, hash_content

NAMES = [name for name in list_spec_names() if name != "ewre_simulated"]
OWN_SPEC = """\
name: own
title: t
citation: c
licence: l
access: a
recordings:
  - pattern: "videos/{subject}_{visit}.mp4"
    modalities: [audio, face]
session: "{subject}_{visit}"
tables:
  - file: labels.csv
    join: {subject: subject, visit: visit}
    fields: {score: score, gender: gender, age: age, split: split}
label: {instrument: BDI-II, score: score}
"""


def spec_text(name: str) -> str:
    return (specs_folder() / f"{name}.yaml").read_text(encoding="utf-8")


def renamed(name: str, new_name: str, *changes: tuple[str, str]):
    """Read a shipped spec under another name, without what it states about other corpora."""
    text = spec_text(name)
    text = re.sub(r"^(related_corpora|without_subject_ids):.*(\n[ ].*)*\n", "", text, flags=re.M)
    for old, new in (("name: " + name + "\n", f"name: {new_name}\n"), *changes):
        assert old in text
        text = text.replace(old, new)
    return parse_spec(text, str(specs_folder() / f"{new_name}.yaml"))


def find_relation(facts: dict[str, CorpusFacts]) -> RelatedCorpus | None:
    first, second = facts
    return next((related for *_, related in relations_between(facts, first, second)), None)


@pytest.mark.parametrize("name", NAMES)
def test_a_renamed_spec_has_the_layout_of_its_original(name):
    copy = renamed(name, "my_corpus")
    assert copy.related_corpora == []
    assert name in find_layouts(copy)
    related = find_relation({"my_corpus": collect_facts(copy), name: shipped_facts(name)})
    assert related.same_ids is (name != "mpdd")  # mpdd states that this is not known


def test_different_specs_have_a_layout_in_common_only_if_they_state_the_relation():
    layouts_of = {name: find_layouts(load_spec(name)) for name in list_spec_names()}
    common = {
        (one, other)
        for one, other in combinations(layouts_of, 2)
        if set(layouts_of[one]) & set(layouts_of[other])
    }
    assert common == {("avec2014", "avec2014_clips")}
    stated = {"first": shipped_facts("avec2014"), "second": shipped_facts("avec2014_clips")}
    assert stated["second"].related_corpora[1].corpus == "avec2014"


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("daic_woz", (("_FORMANT.csv", "_formants.csv"), ("<ellie starts>", "<start>"))),
        ("avec2014", (("{visit", "{sitting"), ("visit: visit", "sitting: sitting"))),
        ("edaic", (("**/{hundred:1}", "data/{hundred:1}"),)),
        ("avec2014", (("label: {instrument: BDI-II, score: bdi, cut_off: 14}", ""),)),
        ("modma", (("title: ", "title: Our "),)),
    ],
)  # fmt: skip
def test_an_edited_copy_has_the_layout_of_its_original(name, changes):
    assert name in find_layouts(renamed(name, "my_corpus", *changes))


def test_specs_of_other_corpora_have_no_layout_of_depmm():
    assert find_layouts(parse_spec(OWN_SPEC, "own.yaml")) == []
    assert find_layouts(load_spec("ewre_simulated")) == []


def test_the_hash_of_the_content_depends_on_files_and_tables_only():
    own = parse_spec(OWN_SPEC, "own.yaml")
    same = OWN_SPEC.replace("name: own", "name: other").replace("title: t", "title: u # comment")
    windows = OWN_SPEC + "steps:\n  windows: {length_s: 4}\n"
    assert hash_content(parse_spec(same, "other.yaml")) == hash_content(own)
    assert hash_content(parse_spec(windows, "own.yaml")) == hash_content(own)
    changed = OWN_SPEC.replace("videos/", "video/")
    assert hash_content(parse_spec(changed, "own.yaml")) != hash_content(own)


def audit_pair(first: Manifest, second: Manifest, facts: dict[str, CorpusFacts]):
    joined = concat_manifests([first, second])
    manifest = Manifest(joined.sessions, joined.steps, joined.features, facts)
    findings = audit_manifest(AuditInput(manifest)).findings
    return [found for found in findings if found.name == "related_corpora"]


@pytest.mark.parametrize("renamed_as", [("daic_woz", "b"), ("a", "edaic"), ("a", "b")])
def test_shared_subjects_of_renamed_corpora_are_an_error(renamed_as):
    first = split_manifest(renamed_as[0], {"300": "test", "301": "train"})
    second = split_manifest(renamed_as[1], {"300": "train", "301": "train"})
    facts = {
        new_name: collect_facts(renamed(name, new_name))
        for name, new_name in zip(("daic_woz", "edaic"), renamed_as, strict=True)
    }
    [finding] = audit_pair(first, second, facts)
    assert finding.severity == "error"
    assert set(finding.subjects) == {(renamed_as[0], "300"), (renamed_as[1], "300")}


def test_one_unshipped_spec_under_two_names_is_a_warning(tmp_path):
    manifests = []
    for name in ("one", "two"):
        table = "subject,visit,score,gender,age,split\n1,1,3,,,\n"
        layouts.write(tmp_path / name, {"videos/1_1.mp4": "", "labels.csv": table})
        spec = parse_spec(OWN_SPEC.replace("name: own", f"name: {name}"), f"{name}.yaml")
        manifests.append(index_corpus(spec, tmp_path / name)[0])
    facts = {name: known for manifest in manifests for name, known in manifest.facts.items()}
    [finding] = audit_pair(*manifests, facts)
    assert finding.severity == "warning"
    assert finding.subjects == ()  # two studies of one laboratory may use equal numbers


def test_a_renamed_corpus_without_subject_ids_is_reported():
    manifest = split_manifest("vlogs", {"0": "train", "1": "test"})
    facts = {"vlogs": collect_facts(renamed("dvlog", "vlogs"))}
    manifest = Manifest(manifest.sessions, manifest.steps, manifest.features, facts)
    names = [found.name for found in audit_manifest(AuditInput(manifest)).findings]
    assert "missing_subject_ids" in names
