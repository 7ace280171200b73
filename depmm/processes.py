"""Worker processes that end with their parent."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def end_with_parent() -> None:
    """End this worker process when its parent process ends, also if the parent is killed.

    On Linux, the kernel kills the process, even in a decoder that does not return. Everywhere, a
    thread waits for the end of the parent. Call it once, at the start of a process of
    :mod:`multiprocessing`; in other processes nothing happens.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    # with a fork server, the parent of the system is another process
    if sys.platform == "linux" and os.getppid() == parent.pid:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent.pid:  # it ended before the call
            os._exit(1)

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, name="end-with-parent", daemon=True).start()
