"""Drawing of a recording on a time axis, as HTML with inline SVG and without other files.

Every row has the same time axis. The plots stretch to the width of the page and have a fixed
height; names and times are text of the page and therefore have a readable size on a phone. What a
row means is written beside it and does not depend on its colour; the colours are those of Okabe and
Ito (2008, "Color Universal Design").
"""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import ArrayLike

WIDTH = 1000  # units of a drawing; the page stretches it
MAX_SHAPES = 400  # spans of a row that are drawn one by one, with their text on hover
MAX_TICKS = 9
MAX_LANES = 3  # lines of a row of overlapping spans
_TICKS_S = (
    *(0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400),
    *(43200, 86400),
)

Kind = Literal["speech", "step", "problem"]
"""Meaning of the spans of a row, which determines colour and pattern."""


@dataclass(frozen=True)
class Span:
    """A part of a recording.

    Attributes
    ----------
    start_s, end_s : float
        Seconds from the start of the recording.
    text : str
        Text that a pointer shows, for example the words of a step.
    value : float, optional
        Height of a bar, see :meth:`Timeline.add_bars`.
    """

    start_s: float
    end_s: float
    text: str = ""
    value: float | None = None


@dataclass(frozen=True)
class Picture:
    """A picture, or the information that there is none.

    Attributes
    ----------
    start_s, end_s : float
        The part of the recording that it represents, in seconds.
    jpeg : bytes, optional
        A JPEG file; None draws an empty box.
    text : str
        Alternative text, for example ``"face at 3.2 s"``.
    """

    start_s: float
    end_s: float
    jpeg: bytes | None
    text: str


class Timeline:
    """Rows over one time axis, for a page whose style includes ``timeline.css.jinja``.

    Parameters
    ----------
    duration_s : float
        Length of the axis, in seconds.

    Examples
    --------
    >>> timeline = Timeline(2.0)
    >>> timeline.add_waveform([0.1, 0.8, 0.2, 0.0], speech=[Span(0.2, 1.4)])
    >>> timeline.add_spans("Steps", [Span(0.0, 1.0, "yes"), Span(1.0, 2.0, "no")], "step")
    >>> html = timeline.render("recording of 2 s")
    """

    def __init__(self, duration_s: float) -> None:
        self.duration_s = max(float(duration_s), 1e-3)
        self._rows: list[Markup] = []

    def add_waveform(
        self, peaks: ArrayLike, speech: Sequence[Span] = (), name: str = "Sound"
    ) -> None:
        """Draw the sound; its parts inside of speech are darker.

        Parameters
        ----------
        peaks : array_like, shape (N,)
            Largest absolute sample in each of N equal parts of the axis; NaN without sound. The
            loudest part has the full height.
        speech : sequence of Span, optional
            Segments of speech.
        name : str, default "Sound"
            Name of the row.
        """
        values = np.asarray(peaks, np.float64).reshape(-1)
        loudest = np.nanmax(values) if np.isfinite(values).any() else 0.0
        heights = np.maximum(np.round(100 * values / loudest if loudest > 0 else 0 * values), 1)
        spoken = self._inside(speech, len(values))
        paths = [
            f'<path class="{style}" d="{_bars(heights, mask)}"/>'
            for style, mask in (("other-sound", ~spoken), ("speech-sound", spoken))
        ]
        svg = _svg("".join(paths), max(1, len(values)), 200, self._describe_sound(values, speech))
        self._add(name, svg, "wave")

    def add_spans(self, name: str, spans: Sequence[Span], kind: Kind) -> None:
        """Draw parts of the recording as boxes; parts that overlap are in different lines.

        Parameters
        ----------
        name : str
            Name of the row.
        spans : sequence of Span
            The parts.
        kind : {"speech", "step", "problem"}
            Their meaning.
        """
        lanes, n_lanes = _lanes(spans)
        height = 100 // n_lanes
        boxes = [
            (*self._extent(span), lane * height, height, span)
            for span, lane in zip(spans, lanes, strict=True)
        ]
        if len(boxes) > MAX_SHAPES:
            path = "".join(f"M{x:g} {y}h{w:g}v{h}h{-w:g}z" for x, w, y, h, _ in boxes)
            shapes = f'<path class="{kind}" d="{path}"/>'
        else:
            shapes = "".join(
                f'<rect class="{kind}" x="{x:g}" y="{y}" width="{w:g}" height="{h}">'
                f"<title>{escape(_describe(span))}</title></rect>"
                for x, w, y, h, span in boxes
            )
        self._add(name, _svg(shapes, WIDTH, 100, self._count(name, spans)), kind)

    def add_bars(self, name: str, spans: Sequence[Span]) -> None:
        """Draw the values of parts as bars: above the middle if positive, below if negative.

        Parameters
        ----------
        name : str
            Name of the row.
        spans : sequence of Span
            Parts with a value; those without one are left out.
        """
        known = [span for span in spans if span.value is not None and math.isfinite(span.value)]
        peak = max((abs(span.value or 0.0) for span in known), default=0.0)
        bars: dict[str, list[tuple[Span, str]]] = {"positive": [], "negative": []}
        for span in known:
            value = span.value or 0.0
            x, width = self._extent(span)
            height = round(95 * abs(value) / peak, 1) if peak else 0
            path = f"M{x:g} 100h{width:g}v{-math.copysign(height, value):g}h{-width:g}z"
            bars["positive" if value > 0 else "negative"].append((span, path))
        shapes = '<path class="zero" d="M0 100h1000"/>'
        for style, drawn in bars.items():
            if len(known) > MAX_SHAPES:
                shapes += f'<path class="{style}" d="{"".join(path for _, path in drawn)}"/>'
                continue
            for span, path in drawn:
                title = escape(f"{_describe(span)} {span.value:+.3f}")
                shapes += f'<path class="{style}" d="{path}"><title>{title}</title></path>'
        label = f"{name}: {len(known)} values, the largest absolute value is {peak:.3f}"
        self._add(name, _svg(shapes, WIDTH, 200, label), "bars")

    def add_pictures(self, name: str, pictures: Sequence[Picture]) -> None:
        """Show pictures at their times.

        Parameters
        ----------
        name : str
            Name of the row.
        pictures : sequence of Picture
            In the order of time, without overlap.
        """
        parts = []
        for picture in pictures:
            x, width = self._extent(picture)
            place = f"left:{x / 10:.4g}%;width:{width / 10:.4g}%"
            alt = escape(picture.text)
            content = (
                f'<span class="no-picture" role="img" aria-label="{alt}" title="{alt}"></span>'
                if picture.jpeg is None
                else f'<img src="{jpeg_uri(picture.jpeg)}" alt="{alt}" title="{alt}">'
            )
            parts.append(f'<span class="cell" style="{place}">{content}</span>')
        self._add(name, "".join(parts), "pictures")

    def render(self, label: str) -> Markup:
        """Return the rows with the axis.

        Parameters
        ----------
        label : str
            Name of the whole for screen readers.

        Returns
        -------
        Markup
            HTML; all text is escaped.
        """
        ticks = "".join(
            f'<span class="{style}" style="left:{100 * time_s / self.duration_s:.4g}%">'
            f"{text}</span>"
            for style, time_s, text in self._ticks()
        )
        axis = f'<span class="name"></span><div class="plot axis">{ticks}</div>'
        rows = "".join(self._rows) + f'<div class="row">{axis}</div>'
        name = f'role="group" aria-label="{escape(label)}"'
        return Markup(f'<div class="timeline" {name}>{rows}</div>')

    def _add(self, name: str, content: str, style: str) -> None:
        row = f'<span class="name">{escape(name)}</span><div class="plot {style}">{content}</div>'
        self._rows.append(Markup(f'<div class="row">{row}</div>'))

    def _extent(self, part: Span | Picture) -> tuple[float, float]:
        """Return start and width in units of the drawing; a part is at least one unit wide."""
        start, end = (
            WIDTH * min(max(time_s, 0.0), self.duration_s) / self.duration_s
            for time_s in (part.start_s, part.end_s)
        )
        width = round(max(end - start, 1.0), 1)
        return min(round(start, 1), WIDTH - width), width

    def _inside(self, spans: Sequence[Span], count: int) -> np.ndarray:
        """Return which of equal parts of the axis have their middle inside of a span, (N,)."""
        inside = np.zeros(count, bool)
        scale = count / self.duration_s
        for span in spans:
            first, end = (math.ceil(s * scale - 0.5) for s in (span.start_s, span.end_s))
            inside[max(0, first) : max(0, end)] = True
        return inside

    def _describe_sound(self, peaks: np.ndarray, speech: Sequence[Span]) -> str:
        if not np.isfinite(peaks).any():
            return "no sound"
        loudest = float(np.nanmax(peaks))
        level = f"{20 * math.log10(loudest):.0f} dB of full scale" if loudest > 0 else "silence"
        return f"waveform, loudest {level}; {self._count('speech', speech)}"

    def _count(self, name: str, spans: Sequence[Span]) -> str:
        total_s = sum(span.end_s - span.start_s for span in spans)
        return f"{name}: {len(spans)}, together {total_s:.1f} s of {self.duration_s:.1f} s"

    def _ticks(self) -> list[tuple[str, float, str]]:
        step_s = next((s for s in _TICKS_S if self.duration_s / s <= MAX_TICKS), _TICKS_S[-1])
        count = min(int(0.96 * self.duration_s / step_s) + 1, 10 * MAX_TICKS)  # text fits
        # every second tick is hidden on a narrow screen
        return [
            ("minor" if i % 2 else "major", i * step_s, format_time(i * step_s, self.duration_s))
            for i in range(count)
        ]


def format_time(time_s: float, duration_s: float) -> str:
    """Write a time of a recording.

    Parameters
    ----------
    time_s : float
        Seconds from the start of the recording.
    duration_s : float
        Length of the recording, in seconds, which determines the form.

    Returns
    -------
    str
        Seconds below two minutes, otherwise minutes or hours.

    Examples
    --------
    >>> format_time(75, 90), format_time(75, 600), format_time(75, 7200)
    ('75 s', '1:15', '0:01:15')
    """
    if duration_s < 120:
        return f"{time_s:.1f} s" if time_s % 1 else f"{time_s:.0f} s"
    minutes, seconds = divmod(round(time_s), 60)
    if duration_s < 3600:
        return f"{minutes}:{seconds:02d}"
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


def jpeg_uri(jpeg: bytes) -> str:
    """Return the address of a picture that is part of the page.

    Parameters
    ----------
    jpeg : bytes
        A JPEG file.

    Returns
    -------
    str
        A ``data:`` address.
    """
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def _svg(shapes: str, width: int, height: int, label: str) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(label)}">{shapes}</svg>'
    )


def _bars(heights: np.ndarray, mask: np.ndarray) -> str:
    """Return the path of vertical lines at the parts of a mask, symmetric around the middle."""
    indices = np.flatnonzero(mask & np.isfinite(heights))
    return "".join(f"M{i}.5 {100 - heights[i]:.0f}v{2 * heights[i]:.0f}" for i in indices)


def _lanes(spans: Sequence[Span]) -> tuple[list[int], int]:
    """Assign the line of each span, the first one that is free, and count the lines."""
    ends = [-math.inf] * MAX_LANES
    lanes = [0] * len(spans)
    for index in sorted(range(len(spans)), key=lambda i: spans[i].start_s):
        free = [lane for lane in range(MAX_LANES) if ends[lane] <= spans[index].start_s + 1e-6]
        lane = free[0] if free else min(range(MAX_LANES), key=ends.__getitem__)
        lanes[index], ends[lane] = lane, spans[index].end_s
    return lanes, max(lanes, default=0) + 1


def _describe(span: Span) -> str:
    return f"{span.start_s:.2f} to {span.end_s:.2f} s {span.text}".strip()
