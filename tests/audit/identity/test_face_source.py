"""Frames of a session whose face is compared, and real faces where the models are present."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from audit_manifests import find_one, manifest_of

from depmm.audit.identity.encoders import load_identity_encoders
from depmm.audit.identity.face_source import spread_windows
from depmm.audit.identity.session_embeddings import FACE
from depmm.corpora.manifest import build_manifest
from depmm.media.errors import MediaError
from depmm.media.identity.known_models import FACE_MODEL
from depmm.media.video.face_landmarker import find_local_landmarker


def test_windows_are_spread_over_the_steps_of_all_files() -> None:
    a, b = Path("a"), Path("b")
    windows = spread_windows({a: [(0, 2), (10, 14)], b: [(5, 7)]}, 4)
    assert windows == {a: [(1.0, 1.5), (11.0, 11.5), (13.0, 13.5)], b: [(6.0, 6.5)]}
    short = spread_windows({a: [(0.0, 0.8)]}, 8)[a]
    assert len(short) == 8
    assert np.diff(short).ravel() == pytest.approx([0.1] * 7 + [0.05])
    assert spread_windows({a: [(1.0, 1.0)]}, 4) == {}


def test_a_missing_model_is_a_reason_if_the_other_one_is_present(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("DEPMM_VOICE_MODEL", "DEPMM_FACE_ENCODER", "DEPMM_FACE_LANDMARKER"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    manifest = manifest_of([{"subject": "A"}])
    assert manifest.steps["audio"].notna().all()
    with pytest.raises(MediaError) as info:
        load_identity_encoders([manifest])
    assert "depmm download identity" in str(info.value.remedy)
    steps = manifest.steps.assign(audio=None, face="a.mp4")
    faces = build_manifest(manifest.sessions, steps)
    with pytest.raises(MediaError) as info:
        load_identity_encoders([faces])
    assert "depmm download face-identity" in str(info.value.remedy)


GRID = {  # the speakers of the recordings, of which C has two clips; s1 is A
    "A": "bbaf2n", "B": "brbk7n", "C": "id2_vcd_swwp2s", "D": "lbax4n", "E": "lbbc2a",
    "F": "lrwp9a", "G": "lwbsza", "X": "pwij3p", "H": "sbia1a", "I": "sbwe5n", "J": "swiz3n",
}  # fmt: skip


@pytest.mark.slow
def test_faces_of_grid(real_data: Path) -> None:
    """Ten people, one of them with two ids, and four clips of another one."""
    if not FACE_MODEL.available:
        pytest.skip("the face recognition model is missing: run depmm download face-identity")
    if find_local_landmarker() is None:
        pytest.skip("the MediaPipe face model is missing: run depmm download faces")
    files = [(name, f"grid_10spk/{file}.mpg") for name, file in GRID.items()]
    files += [("A", f"grid_s1/{file}.mpg") for file in ("bbaf3s", "bbal6n", "bbas1s")]
    rows = [
        {"corpus": "toy", "subject": name, "session": Path(file).stem, "step": 0, "start_s": 0.0,
         "face": file, "face_aligned": False}
        for name, file in files
    ]  # fmt: skip
    steps = pd.DataFrame(rows)
    manifest = build_manifest(steps[["corpus", "subject", "session"]], steps)
    (embeddings,) = load_identity_encoders([manifest]).embed([(manifest, real_data)])
    assert embeddings.modality is FACE
    assert embeddings.missing == ()
    similarity = embeddings.halves[:, 0] @ embeddings.halves[:, 1].T
    names = embeddings.sessions["subject"].replace("X", "C").to_numpy()
    np.testing.assert_array_equal(names[similarity.argmax(axis=1)], names)
    same = names[:, None] == names
    assert similarity[same].min() > similarity[~same].max()
    finding = find_one(manifest, "similar_subjects", identity=(embeddings,))
    assert finding.subjects == (("toy", "C"), ("toy", "X"))
