"""Errors of the file system: which path, why, and what to do."""

import errno
import os
import re
from pathlib import Path

from depmm.files.writing import TEMPORARY_PREFIX

_REMEDIES = {
    errno.EACCES: "Change its permissions, or give another path",
    errno.EDQUOT: "Remove files of your quota, or give a path on another disk",
    errno.EEXIST: "A file has the name of the folder: give another path",
    errno.EFBIG: "Raise the limit on the size of files, or give a path on another disk",
    errno.ELOOP: "It is a link: delete it, or give another path",
    errno.EMLINK: "It is a link: delete it, or give another path",
    errno.EISDIR: "A folder has the name of the file: move it, or give another path",
    errno.ENOENT: "Check the path",
    errno.ENOSPC: "Free space on the disk, or give a path on another disk",
    errno.ENOTDIR: "A part of the path is a file: give the path of a folder",
    errno.EPERM: "Change its permissions, or give another path",
    errno.EROFS: "Give a path on a disk that can be written",
}


def explain_system_error(
    error: OSError, written: Path | str | None = None
) -> tuple[Path | None, str, str]:
    """Find path, cause and remedy of an error of the file system.

    Parameters
    ----------
    error : OSError
        The error of Python, or of Arrow, which states the path in its message only.
    written : Path or str, optional
        What was written; by default, the file that the error names.

    Returns
    -------
    path : Path or None
        The file, or for a temporary file the folder that is written; None if it is unknown.
    cause : str
        A clause that begins with a small letter.
    remedy : str
        A sentence without its full stop.
    """
    quoted = re.search(r"'([^']+)'", str(error))
    name = written or error.filename or (quoted and quoted[1])
    if written is None and error.errno == errno.EISDIR and error.filename2:
        name = error.filename2  # the folder that a temporary file would replace
    path = Path(str(name)) if name else None
    while path is not None and path.name.startswith(TEMPORARY_PREFIX):
        path = path.parent
    cause = os.strerror(error.errno) if error.errno else str(error)
    remedy = _REMEDIES.get(error.errno or 0, "Check the disk and the permissions")
    return path, f"{cause[:1].lower()}{cause[1:]}", remedy
