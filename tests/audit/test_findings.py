"""Which session uses which file."""

from audit_manifests import balanced_manifest

from depmm.audit.findings import list_file_uses, sessions_by_file, unique_keys


def test_file_uses_are_listed_once_per_session_and_use():
    manifest = balanced_manifest()
    manifest.steps["face"] = manifest.steps["audio"]
    uses = list_file_uses(manifest)
    assert len(uses) == 32  # 16 sessions, audio and face
    assert set(uses["use"]) == {"audio", "face"}
    assert sessions_by_file(manifest)["toy", "P02-1.wav"] == {("toy", "P02", "P02-1")}


def test_unique_keys_are_sorted():
    manifest = balanced_manifest(4)
    keys = unique_keys(manifest.steps.iloc[::-1], ["corpus", "subject"])
    assert keys == tuple(("toy", f"P{k:02}") for k in range(4))
