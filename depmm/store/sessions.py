"""One safetensors file per session: decoded, aligned, compact media, written once.

===================  ================  =====================================================
tensor               shape, type       meaning
===================  ================  =====================================================
audio.waveform       [N] int16         16 kHz mono, the steps' sound one after the other
audio.step_samples   [L, 2] int64      first and end sample of each step (equal: no sound)
audio.speech         [K, 2] float32    stretches of speech, seconds in the recording
audio.speech_step    [K] int32         the step that each stretch belongs to
face.jpeg            [bytes] uint8     aligned 224 x 224 crops, one JPEG after the other
face.jpeg_offset     [T + 1] int64     where each JPEG starts (equal: no face in the frame)
face.time_s          [T] float64       seconds in the recording
face.step_frames     [L, 2] int64      first and end frame of each step (equal: no video)
face.detected        [T] bool          a face was found with enough confidence
face.confidence      [T] float32
face.landmarks       [T, 478, 3]       float32, only where MediaPipe looked
face.blendshapes     [T, 52]           float32, likewise
face.pose            [T, 4, 4]         float32, likewise
feature.N.values     [T, F] float32    rows of the stream N of features; NaN: not valid
feature.N.time_s     [T] float64       seconds in the recording
feature.N.step_rows  [L, 2] int64      first and end row of each step (equal: none)
===================  ================  =====================================================

The file's name carries a hash of the settings that made it, so that stores of different settings
live side by side and none is ever taken for another.
"""

import hashlib
import json
import math
import shutil
import struct
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import fsspec
import numpy as np

from depmm.config import CROP_SIZE, SAMPLE_RATE, ExtractConfig
from depmm.errors import DepmmError
from depmm.files import replacing, write_text

FORMAT_VERSION = 2
MAX_HEADER = 100_000_000  # bytes, the limit of the safetensors library
_DTYPES = {"int16": "I16", "int32": "I32", "int64": "I64", "uint8": "U8", "bool": "BOOL"}
_DTYPES |= {"float32": "F32", "float64": "F64"}


class StoreError(DepmmError):
    """A session that the store does not hold, or cannot read; the message says what to do."""


def settings_hash(settings: ExtractConfig) -> str:
    """Name the settings (and the version of this format) in eight characters."""
    content = json.dumps([FORMAT_VERSION, settings.model_dump(mode="json")], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:8]


def _damaged(path: str | Path, error: Exception) -> StoreError:
    return StoreError(
        f"{path}: not a session of a store ({error}).",
        file=path,
        remedy="Run depmm extract again.",
    )


class SessionStore:
    """A folder, local or anywhere ``fsspec`` reaches, of session files made with one setting.

    Parameters
    ----------
    root : path or URL, e.g. ``stores/demo`` or ``s3://bucket/store``
    settings : the extraction settings; they are part of every file's name
    """

    def __init__(self, root: str | Path, settings: ExtractConfig):
        self.filesystem, self.root = fsspec.core.url_to_fs(str(root))
        self.url = str(root)
        self.settings = settings
        self.settings_hash = settings_hash(settings)

    def path(self, corpus: str, subject: str, session: str) -> str:
        """Where a session lies, relative to nothing: a path of the file system."""
        return f"{self.root}/{corpus}/{subject}/{session}.{self.settings_hash}.safetensors"

    def has(self, corpus: str, subject: str, session: str) -> bool:
        """Whether the session was extracted with these settings."""
        return bool(self.filesystem.exists(self.path(corpus, subject, session)))

    def read(self, corpus: str, subject: str, session: str) -> "SessionReader":
        """Open a session; from a remote store it is downloaded once per process.

        Raises
        ------
        StoreError : it is not there, or the file is damaged
        """
        path = self.path(corpus, subject, session)
        if not self.filesystem.exists(path):
            raise StoreError(
                f"session {corpus}/{subject}/{session} is not in the store {self.url} with these "
                f"extraction settings ({self.settings_hash}).",
                file=path,
                subject=subject,
                session=session,
                remedy="Run depmm extract, or see failures.parquet.",
            )
        if self._is_local:
            return SessionReader(path)
        local = fsspec.open_local(f"simplecache::{self.filesystem.unstrip_protocol(path)}")
        return SessionReader(str(local))

    def summary(self, corpus: str, subject: str, session: str) -> dict[str, Any]:
        """What ``SessionWriter.save`` was told of a session, from the head of its file alone.

        Raises
        ------
        StoreError : it is not there, or the file is damaged
        """
        path = self.path(corpus, subject, session)
        try:
            with self.filesystem.open(path, "rb") as file:
                (length,) = struct.unpack("<Q", file.read(8))
                if length > MAX_HEADER:
                    raise ValueError(f"a header of {length} bytes")
                header = json.loads(file.read(length))
            summary: dict[str, Any] = json.loads(header.pop("__metadata__")["depmm"])
            size = 8 + length + max(entry["data_offsets"][1] for entry in header.values())
            if self.filesystem.size(path) != size:
                raise ValueError(f"it should have {size} bytes")
        except (OSError, KeyError, ValueError, TypeError, struct.error) as error:
            raise _damaged(path, error) from None
        return summary

    def put(self, local: Path, path: str) -> None:
        """Move a complete local file into the store.

        Other processes see the old file or the complete new one.

        Parameters
        ----------
        local : Path
            The file; it is gone afterwards.
        path : str
            Where it lies in the file system of the store.
        """
        self.filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
        if self._is_local:
            with replacing(Path(path)) as temporary:
                shutil.move(local, temporary)
        else:  # object stores show an upload when it is complete
            self.filesystem.put_file(str(local), path)
            local.unlink()

    def put_text(self, text: str, path: str) -> None:
        """Write a text file into the store, as ``put`` does.

        Parameters
        ----------
        text : str
            Its content.
        path : str
            Where it lies in the file system of the store.
        """
        self.filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
        if self._is_local:
            write_text(Path(path), text)
        else:
            self.filesystem.pipe_file(path, text.encode())

    @property
    def _is_local(self) -> bool:
        return isinstance(self.filesystem, fsspec.implementations.local.LocalFileSystem)


class SessionReader:
    """Reads parts of a session's file without reading the rest.

    Parameters
    ----------
    path : local path of the file

    Raises
    ------
    StoreError : the file is not a session of this format
    """

    def __init__(self, path: str | Path):
        from safetensors import SafetensorError, safe_open

        try:
            self._file = safe_open(str(path), framework="numpy")
            metadata = self._file.metadata() or {}
            self.summary: dict[str, Any] = json.loads(metadata["depmm"])
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise _damaged(path, error) from None
        self.names = set(self._file.keys())
        if "audio.step_samples" in self.names:
            self.step_samples = self._file.get_tensor("audio.step_samples")
        if "face.step_frames" in self.names:
            self.step_frames = self._file.get_tensor("face.step_frames")
            self.detected = self._file.get_tensor("face.detected")
            self._jpeg_offset = self._file.get_tensor("face.jpeg_offset")

    def __enter__(self) -> "SessionReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.__exit__(None, None, None)

    def tensor(self, name: str) -> np.ndarray:
        """Read one tensor of the table above."""
        return self._file.get_tensor(name)

    def waveform(self, step: int, first: int = 0, count: int | None = None) -> np.ndarray:
        """Samples of a step, float32 in [-1, 1] at 16 kHz; empty where it has no sound.

        Parameters
        ----------
        step : number of the step
        first, count : a part of it, in samples
        """
        if "audio.waveform" not in self.names:
            return np.zeros(0, np.float32)
        start, end = self.step_samples[step]
        start = min(start + first, end)
        if count is not None:
            end = min(end, start + count)
        return self._file.get_slice("audio.waveform")[start:end].astype(np.float32) / 32768

    def speech(self, step: int) -> np.ndarray:
        """Stretches of speech of a step, [K, 2] samples from the step's first sample."""
        if "audio.speech" not in self.names:
            return np.zeros((0, 2), np.int64)
        chosen = self._file.get_tensor("audio.speech_step") == step
        start_s = self.summary["step_start_s"][step]
        speech = (self._file.get_tensor("audio.speech")[chosen] - start_s) * SAMPLE_RATE
        # hours into a recording, float32 seconds are a few samples off
        return np.round(speech).clip(0).astype(np.int64)

    def rows(self, stream: str) -> np.ndarray:
        """First and end row of each step in a stream of features, [L, 2]; zeros without it."""
        name = f"feature.{stream}.step_rows"
        if name not in self.names:
            return np.zeros((self.summary["n_steps"], 2), np.int64)
        return self._file.get_tensor(name)

    def features(self, stream: str, first: int, end: int) -> np.ndarray:
        """Rows of a stream of features, float32 [T, F]; NaN where not valid."""
        return self._file.get_slice(f"feature.{stream}.values")[first:end]

    def frames(self, step: int) -> np.ndarray:
        """Numbers of the step's frames that show a face."""
        if "face.jpeg" not in self.names:
            return np.zeros(0, np.int64)
        start, end = self.step_frames[step]
        return start + np.flatnonzero(self.detected[start:end])

    def crop(self, frame: int, size: int = CROP_SIZE) -> np.ndarray:
        """The crop of a frame that shows a face, uint8 [size, size, 3]."""
        from depmm.media.face_alignment import decode_jpeg

        start, end = self._jpeg_offset[frame : frame + 2]
        return decode_jpeg(self._file.get_slice("face.jpeg")[start:end].tobytes(), size)

    def landmarks(self, frame: int) -> np.ndarray:
        """Landmarks of a frame that shows a face, float32 [478, 2] in pixels of its 224 crop.

        Raises
        ------
        StoreError : the recording came aligned, so that MediaPipe never looked
        """
        from depmm.media.face_alignment import crop_landmarks

        if "face.landmarks" not in self.names:
            raise StoreError(
                "this session has no landmarks: its recording came aligned (spec: face_aligned), "
                "so that where eyes or mouth lie in its crops is not known"
            )
        return crop_landmarks(self._file.get_slice("face.landmarks")[frame : frame + 1][0])


class SessionWriter:
    """Writes a session's tensors as they come; memory does not grow with the recording.

    Each tensor grows in a temporary file of its own; ``save`` joins them. (The ``safetensors``
    library wants all tensors in memory at once; the format itself does not.)
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._files: dict[str, IO[bytes]] = {}
        self._kinds: dict[str, tuple[str, tuple[int, ...]]] = {}
        self._rows: dict[str, int] = {}

    def __enter__(self) -> "SessionWriter":
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def append(self, name: str, rows: np.ndarray) -> int:
        """Add rows to a tensor.

        Returns
        -------
        number of rows after the addition
        """
        rows = np.ascontiguousarray(rows)
        kind = (rows.dtype.name, rows.shape[1:])
        if name not in self._files:
            file = (self.folder / name).open("w+b")
            self._files[name] = self._stack.enter_context(file)
            self._kinds[name], self._rows[name] = kind, 0
        assert self._kinds[name] == kind, (name, self._kinds[name], kind)
        self._files[name].write(rows.tobytes())
        self._rows[name] += len(rows)
        return self._rows[name]

    def rows(self, name: str) -> int:
        """Rows that a tensor has so far."""
        return self._rows.get(name, 0)

    def mark(self) -> dict[str, int]:
        """Remember how far all tensors are, for ``rewind``."""
        return dict(self._rows)

    def rewind(self, mark: dict[str, int]) -> None:
        """Forget every row that was added since ``mark``."""
        for name in list(self._files):
            kept = mark.get(name, 0)
            dtype, shape = self._kinds[name]
            self._files[name].seek(kept * np.dtype(dtype).itemsize * math.prod(shape))
            self._files[name].truncate()
            self._rows[name] = kept
            if kept == 0:
                del self._files[name], self._kinds[name], self._rows[name]

    def save(self, summary: dict[str, Any]) -> Path:
        """Join the tensors to one local safetensors file.

        Parameters
        ----------
        summary : what the index says of the session; JSON values
        """
        header: dict[str, Any] = {"__metadata__": {"depmm": json.dumps(summary, sort_keys=True)}}
        offset = 0
        # widest type first, as in the library: every tensor starts aligned
        order = sorted(
            self._files, key=lambda name: (-np.dtype(self._kinds[name][0]).itemsize, name)
        )
        for name in order:
            dtype, shape = self._kinds[name]
            size = self._files[name].tell()
            header[name] = {
                "dtype": _DTYPES[dtype],
                "shape": [self._rows[name], *shape],
                "data_offsets": [offset, offset + size],
            }
            offset += size
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        path = self.folder / "session.safetensors"
        with path.open("wb") as out:
            out.write(struct.pack("<Q", len(text)))
            out.write(text)
            for name in order:
                self._files[name].seek(0)
                shutil.copyfileobj(self._files[name], out, 1 << 20)
        return path
