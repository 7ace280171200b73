"""Audit of manifest folders: one report for one or several manifests."""

import json

import pytest
from audit_manifests import split_manifest

from depmm.audit.audit_folders import audit_folders
from depmm.audit.findings import AuditError
from depmm.corpora.errors import ManifestError
from depmm.corpora.manifest import write_manifest


def test_the_report_of_one_manifest_is_written_into_its_folder(tmp_path):
    write_manifest(split_manifest("daic_woz", {"300": "test"}), tmp_path)
    assert audit_folders([tmp_path]).passed
    content = json.loads((tmp_path / "audit.json").read_text())
    assert [entry["folder"] for entry in content["manifests"]] == [str(tmp_path)]


@pytest.mark.parametrize(
    ("count", "options", "setting"), [(2, {}, "out"), (1, {"roots": ["a", "b"]}, "roots")]
)
def test_arguments_that_do_not_fit_the_manifests_are_errors(tmp_path, count, options, setting):
    with pytest.raises(AuditError) as info:
        audit_folders([tmp_path] * count, **options)
    assert info.value.setting == setting


def test_recordings_must_be_in_the_given_folder(tmp_path):
    write_manifest(split_manifest("daic_woz", {"300": "test"}), tmp_path)
    with pytest.raises(ManifestError) as info:
        audit_folders([tmp_path], roots=[tmp_path / "elsewhere"])
    assert info.value.file == tmp_path / "elsewhere"
