"""Writers of simulated media, features and tables.

The same content gives the same bytes: no file contains a date or the version of a program.
"""

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from depmm.config import SAMPLE_RATE, StreamConfig
from depmm.files.writing import replacing, write_bytes, write_text
from depmm.simulation.face import FRAMES_PER_SECOND
from depmm.simulation.voice import Utterance


class _Codecs(NamedTuple):
    """FFmpeg names of a container and of its codecs."""

    container: str
    video: str
    audio: str
    options: dict[str, str]  # of the video codec
    sample_format: str


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
_AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
_AAC = {"b": "64k", "aac_coder": "fast"}


def can_write(path: str, with_video: bool) -> bool:
    """Tell whether a recording can be simulated in the format of its suffix.

    Parameters
    ----------
    path : str
        Path or pattern of the recording.
    with_video : bool
        Whether the recording has a video track.

    Returns
    -------
    bool
        True if `write_video` or `write_audio` supports the suffix.
    """
    suffix = Path(path).suffix.lower()
    return suffix in _CODECS or (not with_video and suffix in _AUDIO_SUFFIXES)


def write_video(
    path: Path, frames: Iterable[NDArray[np.uint8]], utterance: Utterance, with_audio: bool = True
) -> None:
    """Encode frames and audio in one thread, so that the same input gives the same bytes.

    Parameters
    ----------
    path : Path
        The file; its suffix selects the container.
    frames : iterable of ndarray of uint8, shape (224, 224, 3)
        RGB frames at 25 frames per second.
    utterance : Utterance
        The audio.
    with_audio : bool, default True
        Whether to write an audio track.
    """
    import av

    codecs = _CODECS[path.suffix.lower()]
    bitexact = {"flags": "+bitexact"}
    with (
        replacing(path) as temporary,
        av.open(
            str(temporary), "w", format=codecs.container, options={"fflags": "+bitexact"}
        ) as container,
    ):
        video = container.add_stream(
            codecs.video, rate=FRAMES_PER_SECOND, options=codecs.options | bitexact
        )
        video.pix_fmt = "yuv420p"
        video.codec_context.thread_count = 1
        audio = None
        if with_audio:
            options = (_AAC if codecs.audio == "aac" else {}) | bitexact
            audio = container.add_stream(
                codecs.audio, rate=SAMPLE_RATE, layout="mono", options=options
            )
            audio.codec_context.thread_count = 1
        waveform = utterance.waveform
        if codecs.sample_format == "s16":
            waveform = np.round(waveform * 32767).astype(np.int16)
        per_frame = SAMPLE_RATE // FRAMES_PER_SECOND
        for k, image in enumerate(frames):
            if k == 0:
                video.height, video.width = image.shape[:2]
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = k
            container.mux(video.encode(frame))
            if audio is not None:
                chunk = np.ascontiguousarray(waveform[None, k * per_frame : (k + 1) * per_frame])
                block = av.AudioFrame.from_ndarray(chunk, codecs.sample_format, "mono")
                block.sample_rate, block.pts = SAMPLE_RATE, k * per_frame
                container.mux(audio.encode(block))
        container.mux(video.encode(None))
        if audio is not None:
            container.mux(audio.encode(None))


def write_audio(path: Path, utterance: Utterance) -> None:
    """Write an audio file.

    Parameters
    ----------
    path : Path
        The file; its suffix selects the format.
    utterance : Utterance
        The audio.
    """
    import soundfile

    with replacing(path) as temporary:
        soundfile.write(temporary, utterance.waveform, SAMPLE_RATE)


def write_array(
    path: Path, values: NDArray[np.float32], stream: StreamConfig, shape: Sequence[int]
) -> None:
    """Write rows of features as a NumPy or MATLAB array.

    Parameters
    ----------
    path : Path
        The file.
    values : ndarray of float32, shape (T, F)
        Rows of features.
    stream : StreamConfig
        Format of the stream, with the axis of the rows.
    shape : sequence of int
        Lengths of the other axes; their product is F.
    """
    array = np.moveaxis(values.reshape(len(values), *shape), 0, stream.axis)
    buffer = io.BytesIO()
    if stream.format == "npy":
        np.save(buffer, array, allow_pickle=False)
        write_bytes(path, buffer.getvalue())
        return
    from scipy.io import savemat

    savemat(buffer, {stream.variable: array})
    # the first 116 bytes are free text, in which scipy writes the date
    write_bytes(path, b"MATLAB 5.0 MAT-file".ljust(116) + buffer.getvalue()[116:])


def write_cells(
    path: Path, rows: Iterable[Sequence[str]], sep: str = ",", encoding: str = "utf-8"
) -> None:
    """Write rows of text as delimited text, or as an Excel workbook.

    Parameters
    ----------
    path : Path
        The file; the suffix ``.xlsx`` selects a workbook.
    rows : iterable of sequence of str
        The cells.
    sep : str, default ","
        Separator of delimited text. Cells are quoted where necessary if it is ``,`` or ``;``; with
        any other separator, a quotation mark is part of the text.
    encoding : str, default "utf-8"
        Encoding of delimited text.
    """
    if path.suffix == ".xlsx":
        write_bytes(path, _workbook(rows))
        return
    text = io.StringIO(newline="")
    if sep in ",;":
        csv.writer(text, delimiter=sep, lineterminator="\n").writerows(rows)
    else:
        text.writelines(sep.join(row) + "\n" for row in rows)
    write_bytes(path, text.getvalue().encode(encoding))


def write_objects(
    path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]], key: str | None = None
) -> None:
    """Write rows as a JSON list of objects, or as an object of objects.

    Parameters
    ----------
    path : Path
        The file.
    columns : sequence of str
        Names of the cells.
    rows : iterable of sequence of str
        The cells.
    key : str, optional
        Column whose cells name the objects; a list is written by default.
    """
    objects = [
        {name: _json_value(cell) for name, cell in zip(columns, row, strict=True)} for row in rows
    ]
    content = objects if key is None else {str(entry.pop(key)): entry for entry in objects}
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _json_value(cell: str) -> str | int:
    return int(cell) if cell.isdecimal() and str(int(cell)) == cell else cell


def _workbook(rows: Iterable[Sequence[str]]) -> bytes:
    """Build an Excel workbook with one sheet of text."""
    import openpyxl

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Sheet1")
    for row in rows:
        sheet.append(row)
    saved, repeated = io.BytesIO(), io.BytesIO()
    book.save(saved)
    # openpyxl writes the time into the properties, and zipfile into every entry
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(repeated, "w") as target:
        for name in source.namelist():
            content = re.sub(
                rb"\d{4}-\d\d-\d\dT[\d:.]+Z", b"1980-01-01T00:00:00Z", source.read(name)
            )
            target.writestr(zipfile.ZipInfo(name), content)
    return repeated.getvalue()
