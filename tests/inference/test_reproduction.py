"""``depmm predict`` gives the predictions of the run for recordings of its corpus."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import soundfile

SPEC = """
name: real
recordings:
  - pattern: "{{subject}}.{suffix}"
    modalities: [{tracks}]
session: "{{subject}}"
required_modalities: [{tracks}]
tables:
  - {{file: scores.csv, join: {{file: subject}}, fields: {{phq: phq}}}}
label: {{instrument: PHQ-8, score: phq}}
steps: {steps}
"""
CONFIG = """
name: real
out: {folder}
split: {{kind: k_fold, folds: 3, validation: 0.34}}
data: {{manifest: {folder}/manifest, store: {folder}/store, max_audio_s: 0.8, frames_per_step: 2,
  face_size: 32, modalities: [{tracks}]}}
model:
  encoders:
    audio: {{kind: mfcc_cnn, n_mfcc: 8, n_mels: 16, channels: [8], embed_dim: 8}}
    face: {{kind: se_resnet, blocks: [1], channels: [8], embed_dim: 8}}
  fusion: {{kind: mean_pool, dropout: 0.0}}
training: {{epochs: 1, batch_size: 4, learning_rate: 1.0e-2}}
"""
WINDOWS = "{windows: {length_s: 1.0, hop_s: 0.4}}"
TABLE = """{table: {file: steps.csv, join: {path: path}, fields: {start: start_s, end: end_s}}}"""


def train_and_predict(depmm, folder: Path, files: list[Path], tracks: str, steps: str) -> list[str]:
    """Run the pipeline on copies of files, and compare; return how the steps were chosen."""
    for file in files:
        shutil.copy(file, folder / "recordings" / file.name)
    names = [file.stem for file in files]
    lines = [f"{name},{2 + 12 * (index % 2)}" for index, name in enumerate(names)]
    (folder / "recordings" / "scores.csv").write_text("\n".join(["file,phq", *lines]))
    suffix = files[0].suffix[1:]
    (folder / "spec.yaml").write_text(SPEC.format(suffix=suffix, tracks=tracks, steps=steps))
    text = CONFIG.format(folder=folder, tracks=tracks)
    if "face" not in tracks:
        text = text.replace("    face:", "    # face:")
    (folder / "config.yaml").write_text(text)
    for command in (
        ("index", folder / "spec.yaml", folder / "recordings", "--out", folder / "manifest"),
        ("extract", folder / "manifest", folder / "recordings", "--out", folder / "store"),
        ("train", folder / "config.yaml"),
    ):
        code, _, err = depmm(*command)
        assert code == 0, err
    # neither manifest nor store nor the table of predictions is needed
    table = pd.read_parquet(folder / "real" / "predictions.parquet").set_index("session")["y_prob"]
    (folder / "real").rename(folder / "moved")
    (folder / "moved" / "predictions.parquet").unlink()
    shutil.rmtree(folder / "manifest")
    shutil.rmtree(folder / "store")
    copies = [folder / "recordings" / file.name for file in files]
    code, _, err = depmm("predict", folder / "moved", *copies, "--out", folder / "out")
    assert code == 0, err
    how = []
    for name in names:
        content = json.loads((folder / "out" / f"{name}.json").read_text())
        predicted = content["prediction"]["uncalibrated_probability"]
        assert predicted == pytest.approx(table[name], abs=1e-4)
        how.append(content["recording"]["segmentation"])
    return how


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    (tmp_path / "recordings").mkdir()
    return tmp_path


@pytest.mark.slow
def test_videos_of_the_corpus_with_overlapping_windows(depmm, folder, real_data, monkeypatch):
    landmarker = real_data / "models" / "face_landmarker.task"
    monkeypatch.setenv("DEPMM_FACE_LANDMARKER", str(landmarker))
    files = sorted((real_data / "grid_10spk").glob("*.mpg"))[:6]
    how = train_and_predict(depmm, folder, files, "audio, face", WINDOWS)
    assert set(how) == {"windows of 1 s, one every 0.4 s as in training"}


@pytest.mark.slow
@pytest.mark.parametrize("steps", [TABLE, "{}"])
def test_sound_of_the_corpus(depmm, folder, real_data, steps):
    actors = sorted((real_data / "ravdess_speech").glob("Actor_*"))[:6]
    files = [sorted(actor.glob("*.flac"))[0] for actor in actors]
    if steps == TABLE:  # windows of another program, which leaves out the last, shorter window
        rows = [
            f"{file.name},{0.5 * index},{0.5 * index + 1}"
            for file in files
            for index in range(int(2 * soundfile.info(file).duration) - 1)
        ]
        text = "\n".join(["path,start_s,end_s", *rows])
        (folder / "recordings" / "steps.csv").write_text(text)
    how = train_and_predict(depmm, folder, files, "audio", steps)
    if steps == TABLE:
        assert set(how) == {"windows of 1 s, one every 0.5 s as in training"}
    else:
        assert set(how) == {"the whole recording as one step as in training"}
