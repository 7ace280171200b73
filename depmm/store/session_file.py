"""The file of one session: decoded, aligned, compact media in the safetensors format.

===================  ================  =====================================================
tensor               shape, type       meaning
===================  ================  =====================================================
audio.waveform       (N,) int16        16 kHz mono, the sound of the steps one after the other
audio.step_samples   (L, 2) int64      first and end sample of each step (equal: no sound)
audio.speech         (K, 2) float32    segments of speech, seconds in the recording
audio.speech_step    (K,) int32        the step that each segment belongs to
face.jpeg            (bytes,) uint8    aligned 224 x 224 crops, one JPEG after the other
face.jpeg_offset     (T + 1,) int64    where each JPEG starts (equal: no face in the frame)
face.time_s          (T,) float64      seconds in the recording
face.step_frames     (L, 2) int64      first and end frame of each step (equal: no video)
face.detected        (T,) bool         a face was detected with enough confidence
face.confidence      (T,) float32      score of the detection, 1 for aligned recordings
face.landmarks       (T, 478, 3)       float32, pixels of the frame; only if faces were tracked
face.blendshapes     (T, 52)           float32, likewise
face.pose            (T, 4, 4)         float32, likewise
feature.N.values     (T, F) float32    rows of the feature stream N; NaN: invalid
feature.N.time_s     (T,) float64      seconds in the recording
feature.N.step_rows  (L, 2) int64      first and end row of each step (equal: no row)
===================  ================  =====================================================

The header also contains a summary, JSON under the key ``depmm``: ``n_steps``, ``step_start_s``,
``audio_s``, ``n_frames``, ``n_frames_with_face``, ``streams`` (name to ``rate_hz``, ``columns``,
``n_features`` and ``file``), ``warnings`` (rows of ``warnings.parquet``) and ``source_hash``.
"""

import json
import math
import shutil
import struct
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np

from depmm.config import CROP_SIZE, SAMPLE_RATE
from depmm.store.errors import StoreError, damaged_file

_DTYPES = {"int16": "I16", "int32": "I32", "int64": "I64", "uint8": "U8", "bool": "BOOL"}
_DTYPES |= {"float32": "F32", "float64": "F64"}


class SessionReader:
    """Read parts of a session file without reading the rest.

    Parameters
    ----------
    path : str or Path
        Local path of the file.

    Attributes
    ----------
    summary : dict
        The summary of the header.
    names : set of str
        Names of the tensors.
    step_samples : ndarray of int64, shape (L, 2)
        As in the table of the module docstring; only with sound.
    step_frames : ndarray of int64, shape (L, 2)
        As in the table of the module docstring; only with video.

    Raises
    ------
    StoreError
        If the file is not a session of this format.
    """

    def __init__(self, path: str | Path) -> None:
        from safetensors import SafetensorError, safe_open

        try:
            open_file: Any = safe_open  # its annotations are incomplete
            self._file = open_file(str(path), framework="numpy")
            metadata = self._file.metadata() or {}
            self.summary: dict[str, Any] = json.loads(metadata["depmm"])
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise damaged_file(path, error) from None
        self.names: set[str] = set(self._file.keys())
        if "audio.step_samples" in self.names:
            self.step_samples = self.read_tensor("audio.step_samples")
        if "face.step_frames" in self.names:
            self.step_frames = self.read_tensor("face.step_frames")
            self._detected = self.read_tensor("face.detected")
            self._jpeg_offset = self.read_tensor("face.jpeg_offset")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.__exit__(None, None, None)

    def read_tensor(self, name: str) -> np.ndarray:
        """Read one tensor.

        Parameters
        ----------
        name : str
            Name of the tensor, see the table in the module docstring.

        Returns
        -------
        ndarray
            The tensor.
        """
        tensor: np.ndarray = self._file.get_tensor(name)
        return tensor

    def _read_rows(self, name: str, first: int, end: int) -> np.ndarray:
        rows: np.ndarray = self._file.get_slice(name)[first:end]
        return rows

    def read_waveform(self, step: int, first: int = 0, count: int | None = None) -> np.ndarray:
        """Read the sound of a step, or a part of it.

        Parameters
        ----------
        step : int
            Index of the step.
        first : int, default 0
            First sample of the part, from the start of the step.
        count : int, optional
            Number of samples; by default to the end of the step.

        Returns
        -------
        ndarray of float32, shape (T,)
            Samples in [-1, 1] at 16 kHz; empty if the step has no sound.
        """
        if "audio.waveform" not in self.names:
            return np.zeros(0, np.float32)
        start, end = self.step_samples[step]
        start = min(start + first, end)
        if count is not None:
            end = min(end, start + count)
        waveform: np.ndarray = self._read_rows("audio.waveform", start, end).astype(np.float32)
        return waveform / 32768

    def read_speech(self, step: int) -> np.ndarray:
        """Read the segments of speech of a step.

        Parameters
        ----------
        step : int
            Index of the step.

        Returns
        -------
        ndarray of int64, shape (K, 2)
            First and end sample of each segment, from the start of the step.
        """
        if "audio.speech" not in self.names:
            return np.zeros((0, 2), np.int64)
        of_step = self.read_tensor("audio.speech_step") == step
        start_s = self.summary["step_start_s"][step]
        speech = (self.read_tensor("audio.speech")[of_step] - start_s) * SAMPLE_RATE
        # hours after the start of a recording, float32 seconds are inexact by a few samples
        samples: np.ndarray = np.round(speech).clip(0).astype(np.int64)
        return samples

    def step_rows(self, stream: str) -> np.ndarray:
        """Return the rows of each step in a feature stream.

        Parameters
        ----------
        stream : str
            Name of the stream.

        Returns
        -------
        ndarray of int64, shape (L, 2)
            First and end row; zeros if the session does not have the stream.
        """
        name = f"feature.{stream}.step_rows"
        if name not in self.names:
            return np.zeros((self.summary["n_steps"], 2), np.int64)
        return self.read_tensor(name)

    def read_features(self, stream: str, first: int, end: int) -> np.ndarray:
        """Read rows of a feature stream.

        Parameters
        ----------
        stream : str
            Name of the stream.
        first, end : int
            First row, and the row after the last one.

        Returns
        -------
        ndarray of float32, shape (T, F)
            The rows; invalid values are NaN.
        """
        return self._read_rows(f"feature.{stream}.values", first, end)

    def face_frames(self, step: int) -> np.ndarray:
        """Return the indices of the frames of a step that show a face.

        Parameters
        ----------
        step : int
            Index of the step.

        Returns
        -------
        ndarray of int64, shape (T,)
            Indices of frames, ascending; empty without a face.
        """
        if "face.jpeg" not in self.names:
            return np.zeros(0, np.int64)
        start, end = self.step_frames[step]
        frames: np.ndarray = start + np.flatnonzero(self._detected[start:end])
        return frames

    def read_crop(self, frame: int, size: int = CROP_SIZE) -> np.ndarray:
        """Read the crop of a frame that shows a face.

        Parameters
        ----------
        frame : int
            Index of the frame.
        size : int, default 224
            Height and width of the result, pixels.

        Returns
        -------
        ndarray of uint8, shape (size, size, 3)
            RGB.
        """
        from depmm.media.face_alignment import decode_jpeg

        start, end = self._jpeg_offset[frame : frame + 2]
        return decode_jpeg(self._read_rows("face.jpeg", start, end).tobytes(), size)

    def read_landmarks(self, frame: int) -> np.ndarray:
        """Read the landmarks of a frame that shows a face.

        Parameters
        ----------
        frame : int
            Index of the frame.

        Returns
        -------
        ndarray of float32, shape (478, 2)
            Pixels of the 224 x 224 crop.

        Raises
        ------
        StoreError
            If the recording consists of aligned faces, which are not tracked.
        """
        from depmm.media.face_alignment import crop_landmarks

        if "face.landmarks" not in self.names:
            raise StoreError(
                "The session has no landmarks: its recording shows aligned faces "
                "(face_aligned in the data spec), so the positions of eyes and mouth are not known."
            )
        return crop_landmarks(self._read_rows("face.landmarks", frame, frame + 1)[0])


class SessionWriter:
    """Write the tensors of a session in parts, so that memory does not grow with its length.

    Each tensor is written to a separate temporary file, and :meth:`save` joins the files. (The
    ``safetensors`` library needs all tensors in memory at once; its format does not.)
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._files: dict[str, IO[bytes]] = {}
        self._row_types: dict[str, tuple[str, tuple[int, ...]]] = {}  # type and shape of a row
        self._rows: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def append(self, name: str, rows: np.ndarray) -> int:
        """Append rows to a tensor.

        Parameters
        ----------
        name : str
            Name of the tensor.
        rows : ndarray, shape (N, ...)
            The rows, with the same type and shape as earlier rows.

        Returns
        -------
        int
            New number of rows of the tensor.
        """
        rows = np.ascontiguousarray(rows)
        row_type = (rows.dtype.name, rows.shape[1:])
        if name not in self._files:
            file = (self._folder / name).open("w+b")
            self._files[name] = self._stack.enter_context(file)
            self._row_types[name], self._rows[name] = row_type, 0
        assert self._row_types[name] == row_type, (name, self._row_types[name], row_type)
        self._files[name].write(rows.tobytes())
        self._rows[name] += len(rows)
        return self._rows[name]

    def rows(self, name: str) -> int:
        """Count the rows of a tensor.

        Parameters
        ----------
        name : str
            Name of the tensor.

        Returns
        -------
        int
            Number of rows so far; 0 for an unknown name.
        """
        return self._rows.get(name, 0)

    def mark(self) -> dict[str, int]:
        """Return the lengths of all tensors, for :meth:`rewind`.

        Returns
        -------
        dict of str to int
            Number of rows of each tensor.
        """
        return dict(self._rows)

    def rewind(self, mark: dict[str, int]) -> None:
        """Remove every row that was appended after a mark.

        Parameters
        ----------
        mark : dict of str to int
            From :meth:`mark`.
        """
        for name in list(self._files):
            n_rows = mark.get(name, 0)
            dtype, shape = self._row_types[name]
            self._files[name].seek(n_rows * np.dtype(dtype).itemsize * math.prod(shape))
            self._files[name].truncate()
            self._rows[name] = n_rows
            if n_rows == 0:
                del self._files[name], self._row_types[name], self._rows[name]

    def save(self, summary: dict[str, Any]) -> Path:
        """Join the tensors to one safetensors file.

        Parameters
        ----------
        summary : dict
            Summary of the session, JSON values.

        Returns
        -------
        Path
            A local file, which is deleted when the writer is closed.
        """
        header: dict[str, Any] = {"__metadata__": {"depmm": json.dumps(summary, sort_keys=True)}}
        offset = 0
        # widest type first, like the library, so that every tensor is aligned
        order = sorted(
            self._files, key=lambda name: (-np.dtype(self._row_types[name][0]).itemsize, name)
        )
        for name in order:
            dtype, shape = self._row_types[name]
            size = self._files[name].tell()
            header[name] = {
                "dtype": _DTYPES[dtype],
                "shape": [self._rows[name], *shape],
                "data_offsets": [offset, offset + size],
            }
            offset += size
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        path = self._folder / "session.safetensors"
        with path.open("wb") as out:
            out.write(struct.pack("<Q", len(text)))
            out.write(text)
            for name in order:
                self._files[name].seek(0)
                shutil.copyfileobj(self._files[name], out, 1 << 20)
        return path
