"""Steps from windows of equal length."""

from collections.abc import Iterator

from depmm.corpora.corpus_facts import Windows
from depmm.corpora.windows import cut_into_windows
from depmm.media.duration import duration_s
from depmm.steps.recordings import Recording
from depmm.steps.table import Step


def find_windows(recording: Recording, windows: Windows) -> Iterator[Step]:
    """Cut a recording into windows.

    Parameters
    ----------
    recording : Recording
        The recording.
    windows : Windows
        Length and hop in seconds.

    Yields
    ------
    Step
        A window; the last one may be shorter.

    Raises
    ------
    MediaError
        If the length of the recording cannot be read.
    """
    for start_s, end_s in cut_into_windows(0.0, duration_s(recording.file), windows):
        yield Step(recording.path, start_s, end_s)
