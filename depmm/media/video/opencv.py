"""OpenCV: its system libraries, and its number of threads in worker processes."""

import os

from depmm.errors import DepmmError

SYSTEM_LIBRARIES = "apt-get install libegl1 libgles2 libgl1 libglib2.0-0"


class SystemLibraryError(DepmmError):
    """A library that cannot be loaded because a library of the system is missing."""


def use_one_opencv_thread() -> None:
    """Let OpenCV use one thread in this process, if it was not imported yet.

    In each process OpenCV starts as many threads as there are cores, so that several workers would
    start more threads than can run. A number that the user sets in ``OPENCV_FOR_THREADS_NUM`` is
    kept. For pictures of the size of a crop, a second thread saves less than 0.1 ms.
    """
    os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")


def require_opencv() -> None:
    """Import OpenCV, so that a missing system library is one error and not one per recording.

    Raises
    ------
    SystemLibraryError
        If it cannot be imported.
    """
    try:
        import cv2  # noqa: F401
    except (ImportError, OSError) as error:
        raise system_library_error("OpenCV (cv2)", error) from error


def system_library_error(library: str, error: Exception) -> SystemLibraryError:
    """Build the error of a library that cannot be loaded.

    Parameters
    ----------
    library : str
        Its name.
    error : Exception
        Why it cannot be imported.

    Returns
    -------
    SystemLibraryError
        The error, to be raised.
    """
    return SystemLibraryError(
        f"{library} cannot be loaded ({error}).",
        value=library,
        remedy=f"On Debian or Ubuntu, run {SYSTEM_LIBRARIES}; depmm doctor lists what is missing.",
    )
