"""Files of a simulated corpus: videos, sound, features, tables; the same content, the same bytes.

Nothing here writes a date or the name of a program into a file, and every file is written under a
temporary name and renamed, so that half a file cannot be mistaken for a whole one.
"""

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from depmm.config import SAMPLE_RATE, StreamConfig
from depmm.simulation.face import FRAMES_PER_SECOND
from depmm.simulation.voice import Utterance


class _Codecs(NamedTuple):
    """How FFmpeg names a container and what goes into it."""

    container: str
    video: str
    audio: str
    options: dict[str, str]  # of the video codec
    samples: str  # sample format that the sound is handed over in


_X264 = {"crf": "20", "preset": "ultrafast"}
_CODECS = {
    ".mp4": _Codecs("mp4", "libx264", "aac", _X264, "fltp"),
    ".m4v": _Codecs("mp4", "libx264", "aac", _X264, "fltp"),
    ".mov": _Codecs("mov", "libx264", "aac", _X264, "fltp"),
    ".mkv": _Codecs("matroska", "libx264", "aac", _X264, "fltp"),
    ".avi": _Codecs("avi", "mpeg4", "mp2", {"q": "3"}, "s16"),
    ".mpg": _Codecs("mpeg", "mpeg1video", "mp2", {"b": "1M"}, "s16"),
    ".mpeg": _Codecs("mpeg", "mpeg1video", "mp2", {"b": "1M"}, "s16"),
}
_SOUNDS = (".wav", ".flac", ".ogg", ".mp3")
_AAC = {"b": "64k", "aac_coder": "fast"}


def can_write(path: str, with_pictures: bool) -> bool:
    """Say whether recordings with this ending can be simulated."""
    suffix = Path(path).suffix.lower()
    return suffix in _CODECS or (not with_pictures and suffix in _SOUNDS)


def write_video(
    path: Path, frames: Iterable[NDArray[np.uint8]], recording: Utterance, sound: bool = True
) -> None:
    """Encode frames and sound; one thread and no dates or versions, so that bytes repeat.

    Parameters
    ----------
    path : its ending says the container
    frames : uint8[224, 224, 3] each, at 25 fps
    recording : whose sound it is
    sound : False leaves the sound track out
    """
    import av

    codecs = _CODECS[path.suffix.lower()]
    temporary = path.with_name(f".{path.name}.part")
    bitexact = {"flags": "+bitexact"}
    with av.open(
        str(temporary), "w", format=codecs.container, options={"fflags": "+bitexact"}
    ) as container:
        video = container.add_stream(
            codecs.video, rate=FRAMES_PER_SECOND, options=codecs.options | bitexact
        )
        video.pix_fmt = "yuv420p"
        video.codec_context.thread_count = 1
        audio = None
        if sound:
            options = (_AAC if codecs.audio == "aac" else {}) | bitexact
            audio = container.add_stream(
                codecs.audio, rate=SAMPLE_RATE, layout="mono", options=options
            )
            audio.codec_context.thread_count = 1
        waveform = recording.waveform
        if codecs.samples == "s16":
            waveform = np.round(waveform * 32767).astype(np.int16)
        per_frame = SAMPLE_RATE // FRAMES_PER_SECOND
        for k, picture in enumerate(frames):
            if k == 0:
                video.height, video.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = k
            container.mux(video.encode(frame))
            if audio is not None:
                chunk = np.ascontiguousarray(waveform[None, k * per_frame : (k + 1) * per_frame])
                block = av.AudioFrame.from_ndarray(chunk, codecs.samples, "mono")
                block.sample_rate, block.pts = SAMPLE_RATE, k * per_frame
                container.mux(audio.encode(block))
        container.mux(video.encode(None))
        if audio is not None:
            container.mux(audio.encode(None))
    temporary.replace(path)


def write_sound(path: Path, recording: Utterance) -> None:
    """Write a sound file; its ending says the format."""
    import soundfile

    temporary = path.with_name(f".{path.stem}.part{path.suffix}")
    soundfile.write(temporary, recording.waveform, SAMPLE_RATE)
    temporary.replace(path)


def write_array(
    path: Path, values: NDArray[np.float32], stream: StreamConfig, shape: Sequence[int]
) -> None:
    """Write rows [T, F] as a NumPy or MATLAB array with the rows on the stream's axis."""
    array = np.moveaxis(values.reshape(len(values), *shape), 0, stream.axis)
    buffer = io.BytesIO()
    if stream.format == "npy":
        np.save(buffer, array, allow_pickle=False)
        _write(path, buffer.getvalue())
        return
    from scipy.io import savemat

    savemat(buffer, {stream.variable: array})
    # the first 116 bytes are free text, in which scipy writes the date
    _write(path, b"MATLAB 5.0 MAT-file".ljust(116) + buffer.getvalue()[116:])


def write_cells(
    path: Path, rows: Iterable[Sequence[str]], sep: str = ",", encoding: str = "utf-8"
) -> None:
    """Write rows of text as delimited text, or as an Excel sheet where the path ends in .xlsx."""
    if path.suffix == ".xlsx":
        _write(path, _sheet(rows))
        return
    text = io.StringIO(newline="")
    if sep in ",;":
        csv.writer(text, delimiter=sep, lineterminator="\n").writerows(rows)
    else:  # there a quotation mark is part of the text
        text.writelines(sep.join(row) + "\n" for row in rows)
    _write(path, text.getvalue().encode(encoding))


def write_objects(
    path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]], key: str | None = None
) -> None:
    """Write rows as a JSON list of objects, or as an object of objects named by a column."""
    objects = [{name: _json(cell) for name, cell in zip(columns, row, strict=True)} for row in rows]
    named = objects if key is None else {str(one.pop(key)): one for one in objects}
    write_text(path, json.dumps(named, indent=1, ensure_ascii=False) + "\n")


def _json(cell: str) -> str | int:
    return int(cell) if cell.isdecimal() and str(int(cell)) == cell else cell


def write_table(path: Path, header: str, rows: Iterable[Iterable[Any]]) -> None:
    """Write a CSV file; ``header`` names its columns, by blanks."""
    write_cells(path, [header.split(), *([str(cell) for cell in row] for row in rows)])


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8."""
    _write(path, text.encode("utf-8"))


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(content)
    temporary.replace(path)


_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_OFFICE = "http://schemas.openxmlformats.org"
_WORKBOOK = {
    "[Content_Types].xml": f'<Types xmlns="{_OFFICE}/package/2006/content-types">'
    '<Default Extension="rels" '
    'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/xl/workbook.xml" ContentType="application/'
    'vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>'
    '<Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/'
    'vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{_OFFICE}/package/2006/relationships">'
    f'<Relationship Id="r1" Type="{_OFFICE}/officeDocument/2006/relationships/officeDocument" '
    'Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{_OFFICE}/spreadsheetml/2006/main" '
    f'xmlns:r="{_OFFICE}/officeDocument/2006/relationships"><sheets>'
    '<sheet name="Sheet1" sheetId="1" r:id="r1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_OFFICE}/package/2006/relationships">'
    f'<Relationship Id="r1" Type="{_OFFICE}/officeDocument/2006/relationships/worksheet" '
    'Target="worksheets/sheet1.xml"/></Relationships>',
}


def _sheet(rows: Iterable[Sequence[str]]) -> bytes:
    """Make the smallest Excel workbook with one sheet of text."""
    cells = "".join(
        "<row>"
        + "".join(f'<c t="inlineStr"><is><t>{escape(cell)}</t></is></c>' for cell in row)
        + "</row>"
        for row in rows
    )
    sheet = f'<worksheet xmlns="{_OFFICE}/spreadsheetml/2006/main"><sheetData>{cells}</sheetData>'
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        parts = {**_WORKBOOK, "xl/worksheets/sheet1.xml": sheet + "</worksheet>"}
        for name, content in parts.items():
            file.writestr(zipfile.ZipInfo(name), _XML + content)  # its date is 1980
    return buffer.getvalue()
