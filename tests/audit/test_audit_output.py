"""Files of an audit: their format, their page, and the audit of the present manifest."""

import json
import re
from dataclasses import fields

import pytest
from audit_manifests import (
    balanced_manifest,
    index_report,
    labelled_manifest,
    run_audit,
)
from html_page import HtmlPage

from depmm.audit.audit import ClassCounts, SkippedChecks
from depmm.audit.audit_output import write_audit
from depmm.audit.findings import AuditError, Finding
from depmm.audit.saved_audit import SCHEMA_VERSION, AuditContent, find_current_audit, read_audit
from depmm.corpora.manifest import Manifest, write_manifest
from depmm.files.damage import DamagedFileError

MARKUP = '<script>alert("1")</script>&'


def test_audit_json_has_the_documented_keys(tmp_path):
    manifest = labelled_manifest([1] * 12 + [0] * 12)
    write_audit(run_audit(manifest), tmp_path / "out", [])
    content = read_audit(tmp_path / "out" / "audit.json")
    assert set(content) == set(AuditContent.__annotations__)
    for key, schema in (
        ("findings", Finding),
        ("class_counts", ClassCounts),
        ("not_checked", SkippedChecks),
    ):
        assert content[key]
        names = {field.name for field in fields(schema)}
        assert all(set(entry) == names for entry in content[key])


def test_page_and_json_agree_and_values_are_escaped(tmp_path):
    manifest = balanced_manifest()
    manifest.sessions.loc[3, "label"] = 0
    write_manifest(manifest, tmp_path / "m")
    names = {"P03": f"P03{MARKUP}", "toy": f"toy{MARKUP}"}
    marked = Manifest(manifest.sessions.replace(names), manifest.steps.replace(names))
    reports = (index_report(unused=(MARKUP,)),)
    result = run_audit(marked, allow=("unmatched_files",), index_reports=reports)
    write_audit(result, tmp_path / "out", [tmp_path / "m"])
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == ["SHA256SUMS", "audit.html", "audit.json"]
    content = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert (content["schema_version"], content["passed"]) == (SCHEMA_VERSION, False)
    assert content["allow"] == ["unmatched_files"]
    first = content["findings"][0]
    assert (first["name"], first["severity"]) == ("label_score_mismatch", "error")
    assert first["sessions"] == [[f"toy{MARKUP}", f"P03{MARKUP}", "P03-1"]]
    html = (tmp_path / "out" / "audit.html").read_text()
    page = HtmlPage(html)
    assert result.verdict in page.text
    for finding in content["findings"]:
        assert finding["message"] in page.text
        if finding["effect_size"] is not None:
            shown = f"{finding['effect_size']:+.2f}".replace("-", "\N{MINUS SIGN}")
            assert shown in page.text
    for skipped in content["not_checked"]:
        assert skipped["reason"] in page.text
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert not re.search(r"https?:|@import|url\(", html)


def test_the_current_audit_of_a_manifest(tmp_path):
    assert find_current_audit(tmp_path)[0] is None
    manifest = balanced_manifest()
    write_manifest(manifest, tmp_path)
    write_audit(run_audit(manifest), tmp_path, [tmp_path])
    content, status = find_current_audit(tmp_path)
    assert (content["passed"], status) == (True, "passed")
    manifest.sessions.loc[1, "age"] = 30.0
    write_manifest(manifest, tmp_path)
    content, status = find_current_audit(tmp_path)
    assert content is None
    assert status.startswith("outdated")


@pytest.mark.parametrize("text", ['{"schema_version": 9}', "{}", "[]", "not json"])
def test_an_audit_in_another_format_is_an_error(tmp_path, text):
    (tmp_path / "audit.json").write_text(text)
    with pytest.raises((AuditError, DamagedFileError)) as info:
        find_current_audit(tmp_path)
    assert info.value.file == tmp_path / "audit.json"
