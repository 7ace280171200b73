"""The page for listening to the speakers of recordings, and for choosing the participant.

The page is one file without network access. It contains short excerpts of the recordings as sound
and has to be stored like them.
"""

import base64
import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from markupsafe import Markup

from depmm.config import SAMPLE_RATE
from depmm.files.writing import write_text
from depmm.pages.templates import templates
from depmm.pages.timeline import Span, Timeline, format_time
from depmm.steps.turns import Turn, share_of_time

N_EXCERPTS = 8  # per speaker
EXCERPT_S = 3.0
MAX_RECORDINGS = 60  # of a page, about 0.4 MB each
N_PEAKS = 600
_FADE = SAMPLE_RATE // 100  # samples; without it, the cut edges click
_LEVEL = 0.1  # of all excerpts, root mean square, so that a quiet speaker is heard
_GENERATOR = b'<meta name="generator" content="depmm steps">'


@dataclass(frozen=True)
class Excerpt:
    """A short part of a turn.

    Attributes
    ----------
    speaker : str
        Name of the speaker.
    start_s, end_s : float
        Seconds from the start of the recording.
    """

    speaker: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class ListenedRecording:
    """A recording on the page.

    Attributes
    ----------
    name : str
        Path without its suffix.
    recording_sha256, turns_sha256 : str
        Digests, see :class:`depmm.steps.participant_choices.Choice`.
    turns : tuple of Turn
        Its turns.
    peaks : ndarray, shape (N,)
        Largest absolute sample of equal parts of the recording.
    duration_s : float
        Length in seconds.
    sounds : tuple of (Excerpt, bytes)
        Excerpts in the order of time, as MP3.
    note : str
        A sentence about how well the speakers are told apart.
    reason : str, optional
        Why an earlier choice is not used.
    """

    name: str
    recording_sha256: str
    turns_sha256: str
    turns: tuple[Turn, ...]
    peaks: np.ndarray
    duration_s: float
    sounds: tuple[tuple[Excerpt, bytes], ...]
    note: str
    reason: str | None = None


def listening_page_path(out: Path) -> Path:
    """Return the path of the page of a table of steps.

    Parameters
    ----------
    out : Path
        The table, for example ``turns.csv``.

    Returns
    -------
    Path
        For example ``turns.listen.html``.
    """
    return out.with_name(f"{out.stem}.listen.html")


def choose_excerpts(turns: Sequence[Turn]) -> list[Excerpt]:
    """Choose excerpts of every speaker that are spread over the recording.

    Parameters
    ----------
    turns : sequence of Turn
        The turns.

    Returns
    -------
    list of Excerpt
        In the order of time. The turns of a speaker are divided into eight groups in the order of
        time; of each group the longest turn is used, of which the middle 3 s are heard.
    """
    excerpts = []
    for name in share_of_time(turns):
        own = [turn for turn in turns if turn.speaker == name]
        for group in np.array_split(np.arange(len(own)), min(N_EXCERPTS, len(own))):
            longest = max((own[i] for i in group), key=lambda turn: turn.end_s - turn.start_s)
            middle = (longest.start_s + longest.end_s) / 2
            half = min(EXCERPT_S, longest.end_s - longest.start_s) / 2
            excerpts.append(Excerpt(name, middle - half, middle + half))
    return sorted(excerpts, key=lambda excerpt: excerpt.start_s)


def cut_excerpts(
    blocks: Iterable[np.ndarray], excerpts: Sequence[Excerpt], duration_s: float
) -> tuple[np.ndarray, list[bytes]]:
    """Cut excerpts from a recording that is decoded block by block, and measure its peaks.

    Parameters
    ----------
    blocks : iterable of ndarray, shape (T,)
        Samples at 16 kHz.
    excerpts : sequence of Excerpt
        In the order of time.
    duration_s : float
        Length of the recording, to which the peaks refer.

    Returns
    -------
    peaks : ndarray of float64, shape (600,)
        Largest absolute sample of equal parts.
    sounds : list of bytes
        Each excerpt as MP3, at one level.
    """
    peaks = np.zeros(N_PEAKS)
    parts: list[list[np.ndarray]] = [[] for _ in excerpts]
    bounds = np.array([[round(e.start_s * SAMPLE_RATE), round(e.end_s * SAMPLE_RATE)]
                       for e in excerpts]).reshape(-1, 2)  # fmt: skip
    scale = N_PEAKS / max(duration_s * SAMPLE_RATE, 1)
    first = 0
    for block in blocks:
        bins = np.minimum(((first + np.arange(len(block))) * scale).astype(int), N_PEAKS - 1)
        np.maximum.at(peaks, bins, np.abs(block))
        end = first + len(block)
        for index in np.flatnonzero((bounds[:, 0] < end) & (bounds[:, 1] > first)):
            start, stop = np.clip(bounds[index] - first, 0, len(block))
            parts[index].append(block[start:stop].copy())
        first = end
    return peaks, [_encode(np.concatenate(part or [np.zeros(1)])) for part in parts]


def _encode(samples: np.ndarray) -> bytes:
    import soundfile

    level = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    peak = float(np.abs(samples).max())
    gain = min(_LEVEL / max(level, 1e-6), 0.9 / max(peak, 1e-6))
    fade = np.minimum(1.0, np.minimum(np.arange(len(samples)) + 1,
                                      np.arange(len(samples), 0, -1)) / _FADE)  # fmt: skip
    file = io.BytesIO()
    soundfile.write(file, samples * gain * fade, SAMPLE_RATE, format="MP3")
    return file.getvalue()


def render_listening_page(recordings: Sequence[ListenedRecording], command: str) -> str:
    """Render the page.

    Parameters
    ----------
    recordings : sequence of ListenedRecording
        The recordings without a choice; the first 60 are on the page.
    command : str
        The command that reads the choices.

    Returns
    -------
    str
        HTML, one file; its content security policy allows only its own script and sounds.
    """
    script = files("depmm.steps").joinpath("listening_page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    template = templates("depmm.steps").get_template("listening_page.html.jinja")
    return template.render(
        title="Which speaker is the participant?",
        recordings=[_content(recording) for recording in recordings[:MAX_RECORDINGS]],
        n_more=max(0, len(recordings) - MAX_RECORDINGS),
        command=command,
        script=script,
        digest=digest,
    )


def _content(recording: ListenedRecording) -> dict[str, object]:
    shares = share_of_time(recording.turns)
    speakers = []
    timeline = Timeline(recording.duration_s)
    timeline.add_waveform(recording.peaks, [Span(t.start_s, t.end_s) for t in recording.turns])
    for name, share in shares.items():
        own = [turn for turn in recording.turns if turn.speaker == name]
        timeline.add_spans(name, [Span(turn.start_s, turn.end_s) for turn in own], "step")
        excerpts = [
            {
                "time": format_time(excerpt.start_s, max(recording.duration_s, 120)),
                "sound": f"data:audio/mpeg;base64,{base64.b64encode(sound).decode()}",
            }
            for excerpt, sound in recording.sounds
            if excerpt.speaker == name
        ]
        speakers.append(
            {
                "name": name,
                "share": round(100 * share),
                "n_turns": len(own),
                "excerpts": excerpts,
            }
        )
    markup: Markup = timeline.render(f"turns of {recording.name}")
    return {
        "name": recording.name,
        "recording_sha256": recording.recording_sha256,
        "turns_sha256": recording.turns_sha256,
        "length": format_time(recording.duration_s, recording.duration_s),
        "n_turns": len(recording.turns),
        "note": recording.note,
        "reason": recording.reason,
        "timeline": markup,
        "speakers": speakers,
    }


def write_listening_page(recordings: Sequence[ListenedRecording], command: str, path: Path) -> bool:
    """Write the page, or remove that of an earlier run if every recording has a choice.

    Parameters
    ----------
    recordings : sequence of ListenedRecording
        The recordings without a choice.
    command : str
        The command that reads the choices.
    path : Path
        The page.

    Returns
    -------
    bool
        Whether there is a page.
    """
    if recordings:
        write_text(path, render_listening_page(recordings, command))
        return True
    if path.is_file():
        with path.open("rb") as file:
            is_own = _GENERATOR in file.read(1000)
        if is_own:  # it contains voices and is not needed any more
            path.unlink()
    return False
