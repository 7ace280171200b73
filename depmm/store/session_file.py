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
face.landmarks       (T, 478, 3)       float32, pixels of the frame; only if faces were tracked
face.blendshapes     (T, 52)           float32, likewise
face.pose            (T, 4, 4)         float32, likewise
text.utf8            (bytes,) uint8    the text of the steps, one after the other
text.offset          (L + 1,) int64    where each text starts (equal: no text)
feature.N.values     (T, F) float32    rows of the feature stream N; NaN: invalid
feature.N.time_s     (T,) float64      seconds in the recording
feature.N.step_rows  (L, 2) int64      first and end row of each step (equal: no row)
===================  ================  =====================================================

The header also contains a summary, JSON under the key ``depmm``: ``n_steps``, ``step_start_s``,
``audio_s``, ``n_frames``, ``n_frames_with_face``, ``n_steps_with_text``, ``streams`` (name to
``rate_hz``, ``columns``, ``n_features`` and ``file``), ``warnings`` (rows of ``warnings.parquet``),
``source_hash`` and ``steps_hash`` (:class:`~depmm.store.session_job.SessionJob`); ``source_files``
(:func:`~depmm.store.source_files.describe_files`);
``step_file``, the index of the recording of each step, if all have one; and
``step_previous_end_s`` if the steps of the manifest have ``previous_end_s``.
Checksums of all bytes are described in :mod:`depmm.store.tensor_file`.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np

from depmm.config import CROP_SIZE, SAMPLE_RATE
from depmm.media.video.opencv import require_opencv
from depmm.media.voice.contours import CONTOURS
from depmm.store.crop_memory import CropMemory
from depmm.store.derived_streams import is_derived, read_derived, with_derived_streams
from depmm.store.errors import StoreError, damaged_file
from depmm.store.session_layout import check_ranges, check_summary, check_tensors
from depmm.store.tensor_file import TensorFile, open_file
from depmm.store.voice_stream import compute_voice, is_voice, voice_rows

OpenVoice = Callable[[str, int, Callable[[], Iterator[np.ndarray]]], TensorFile]


class SessionReader:
    """Read parts of a session file without reading the rest.

    Parameters
    ----------
    path : str or Path
        Path of the file.
    file : BinaryIO, optional
        The open file; by default, the local file is opened.
    open_voice : callable, optional
        Function that opens the file of the stream ``voice``, given the checksum of the session, the
        number of rows, and a function that computes them in blocks. By default, they are computed
        at each reading.
    crops : CropMemory, optional
        Keeps decoded crops; by default, they are decoded at each reading.

    Attributes
    ----------
    summary : dict
        The summary of the header, with the streams of :mod:`depmm.store.derived_streams`.
    names : set of str
        Names of the tensors.
    step_samples : ndarray of int64, shape (L, 2)
        As in the table of the module docstring; only with sound.
    step_frames : ndarray of int64, shape (L, 2)
        As in the table of the module docstring; only with video.

    Raises
    ------
    StoreError
        If the file is not a session of this format, is damaged or cannot be read. The methods that
        read check the bytes that they read, and raise it too.
    """

    def __init__(
        self,
        path: str | Path,
        file: BinaryIO | None = None,
        open_voice: OpenVoice | None = None,
        crops: CropMemory | None = None,
    ) -> None:
        self._open_voice, self._crops = open_voice, crops
        self._voice: TensorFile | None = None
        self._step_rows: dict[str, np.ndarray] = {}  # read for every step
        self._file = TensorFile(open_file(path) if file is None else file, path)
        try:
            self._open()
        except StoreError:
            self._file.close()
            raise
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            self._file.close()
            raise damaged_file(path, str(error)) from None

    def _open(self) -> None:
        file = self._file
        self.summary: dict[str, Any] = json.loads(file.metadata["depmm"])
        self.names = set(file.shapes)
        check_summary(self.summary)
        check_tensors(file.shapes, self.summary)
        self.summary = with_derived_streams(self.summary, file.shapes)
        if "audio.step_samples" in self.names:
            self.step_samples = self.read_tensor("audio.step_samples")
            check_ranges(self.step_samples, file.shapes["audio.waveform"][1][0])
        if "face.step_frames" in self.names:
            self.step_frames = self.read_tensor("face.step_frames")
            self._detected = self.read_tensor("face.detected")
            self._jpeg_offset = self.read_tensor("face.jpeg_offset")
            check_ranges(self.step_frames, len(self._detected))
            jpegs = np.stack([self._jpeg_offset[:-1], self._jpeg_offset[1:]], axis=1)
            check_ranges(jpegs, file.shapes["face.jpeg"][1][0])
        if "text.offset" in self.names:
            self._text_offset = self.read_tensor("text.offset")
            texts = np.stack([self._text_offset[:-1], self._text_offset[1:]], axis=1)
            check_ranges(texts, file.shapes["text.utf8"][1][0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._voice is not None:
            self._voice.close()

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
        return self._file.read(name)

    def verify(self) -> None:
        """Check all bytes of the file.

        Raises
        ------
        StoreError
            If the file is damaged or cannot be read.
        """
        self._file.verify()

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
        return self._read_samples(start, end)

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

    def read_text(self, step: int) -> str:
        """Read the text of a step.

        Parameters
        ----------
        step : int
            Index of the step.

        Returns
        -------
        str
            What the participant says or reads in the step; empty if it is not known.
        """
        if "text.offset" not in self.names:
            return ""
        start, end = self._text_offset[step : step + 2]
        data = self._file.read_rows("text.utf8", start, end).tobytes()
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise damaged_file(self._file.path, f"text of step {step}: {error}") from None

    def step_rows(self, stream: str) -> np.ndarray:
        """Return the rows of each step in a feature stream, a stored or a derived one.

        Parameters
        ----------
        stream : str
            Name of the stream.

        Returns
        -------
        ndarray of int64, shape (L, 2)
            First and end row, read-only; zeros if the session does not have the stream.
        """
        name = f"feature.{stream}.step_rows"
        if is_derived(stream, self.names):
            return self.step_frames
        if is_voice(stream, self.names):
            return voice_rows(self.step_samples)
        if name not in self.names:
            return np.zeros((self.summary["n_steps"], 2), np.int64)
        if stream not in self._step_rows:
            rows = self.read_tensor(name)
            try:
                check_ranges(rows, self._file.shapes[f"feature.{stream}.values"][1][0])
            except ValueError as error:
                raise damaged_file(self._file.path, str(error)) from None
            rows.flags.writeable = False
            self._step_rows[stream] = rows
        return self._step_rows[stream]

    def read_features(self, stream: str, first: int, end: int) -> np.ndarray:
        """Read rows of a feature stream, a stored or a derived one.

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
        if is_derived(stream, self.names):
            return read_derived(self._file, stream, first, end)
        if is_voice(stream, self.names):
            return self._read_voice(first, end)
        return self._file.read_rows(f"feature.{stream}.values", first, end)

    def _read_voice(self, first: int, end: int) -> np.ndarray:
        """Read rows of the stream ``voice``, from its file if the session is in a store."""
        if self._open_voice is None:
            empty = np.zeros((0, len(CONTOURS)), np.float32)
            return np.concatenate([empty, *self._voice_blocks()])[first:end]
        if self._voice is None:
            n_rows = int(voice_rows(self.step_samples).max(initial=0))
            self._voice = self._open_voice(self._file.checksum, n_rows, self._voice_blocks)
        return self._voice.read_rows("values", first, end)

    def _voice_blocks(self) -> Iterator[np.ndarray]:
        return compute_voice(self._read_samples, self.step_samples)

    def _read_samples(self, first: int, end: int) -> np.ndarray:
        """Read samples of all steps as float32 in [-1, 1], (T,)."""
        samples: np.ndarray = self._file.read_rows("audio.waveform", first, end)
        return samples.astype(np.float32) / 32768

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
            RGB; it must not be changed.
        """
        from depmm.media.video.face_alignment import decode_jpeg

        key = (str(self._file.path), self._file.checksum, int(frame), size)
        if self._crops is not None and (kept := self._crops.get(key)) is not None:
            return kept
        require_opencv()
        start, end = self._jpeg_offset[frame : frame + 2]
        data = self._file.read_rows("face.jpeg", start, end).tobytes()
        try:
            crop = decode_jpeg(data, size)
        except ValueError as error:
            raise damaged_file(self._file.path, f"frame {frame}: {error}") from None
        if self._crops is not None:
            self._crops.add(key, crop)
        return crop

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
        from depmm.media.video.face_alignment import crop_landmarks

        if "face.landmarks" not in self.names:
            raise StoreError(
                "The session has no landmarks: its recording shows aligned faces (faces: aligned "
                "in the data spec), so the positions of eyes and mouth are not known."
            )
        return crop_landmarks(self._file.read_rows("face.landmarks", frame, frame + 1)[0])
