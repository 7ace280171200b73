"""What is wrong with a session, in words, with a severity by which sessions are ordered.

Measures and limits are those of extraction and prediction: nothing is measured a second time.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from depmm.contact_sheet.recording_view import RecordingView
from depmm.media.sound.sound_level import MIN_SNR_DB
from depmm.media.video.faces import MIN_FACE_SHARE

TURNED_DEGREES = 25.0  # median angle at which a side of the face is hidden
DARK, BRIGHT = 0.15, 0.85  # mean luma of the crops
MIN_JUMPS = 2

# name -> what the filter of the page says, severity from 3 (nothing can be used) to 1
KINDS = {
    "not_stored": ("not in the store", 3),
    "damaged": ("damaged file", 3),
    "other_steps": ("other steps than the manifest", 3),
    "missing_sound": ("no sound", 3),
    "missing_face": ("no face video", 3),
    "digital_silence": ("digital silence", 2),
    "no_speech": ("no speech", 2),
    "few_faces": ("few frames with a face", 2),
    "several_faces": ("several faces", 2),
    "clipping": ("clipped sound", 2),
    "failure": ("a part could not be extracted", 2),
    "noise": ("noise", 1),
    "head_turned": ("head turned away", 1),
    "light": ("dark or bright face", 1),
    "incomplete_steps": ("steps without sound or face", 1),
    "warning": ("other warnings", 1),
}
_MODALITIES = {"audio": ("missing_sound", "sound"), "face": ("missing_face", "face video")}
_FILE_NAME = re.compile(r"[^\s,;:()'\"]+\.[A-Za-z][A-Za-z0-9]{1,4}\b")


@dataclass(frozen=True)
class Problem:
    """A property of a session that makes its data unsuitable.

    Attributes
    ----------
    kind : str
        A name of ``KINDS``.
    text : str
        One or two sentences, without names of files.
    """

    kind: str
    text: str

    @property
    def severity(self) -> int:
        """From 3 (nothing can be used) to 1."""
        return KINDS[self.kind][1]


def find_problems(
    summary: Mapping[str, Any],
    view: RecordingView,
    steps_with: Mapping[str, int],
    failures: Sequence[Mapping[str, str]],
    expected: Mapping[str, str],
) -> list[Problem]:
    """List what is wrong with a stored session.

    Parameters
    ----------
    summary : mapping of str to object
        Summary of the session.
    view : RecordingView
        The session.
    steps_with : mapping of str to int
        Number of steps with ``audio`` and with ``face``, of the modalities that the session has.
    failures : sequence of mapping of str to str
        Rows of ``failures.parquet`` of the session.
    expected : mapping of str to str
        Modalities, ``audio`` or ``face``, that the session should have, with the reason.

    Returns
    -------
    list of Problem
        The most severe ones first.
    """
    found = [
        *describe_failures(failures, steps_with),
        *_missing(steps_with, failures, expected),
        *_describe_warnings(summary["warnings"]),
        *_face_problems(summary, view),
        *_sound_problems(summary, view),
        *_incomplete_steps(summary["n_steps"], steps_with),
    ]
    return sorted(found, key=lambda problem: -problem.severity)


def describe_failures(
    failures: Sequence[Mapping[str, str]], steps_with: Mapping[str, int]
) -> Iterator[Problem]:
    """Describe what could not be extracted.

    Parameters
    ----------
    failures : sequence of mapping of str to str
        Rows of ``failures.parquet``.
    steps_with : mapping of str to int
        Number of steps with each modality that the session has.

    Yields
    ------
    Problem
        One per row.
    """
    for row in failures:
        kind = "failure"
        if row["stage"] in _MODALITIES and not steps_with.get(row["stage"]):
            kind = _MODALITIES[row["stage"]][0]
        yield Problem(kind, _sentence(row["stage"], row["cause"], row["remedy"], row["file"]))


def without_file_names(text: str, file: str) -> str:
    """Replace names of files, which may contain more than the ids of a session.

    Parameters
    ----------
    text : str
        A sentence of a reader.
    file : str
        The file, relative to the root of the recordings; several with commas.

    Returns
    -------
    str
        The sentence with ``the file`` in place of names.

    Examples
    --------
    >>> without_file_names("audio: Anna B/talk.wav is empty; see talk.wav.", "Anna B/talk.wav")
    'audio: the file is empty; see the file.'
    """
    for path in file.split(", "):
        for name in (path, PurePosixPath(path).name):
            if name:
                text = text.replace(name, "the file")
    return " ".join(_FILE_NAME.sub(_keep_settings, text).split())


def _keep_settings(match: re.Match[str]) -> str:
    """Keep names of settings and tables of depmm, which look like names of files."""
    name = match[0]
    is_setting = re.fullmatch(r"(face|audio|extract|data)\.[a-z_.]+", name)
    return name if is_setting or name.endswith("parquet") else "the file"


def _sentence(stage: str, problem: str, remedy: str, file: str) -> str:
    """Join the words of a reader, without names of files; a stream is named."""
    text = f"{problem} {remedy}" if stage in _MODALITIES else f"{stage}: {problem} {remedy}"
    text = without_file_names(text, file)
    return text[:1].upper() + text[1:]


def _missing(
    steps_with: Mapping[str, int],
    failures: Sequence[Mapping[str, str]],
    expected: Mapping[str, str],
) -> Iterator[Problem]:
    failed = {row["stage"] for row in failures}
    for name, (kind, content) in _MODALITIES.items():
        if name in expected and not steps_with.get(name) and name not in failed:
            yield Problem(kind, f"The session has no {content}, {expected[name]}.")


def _describe_warnings(warnings: Sequence[Mapping[str, str]]) -> Iterator[Problem]:
    for row in warnings:
        name = row.get("name", "")
        kind = name if name in KINDS else "warning"
        parts = (row.get(column, "") for column in ("stage", "problem", "remedy", "file"))
        yield Problem(kind, _sentence(*parts))


def _face_problems(summary: Mapping[str, Any], view: RecordingView) -> Iterator[Problem]:
    n_frames, n_faces = summary["n_frames"], summary["n_frames_with_face"]
    if n_frames and n_faces < MIN_FACE_SHARE * n_frames:
        yield Problem(
            "few_faces",
            f"{n_faces} of {n_frames} sampled frames show a face ({100 * n_faces / n_frames:.0f} "
            f"%, below {100 * MIN_FACE_SHARE:.0f} %).",
        )
    if view.n_jumps >= MIN_JUMPS:
        yield Problem(
            "several_faces",
            f"The position of the face jumps {view.n_jumps} times between neighbouring frames: "
            "the crops may show two faces in turn.",
        )
    angles = {"to the side": view.yaw, "up or down": view.pitch}
    for direction, angle in angles.items():
        if angle is not None and abs(angle) > TURNED_DEGREES:
            yield Problem(
                "head_turned",
                f"The head is turned {direction} by {abs(angle):.0f} degrees (median, above "
                f"{TURNED_DEGREES:.0f}).",
            )
    if view.brightness is not None and not DARK <= view.brightness <= BRIGHT:
        word = "dark" if view.brightness < DARK else "bright"
        yield Problem("light", f"The face is {word} (mean luma {view.brightness:.2f} of 1).")


def _sound_problems(summary: Mapping[str, Any], view: RecordingView) -> Iterator[Problem]:
    sound = summary.get("sound")
    if view.peaks is None or not sound:
        return
    if sound["snr_db"] is not None and sound["snr_db"] < MIN_SNR_DB:
        yield Problem(
            "noise",
            f"Speech is {sound['snr_db']:.0f} dB above the background (below {MIN_SNR_DB:.0f} "
            "dB). Listen for noise, music and other voices.",
        )
    if not view.speech and sound["snr_db"] is not None:
        yield Problem("no_speech", "No speech was found in the sound.")


def _incomplete_steps(n_steps: int, steps_with: Mapping[str, int]) -> Iterator[Problem]:
    for name, count in steps_with.items():
        if 0 < count < n_steps:
            content = _MODALITIES[name][1].removesuffix(" video")
            yield Problem(
                "incomplete_steps", f"{n_steps - count} of {n_steps} steps have no {content}."
            )
