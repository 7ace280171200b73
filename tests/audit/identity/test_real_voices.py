"""Identities in real recordings; skipped without the recordings or the voice model."""

from pathlib import Path

import pandas as pd
import pytest
from audit_manifests import find_all

from depmm.audit.identity.compute_embeddings import compute_session_embeddings
from depmm.audit.identity.session_embeddings import VOICE, SessionEmbeddings
from depmm.audit.identity.voice_source import VoiceSource
from depmm.corpora.manifest import Manifest, build_manifest
from depmm.media.identity.known_models import VOICE_MODEL
from depmm.media.identity.voice_model import load_speaker_encoder

pytestmark = pytest.mark.slow


def recordings_of(folder: Path, pattern: str) -> dict[str, list[str]]:
    """List the recordings of each speaker of Emo-DB or RAVDESS."""
    files: dict[str, list[str]] = {}
    for path in sorted(folder.glob(pattern)):
        speaker = path.name[:2] if path.suffix == ".wav" else path.stem.split("-")[6]
        files.setdefault(speaker, []).append(str(path.relative_to(folder)))
    return files


def voice_manifest(sessions: dict[tuple[str, str], list[str]]) -> Manifest:
    """Build a manifest with one step per file."""
    keys = [{"corpus": "toy", "subject": s, "session": n} for s, n in sessions]
    steps = [
        {"corpus": "toy", "subject": s, "session": n, "step": k, "start_s": 0.0, "audio": file,
         "face_aligned": False}
        for (s, n), files in sessions.items()
        for k, file in enumerate(files)
    ]  # fmt: skip
    return build_manifest(pd.DataFrame(keys), pd.DataFrame(steps))


@pytest.fixture(scope="module", params=["emodb_4emo/*/*.wav", "ravdess_speech/*/*.flac"])
def halves(request: pytest.FixtureRequest, real_data: Path) -> tuple[Manifest, SessionEmbeddings]:
    """Embed two sessions of every speaker: every second file, so that emotions are mixed."""
    if not VOICE_MODEL.available:
        pytest.skip("the voice model is missing: run depmm download identity")
    folder, pattern = request.param.split("/", 1)
    files = recordings_of(real_data / folder, pattern)
    manifest = voice_manifest(
        {
            (speaker, part): names[int(part) :: 2]
            for speaker, names in files.items()
            for part in "01"
        }
    )
    return manifest, compute_session_embeddings(
        [(manifest, real_data / folder)], VoiceSource(load_speaker_encoder())
    )


def renamed(
    data: tuple[Manifest, SessionEmbeddings], subject: str, session: str, new: str
) -> tuple[Manifest, SessionEmbeddings]:
    """Give one session another subject."""
    manifest, embeddings = data
    tables = []
    for table in (manifest.sessions, manifest.steps, embeddings.sessions):
        chosen = (table["subject"] == subject) & (table["session"] == session)
        names = {"subject": table["subject"].mask(chosen, new)}
        names["session"] = table["session"].mask(chosen, f"{subject}-{session}")
        tables.append(table.assign(**names))
    return (
        build_manifest(tables[0], tables[1]),
        SessionEmbeddings(VOICE, tables[2], embeddings.halves),
    )


def test_clean_corpora_have_no_findings(halves: tuple[Manifest, SessionEmbeddings]) -> None:
    manifest, embeddings = halves
    for name in ("similar_subjects", "dissimilar_sessions", "missing_identity"):
        assert not find_all(manifest, name, identity=(embeddings,)), name


def test_one_speaker_with_two_ids_is_found(halves: tuple[Manifest, SessionEmbeddings]) -> None:
    speakers = sorted(set(halves[0].sessions["subject"]))
    found = 0
    for speaker in speakers:
        manifest, embeddings = renamed(halves, speaker, "1", "X")
        for finding in find_all(manifest, "similar_subjects", identity=(embeddings,)):
            found += finding.subjects == (("toy", speaker), ("toy", "X"))
    assert found >= 0.7 * len(speakers)


def test_two_speakers_with_one_id_are_found(halves: tuple[Manifest, SessionEmbeddings]) -> None:
    speakers = sorted(set(halves[0].sessions["subject"]))
    found = 0
    for speaker, other in zip(speakers, speakers[2:] + speakers[:2], strict=True):
        moved = renamed(halves, speaker, "1", other)
        (_, embeddings) = moved
        for finding in find_all(moved[0], "dissimilar_sessions", identity=(embeddings,)):
            found += finding.subjects == (("toy", other),)
    assert found >= 0.7 * len(speakers)
