"""Number of threads of OpenCV in worker processes."""

import os


def use_one_opencv_thread() -> None:
    """Let OpenCV use one thread in this process, if it was not imported yet.

    In each process OpenCV starts as many threads as there are cores, so that several workers would
    start more threads than can run. A number that the user sets in ``OPENCV_FOR_THREADS_NUM`` is
    kept. For pictures of the size of a crop, a second thread saves less than 0.1 ms.
    """
    os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")
