"""Face crops of steps, read by encoders of images."""

import numpy as np
import pandas as pd

from depmm.data.augment import Augmentation
from depmm.data.signals.signal import ReadSession, SessionKey, StepSignal
from depmm.data.signals.used import NOT_SELECTED, UsedSignal, count_distinct, count_used
from depmm.store.session_file import SessionReader


class CropsSignal(StepSignal):
    """RGB crops, uint8 (T, 3, size, size), at most ``data.frames_per_step`` of each step."""

    def is_indexed(self, index: pd.DataFrame) -> pd.Series:
        """Find the sessions with a face.

        Parameters
        ----------
        index : DataFrame
            Rows of the index; missing values for a session that is not in the store.

        Returns
        -------
        Series of bool
            With the index of the rows.
        """
        return index["n_frames_with_face"] > 0

    def present(self, reader: SessionReader) -> np.ndarray:
        """Find the steps with a face.

        Parameters
        ----------
        reader : SessionReader
            The session.

        Returns
        -------
        ndarray of bool, shape (L,)
            Marks these steps.
        """
        steps = range(reader.summary["n_steps"])
        return np.array([len(reader.face_frames(step)) > 0 for step in steps])

    def empty(self) -> np.ndarray:
        """Return no crops.

        Returns
        -------
        ndarray, shape (0, ...)
            An array of the type of ``read``.
        """
        size = self.settings.face_size
        return np.zeros((0, 3, size, size), np.uint8)

    def read(
        self,
        reader: SessionReader,
        key: SessionKey,
        step: int,
        augmentation: Augmentation,
        rng: np.random.Generator | None,
    ) -> np.ndarray:
        """Read the chosen crops of a step, in order.

        Parameters
        ----------
        reader : SessionReader
            The session.
        key : tuple of str
            Corpus, subject and session.
        step : int
            Index of the step.
        augmentation : Augmentation
            Changes of the signal.
        rng : Generator or None
            Draws the part in training.

        Returns
        -------
        ndarray, shape (T, ...)
            The signal, as described for the class.
        """
        frames = self.choose_frames(reader, key, step, rng)
        if len(frames) == 0:
            return self.empty()
        crops = np.stack([reader.read_crop(frame, self.settings.face_size) for frame in frames])
        return augmentation.apply_to_crops(crops.transpose(0, 3, 1, 2))

    def landmarks(self, reader: SessionReader, key: SessionKey) -> list[np.ndarray] | None:
        """Read the landmarks of the crops that are read without augmentation.

        Parameters
        ----------
        reader : SessionReader
            The session.
        key : tuple of str
            Corpus, subject and session.

        Returns
        -------
        list of ndarray of float32, shape (T, 478, 2), or None
            Pixels of the 224 x 224 crops of each step, empty without a face; None if the faces
            were not tracked.
        """
        if "face.landmarks" not in reader.names:
            return None
        landmarks = []
        for step in range(reader.summary["n_steps"])[: self.settings.steps.first]:
            frames = self.choose_frames(reader, key, step, None)
            points = [reader.read_landmarks(frame) for frame in frames]
            landmarks.append(np.stack(points) if points else np.zeros((0, 478, 2), np.float32))
        return landmarks

    def measure(self, session: ReadSession) -> UsedSignal:
        """Count the video frames that are read.

        Parameters
        ----------
        session : ReadSession
            The session.

        Returns
        -------
        UsedSignal
            The amounts.
        """
        reader, limit = session.reader, self.settings.frames_per_step
        steps = range(reader.summary["n_steps"])
        frames = [reader.face_frames(step) for step in steps]
        selected = [frames[step] for step in steps if session.step_mask[step]]
        chosen = [select_evenly(indices, limit) for indices in selected]
        max_crops = session.max_crops or limit
        n_chosen = count_distinct(chosen)
        n_used = count_distinct([select_evenly(indices, max_crops) for indices in chosen])
        total, with_face = reader.summary["n_frames"], reader.summary["n_frames_with_face"]
        n_selected = count_distinct(selected)
        return count_used(
            "video frames",
            total,
            {
                "without a face": total - with_face,
                NOT_SELECTED: with_face - n_selected,
                f"behind data.frames_per_step = {limit}": n_selected - n_chosen,
                f"more than the crops of a step that the encoder reads = {max_crops}": n_chosen
                - n_used,
            },
        )

    def choose_frames(
        self, reader: SessionReader, key: SessionKey, step: int, rng: np.random.Generator | None
    ) -> np.ndarray:
        """Choose the frames of a step that are read, in order.

        Parameters
        ----------
        reader : SessionReader
            The session.
        key : tuple of str
            Corpus, subject and session.
        step : int
            Index of the step.
        rng : Generator or None
            Draws the frames in training; without it, they are evenly spaced.

        Returns
        -------
        ndarray of int64, shape (T,)
            Indices of frames with a face.
        """
        frames, count = reader.face_frames(step), self.settings.frames_per_step
        if self.settings.frame_choice == "once":
            text = "\x1f".join(key)  # ids contain no control characters
            rng = np.random.default_rng([*text.encode(), step])
        if rng is None:
            return select_evenly(frames, count)
        if len(frames) > count:
            frames = frames[np.sort(rng.choice(len(frames), count, replace=False))]
        return frames


def select_evenly(frames: np.ndarray, count: int) -> np.ndarray:
    """Select evenly spaced frames.

    Parameters
    ----------
    frames : ndarray of int64, shape (T,)
        Indices of frames, in order.
    count : int
        Largest number of frames.

    Returns
    -------
    ndarray of int64, shape (min(T, count),)
        The selected indices.
    """
    if len(frames) <= count:
        return frames
    selected: np.ndarray = frames[
        np.round((np.arange(count) + 0.5) * len(frames) / count - 0.5).astype(int)
    ]
    return selected
