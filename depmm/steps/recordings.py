"""The recordings of a folder or a manifest, and the steps of each of them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from depmm.corpora.file_roles import list_files
from depmm.corpora.manifest import read_manifest
from depmm.corpora.step_durations import covered_s
from depmm.errors import DepmmError, count_of
from depmm.files.csv_text import neutralize
from depmm.media.errors import MediaError, as_media_error
from depmm.progress import track
from depmm.schemas.manifest import SESSIONS
from depmm.steps.table import LOW_CONFIDENCE, Step, StepProblem, StepsError

# endings of the files of a folder that are taken as recordings; a manifest may name any file
RECORDING_SUFFIXES = frozenset(
    (
        ".3gp", ".aac", ".aif", ".aiff", ".amr", ".avi", ".flac", ".flv", ".m4a", ".m4v", ".mka",
        ".mkv", ".mov", ".mp3", ".mp4", ".mpeg", ".mpg", ".mts", ".oga", ".ogg", ".opus", ".ts",
        ".wav", ".webm", ".wma", ".wmv",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Recording:
    """A recording, and the sound in it.

    Attributes
    ----------
    path : str
        Path relative to the folder of the recordings.
    file : Path
        The file.
    track : int, optional
        Index of the sound track, from 0; by default the default track.
    channel : int, optional
        Index of the channel, from 0; by default the mean of the channels.
    """

    path: str
    file: Path
    track: int | None = None
    channel: int | None = None


@dataclass
class FoundSteps:
    """The steps of all recordings.

    Attributes
    ----------
    steps : list of Step
        The steps.
    problems : list of StepProblem
        Recordings without steps, and words without times.
    n_recordings : int
        Number of recordings.
    """

    steps: list[Step] = field(default_factory=list)
    problems: list[StepProblem] = field(default_factory=list)
    n_recordings: int = 0

    def summary(self) -> str:
        """Write the counts in one line.

        Returns
        -------
        str
            For example ``240 steps (312.5 s) of 40 recordings; 2 problems``.
        """
        ranges = ((step.path, step.start_s, step.end_s) for step in self.steps)
        paths, starts, ends = zip(*ranges, strict=True) if self.steps else ((), (), ())
        seconds = covered_s(paths, starts, ends).sum()
        low = sum(
            (1.0 if step.confidence is None else step.confidence) < LOW_CONFIDENCE
            for step in self.steps
        )
        parts = [
            f"{count_of(len(self.steps), 'step')} ({seconds:.1f} s) of "
            f"{count_of(self.n_recordings, 'recording')}"
        ]
        if low:
            parts.append(f"{low} with a confidence below {LOW_CONFIDENCE}: listen to them")
        if self.problems:
            parts.append(count_of(len(self.problems), "problem"))
        return "; ".join(parts)


FindSteps = Callable[[Recording], Iterable[Step | StepProblem]]
"""A method: the steps of one recording, and the words of it that have none."""


def find_recordings(
    source: Path, root: Path | None = None
) -> tuple[Path, list[Recording], list[StepProblem]]:
    """List the recordings of a folder, or those of a manifest.

    Parameters
    ----------
    source : Path
        Folder of recordings, or of a manifest.
    root : Path, optional
        Folder of the recordings of a manifest.

    Returns
    -------
    root : Path
        Folder to which the paths are relative.
    recordings : list of Recording
        In the order of their paths.
    problems : list of StepProblem
        Files that cannot be rows of the table, such as broken links.

    Raises
    ------
    StepsError
        If ``source`` is not a folder or contains no recording, or ``root`` is missing, or given
        without a manifest.
    """
    if not source.is_dir():
        raise StepsError(
            f"{source}: not a folder.", file=source, remedy="Give a folder of recordings."
        )
    is_manifest = (source / SESSIONS.file).is_file()
    if is_manifest and root is None:
        raise StepsError(
            f"{source}: a manifest has paths relative to a folder that is not known.",
            setting="root",
            remedy="Give the folder of the recordings: --root ROOT.",
        )
    if not is_manifest and root is not None:
        raise StepsError(
            f"{source}: contains no {SESSIONS.file}, and is not a manifest.",
            setting="root",
            file=source,
            remedy="Give --root only with a manifest.",
        )
    problems: list[StepProblem] = []
    if root is not None:
        recordings = _of_manifest(source, root)
    else:
        root = source
        paths, unreadable = list_files(root)
        recordings = [Recording(path, root / path) for path in paths if _is_recording(path)]
        unusable = unreadable.items()
        problems = [StepProblem(path, reason) for path, reason in unusable if _is_recording(path)]
    if not recordings:
        raise StepsError(
            f"{source}: no recording.",
            file=source,
            remedy=f"Recordings end with {', '.join(sorted(RECORDING_SUFFIXES))}.",
        )
    usable = [recording for recording in recordings if _has_usable_path(recording, problems)]
    return root, usable, problems


def _is_recording(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() in RECORDING_SUFFIXES


def _of_manifest(folder: Path, root: Path) -> list[Recording]:
    steps = read_manifest(folder).steps
    chosen = steps[["audio", "audio_track", "audio_channel"]].dropna(subset=["audio"])
    rows = chosen.drop_duplicates().sort_values("audio").itertuples(index=False, name=None)
    return [Recording(str(path), root / path, *map(_index, rest)) for path, *rest in rows]


def _index(value: object) -> int | None:
    import pandas as pd

    return None if pd.isna(value) else int(value)  # type: ignore[call-overload]


def _has_usable_path(recording: Recording, problems: list[StepProblem]) -> bool:
    """Leave out a path that has an apostrophe in a CSV file, and would not join."""
    if neutralize(recording.path) == recording.path:
        return True
    problem = (
        f"the path begins with {recording.path[0]!r}, which a spreadsheet would run as a formula. "
        "Rename the file or folder."
    )
    problems.append(StepProblem(f"./{recording.path}", problem))
    return False


def find_steps(
    recordings: Sequence[Recording],
    method: FindSteps,
) -> FoundSteps:
    """Find the steps of recordings, one after the other.

    Parameters
    ----------
    recordings : sequence of Recording
        The recordings.
    method : callable
        Yields steps and problems of one recording. An error in it is a problem of the recording,
        of which no step is used; the other recordings are read.

    Returns
    -------
    FoundSteps
        Steps and problems of all recordings.
    """
    found = FoundSteps()
    for recording in track(recordings, "steps", "recordings"):
        found.n_recordings += 1
        try:
            items = list(method(recording))
        except Exception as error:  # decoders raise many types
            items = [StepProblem(recording.path, _describe(recording, error))]
        if not items:
            items = [StepProblem(recording.path, "no step was found. Listen to the recording.")]
        found.steps += [item for item in items if isinstance(item, Step)]
        found.problems += [item for item in items if isinstance(item, StepProblem)]
    return found


def _describe(recording: Recording, error: Exception) -> str:
    """Describe an error without the path, which is a column of its own."""
    if isinstance(error, DepmmError) and not isinstance(error, MediaError):
        return str(error)
    media = as_media_error(recording.file, error)
    return f"{media.problem} {media.remedy}" if media.remedy else media.problem
