"""A small spec with its folder, small manifests, and values of their tables."""

import functools

import pandas as pd

from depmm.corpora.manifest import Manifest, build_manifest
from depmm.schemas.manifest import STEPS

HEAD = "name: toy\ntitle: t\ncitation: c\nlicence: l\naccess: a\n"
TOY = (
    HEAD
    + """\
recordings:
  - pattern: "{subject}_{visit}.wav"
    modalities: [audio]
session: "{subject}_{visit}"
tables:
  - file: labels.csv
    join: {subject: subject, visit: visit}
    fields: {bdi: score, gender: gender}
codes:
  gender: {names: {F: female, M: male, "?": null}}
label: {instrument: BDI-II, score: bdi}
"""
)
TOY_FILES: dict[str, str | bytes] = {
    "S1_1.wav": "",
    "S1_2.wav": "",
    "S2_1.wav": "",
    "labels.csv": "subject,visit,score,gender\nS1,1,13,F\nS1,2,14,F\nS2,1,63,M\n",
}

TWO_SOURCES = (
    HEAD
    + """\
recordings:
  - {pattern: "v/{subject}_{take}.mp4", modalities: [audio, face]}
  - {pattern: "a/**/{subject}_{take}.wav", modalities: [audio]}
  - {pattern: "f/{subject}_{take}.mp4", modalities: [face]}
session: "{subject}"
required_modalities: [audio, face]
steps: {order: [take], expected: {take: [2, 10]}}
"""
)


def replace_text(text: str, *pairs: tuple[str, str]) -> str:
    """Replace parts of a text, each of which must be in it."""
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


def make_session_table(rows: list[dict]) -> pd.DataFrame:
    """Make a table of sessions; missing columns of a row are null."""
    base = {"corpus": "toy", "instrument": None, "score": None, "label": None, "split": None}
    return pd.DataFrame([{**base, "gender": None, "age": None, **row} for row in rows])


def make_step_table(sessions: pd.DataFrame, n_steps: int = 2) -> pd.DataFrame:
    """Make steps of one second in one audio file per session."""
    return pd.DataFrame(
        [
            {
                **key,
                "step": step,
                "start_s": float(step),
                "end_s": step + 1.0,
                "audio": f"{key['session']}.wav",
                "face_aligned": False,
            }
            for key in sessions[["corpus", "subject", "session"]].to_dict("records")
            for step in range(n_steps)
        ],
        columns=STEPS.names,
    )


@functools.cache
def _small_manifest() -> Manifest:
    sessions = make_session_table(
        [
            {"subject": "01", "session": "01-a", "instrument": "BDI-II", "score": 20.0, "label": 1},
            {"subject": "01", "session": "01-b", "gender": "female", "age": 31.5, "split": "test"},
            {"subject": "Zoë", "session": "Zoë-a", "instrument": "group", "label": 0},
        ]
    )
    sessions["emotion"] = ["sad", None, "calm"]
    return build_manifest(sessions, make_step_table(sessions))


def values_by_session(table: pd.DataFrame, name: str) -> dict[str, object]:
    """Return session -> value of a column, None if it is missing."""
    return {
        session: None if pd.isna(value) else value
        for session, value in zip(table["session"], table[name], strict=True)
    }


def make_small_manifest() -> Manifest:
    """Make a manifest of three sessions that a test may change."""
    manifest = _small_manifest()
    return Manifest(manifest.sessions.copy(), manifest.steps.copy())
