"""Page that shows recordings with their steps, words and confidences."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from markupsafe import Markup

from depmm.files.writing import write_text
from depmm.media.duration import duration_s
from depmm.media.errors import MediaError
from depmm.media.sound.audio import decode_audio
from depmm.media.sound.waveform_peaks import WaveformPeaks
from depmm.pages.templates import templates
from depmm.pages.timeline import Span, Timeline
from depmm.steps.recordings import FoundSteps, Recording
from depmm.steps.table import LOW_CONFIDENCE, Step

MAX_RECORDINGS = 50  # those with the lowest confidences come first
MAX_WORDS = 2000  # of a recording
_PARTS = 600  # of the waveform
# upper limits of the classes of confidence: their colours go from orange to blue
CLASSES = (0.25, LOW_CONFIDENCE, 0.75, 1)


def write_page(
    found: FoundSteps, recordings: Sequence[Recording], by: str, command: str, out: Path
) -> None:
    """Write the page.

    Parameters
    ----------
    found : FoundSteps
        Steps and problems.
    recordings : sequence of Recording
        The recordings, whose sound is read again.
    by : str
        The method.
    command : str
        What was run, for the page.
    out : Path
        The HTML file; its folder must exist.
    """
    steps: defaultdict[str, list[Step]] = defaultdict(list)
    problems: defaultdict[str, list[tuple[str | None, str]]] = defaultdict(list)
    for step in found.steps:
        steps[step.path].append(step)
    for problem in found.problems:
        problems[problem.path].append((problem.text, problem.problem))
    shown = sorted(recordings, key=lambda r: (_mean_confidence(steps[r.path]), r.path))
    shown = shown[:MAX_RECORDINGS]
    template = templates("depmm.steps").get_template("page.html.jinja")
    html = template.render(
        title=f"Steps by {by}",
        summary=found.summary(),
        command=command,
        n_shown=len(shown),
        n_recordings=len(recordings),
        limits=CLASSES,
        has_confidence=any(
            step.text is not None and step.confidence is not None for step in found.steps
        ),
        recordings=[
            {
                "path": recording.path,
                "drawing": _draw(recording, steps[recording.path]),
                "words": [_word(step) for step in steps[recording.path][:MAX_WORDS]],
                "n_hidden": max(0, len(steps[recording.path]) - MAX_WORDS),
                "problems": problems[recording.path],
            }
            for recording in shown
        ],
    )
    write_text(out, html)


def _mean_confidence(steps: Sequence[Step]) -> float:
    known = [step.confidence for step in steps if step.confidence is not None]
    return float(np.mean(known)) if known else float(bool(steps))


def _word(step: Step) -> dict[str, object]:
    number = ""
    if step.confidence is not None:
        number = str(sum(step.confidence >= limit for limit in CLASSES[:-1]))
    return {"step": step, "class": number}


def _draw(recording: Recording, steps: Sequence[Step]) -> Markup:
    """Draw the sound, the steps and their confidences; empty if the sound cannot be read."""
    try:
        length_s = duration_s(recording.file)
        peaks, time_s = WaveformPeaks(length_s, _PARTS), 0.0
        for block in decode_audio(recording.file, track=recording.track, channel=recording.channel):
            peaks.update(block, time_s)
            time_s += len(block) / 16000
    except MediaError:
        return Markup()
    spans = [Span(step.start_s, step.end_s, step.text or "", step.confidence) for step in steps]
    low = [span for span in spans if span.value is not None and span.value < LOW_CONFIDENCE]
    timeline = Timeline(length_s)
    timeline.add_waveform(peaks.values, spans)
    timeline.add_spans("Steps", [span for span in spans if span not in low], "step")
    if low:
        timeline.add_spans(f"Confidence below {LOW_CONFIDENCE}", low, "problem")
    return timeline.render(recording.path)
