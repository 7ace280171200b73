"""One session of a contact sheet: its drawing, facts and problems."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from depmm.contact_sheet.problems import Problem, describe_failures, find_problems
from depmm.contact_sheet.recording_view import RecordingView, draw_recording, view_recording
from depmm.contact_sheet.stored_sessions import StoredSessions
from depmm.pages.timeline import format_time
from depmm.store.errors import StoreError
from depmm.store.failures import SessionKey
from depmm.store.session_file import SessionReader

_WEIGHTS = {3: 10_000, 2: 100, 1: 1}  # a severe problem outweighs any number of lesser ones


@dataclass(frozen=True)
class SessionEntry:
    """What the page shows of a session.

    Attributes
    ----------
    key : tuple of str
        Corpus, subject and session id.
    facts : list of tuple of str
        Name and value of each measure.
    problems : list of Problem
        The most severe ones first.
    drawing : Markup
        HTML of the drawing; empty if the session cannot be read.
    """

    key: SessionKey
    facts: list[tuple[str, str]]
    problems: list[Problem]
    drawing: Markup

    @property
    def rank(self) -> tuple[int, SessionKey]:
        """Position in the page: the worst session first, equal ones by id."""
        return -sum(_WEIGHTS[problem.severity] for problem in self.problems), self.key


def make_entry(sessions: StoredSessions, key: SessionKey) -> SessionEntry:
    """Read a session; one that is missing or damaged has no drawing.

    Parameters
    ----------
    sessions : StoredSessions
        The sessions.
    key : tuple of str
        Corpus, subject and session id.

    Returns
    -------
    SessionEntry
        The entry.
    """
    failures = sessions.failures.get(key, [])
    if key not in sessions.stored or not sessions.store.has(*key):
        problems = list(describe_failures(failures, {}))
        text = "The store has no file of the session."
        if not failures:
            text += " Run depmm extract again."
        return SessionEntry(key, [], [Problem("not_stored", text), *problems], Markup())
    try:
        with sessions.store.read(*key) as reader:
            return _describe(sessions, key, reader, failures)
    except Exception as error:  # one session never ends the page
        # the message of a damaged file names its path in the store
        problem = getattr(error, "remedy", None) or "Delete the file and run depmm extract again."
        what = "is damaged" if isinstance(error, StoreError) else f"({type(error).__name__})"
        text = f"The session file {what} and cannot be shown. {problem}"
        return SessionEntry(key, [], [Problem("damaged", text)], Markup())


def _describe(
    sessions: StoredSessions, key: SessionKey, reader: SessionReader, failures: list[dict[str, Any]]
) -> SessionEntry:
    steps = sessions.steps.get(key)
    fits = steps is not None and len(steps) == reader.summary["n_steps"]
    ends = steps["end_s"].tolist() if fits and steps is not None else None
    view = view_recording(reader, ends)
    steps_with = _count_steps(reader)
    summary = reader.summary | {"warnings": sessions.warnings.get(key, reader.summary["warnings"])}
    problems = find_problems(summary, view, steps_with, failures, sessions.expected.get(key, {}))
    if key in sessions.stale:
        text = "The steps of the manifest are others now. Run depmm extract again."
        problems = [Problem("other_steps", text), *problems]
    drawing = draw_recording(view).render(f"session {'/'.join(key)}")
    streams = [name for name in summary["streams"] if f"feature.{name}.values" in reader.names]
    return SessionEntry(key, _list_facts(summary, view, steps_with, streams), problems, drawing)


def _count_steps(reader: SessionReader) -> dict[str, int]:
    """Count the steps with sound and with a face, of the modalities that the session has."""
    counts = {}
    if "audio.step_samples" in reader.names:
        counts["audio"] = int((np.diff(reader.step_samples, axis=1) > 0).sum())
    if "face.step_frames" in reader.names:
        detected = np.append(0, np.cumsum(reader.read_tensor("face.detected")))
        first, end = reader.step_frames.T
        counts["face"] = int((detected[end] > detected[first]).sum())
    return counts


def _list_facts(
    summary: dict[str, Any], view: RecordingView, steps_with: dict[str, int], streams: list[str]
) -> list[tuple[str, str]]:
    sound = summary.get("sound")
    n_frames = summary["n_frames"]
    facts = [
        ("Length", format_time(view.duration_s, view.duration_s)),
        ("Steps", str(summary["n_steps"])),
    ]
    if view.n_files > 1:
        facts.append(("Recordings, one after the other", str(view.n_files)))
    if n_frames:
        share = 100 * summary["n_frames_with_face"] / n_frames
        facts.append(("Frames with a face", f"{share:.0f} % of {n_frames}"))
    if view.brightness is not None:
        facts.append(("Brightness", f"{view.brightness:.2f}"))
    if view.yaw is not None and view.pitch is not None:
        facts.append(("Head", f"yaw {round(view.yaw):+d}°, pitch {round(view.pitch):+d}°"))
    if sound and steps_with.get("audio"):
        snr_db = sound["snr_db"]
        facts += [
            ("SNR", "no signal" if snr_db is None else f"{snr_db:.0f} dB"),
            ("Speech", f"{view.speech_s:.1f} s"),
            ("Clipped", f"{100 * sound['clipped']:.2f} %"),
        ]
    if streams:
        facts.append(("Streams", ", ".join(streams)))
    return facts
