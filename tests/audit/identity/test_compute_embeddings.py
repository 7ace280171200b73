"""Voices of sessions from their recordings."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from audit_manifests import manifest_of
from simulated_voices import noisy_tones

from depmm.audit.audit_folders import audit_folders
from depmm.audit.findings import AuditError
from depmm.audit.identity.compute_embeddings import compute_session_embeddings
from depmm.audit.identity.voice_source import VoiceSource, _cut
from depmm.corpora.manifest import write_manifest
from depmm.media.errors import MediaError
from depmm.media.identity.speaker_encoder import SpeakerEncoder


@pytest.fixture(scope="module")
def encoder() -> SpeakerEncoder:
    torch.manual_seed(0)
    return SpeakerEncoder().eval()


def write_sounds(root: Path, manifest, seconds: float = 8.0) -> None:
    """Write the file of every step, each with another sound."""
    for seed, file in enumerate(sorted(set(manifest.steps["audio"]))):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / file, noisy_tones(seconds, seed), 16000)


def test_only_the_intervals_of_the_steps_are_read(tmp_path: Path, encoder: SpeakerEncoder) -> None:
    manifest = manifest_of([{"subject": "A"}, {"subject": "B"}], n_steps=1)
    manifest.steps["start_s"], manifest.steps["end_s"] = 1.0, 7.0
    write_sounds(tmp_path, manifest)
    first = compute_session_embeddings([(manifest, tmp_path)], VoiceSource(encoder))
    assert first.sessions["subject"].tolist() == ["A", "B"]
    assert first.sessions["amount"].tolist() == pytest.approx([6.0, 6.0], abs=0.1)
    np.testing.assert_allclose(np.linalg.norm(first.halves, axis=2), 1, atol=1e-5)
    for file in set(manifest.steps["audio"]):
        samples, _ = soundfile.read(tmp_path / file, dtype="float32")
        samples[:16000] = 0.5  # another speaker outside of the steps
        soundfile.write(tmp_path / file, samples, 16000)
    second = compute_session_embeddings([(manifest, tmp_path)], VoiceSource(encoder))
    np.testing.assert_allclose(first.halves, second.halves, atol=1e-4)


def test_sessions_that_cannot_be_compared_are_listed(
    tmp_path: Path, encoder: SpeakerEncoder
) -> None:
    manifest = manifest_of([{"subject": name} for name in "ABC"], n_steps=1)
    manifest.steps["start_s"], manifest.steps["end_s"] = 0.0, None
    write_sounds(tmp_path, manifest)
    files = manifest.steps.set_index("subject")["audio"]
    (tmp_path / files["A"]).write_bytes(b"broken")
    soundfile.write(tmp_path / files["B"], noisy_tones(1.5), 16000)
    result = compute_session_embeddings([(manifest, tmp_path)], VoiceSource(encoder))
    assert [key[1] for key in result.missing] == ["A"]
    assert result.halves.shape == (2, 2, 256)
    np.testing.assert_array_equal(result.halves[0, 0], result.halves[0, 1])  # one window
    compared = result.long_sessions()
    assert [key[1] for key in compared.missing] == ["A", "B"]
    assert compared.sessions["subject"].tolist() == ["C"]
    np.testing.assert_array_equal(compared.halves, result.halves[1:])


def test_samples_are_cut_across_blocks() -> None:
    samples = np.arange(100, dtype=np.float32)
    for size in (1, 7, 100):
        blocks = [samples[k : k + size] for k in range(0, 100, size)]
        parts = list(_cut(blocks, [(3, 5), (10, 30), (95, np.inf)]))
        expected = np.r_[3:5, 10:30, 95:100]
        assert np.concatenate(parts).tolist() == expected.tolist()


def test_the_model_is_needed_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("DEPMM_VOICE_MODEL", raising=False)
    write_manifest(manifest_of([{"subject": "A"}]), tmp_path / "manifest")
    with pytest.raises(AuditError) as error:
        audit_folders([tmp_path / "manifest"], identity=True)
    assert error.value.setting == "roots"
    with pytest.raises(MediaError) as info:
        audit_folders([tmp_path / "manifest"], roots=[tmp_path], identity=True)
    assert "depmm download identity" in str(info.value.remedy)
    skipped = audit_folders([tmp_path / "manifest"]).not_checked
    (reason,) = [s.reason for s in skipped if "similar_subjects" in s.checks]
    assert "depmm download identity" in reason
