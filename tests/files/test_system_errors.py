"""Path, cause and remedy of errors of the file system."""

import errno
import os
from pathlib import Path

import pytest

from depmm.files.system_errors import explain_system_error


@pytest.mark.parametrize(
    ("error", "written", "path"),
    [
        (OSError(errno.ENOSPC, "", "store/.depmm-a/.depmm-b"), None, "store"),
        (OSError(errno.ENOSPC, ""), "store/.depmm-a", "store"),
        (OSError(errno.ENOSPC, "", "elsewhere"), "store", "store"),
        (OSError(errno.ENOSPC, "Failed to open 'runs/demo'. Detail: x"), None, "runs/demo"),
    ],
)
def test_temporary_files_are_named_by_the_folder_that_is_written(error, written, path):
    found, cause, remedy = explain_system_error(error, written)
    assert found == Path(path)
    assert cause.lower() == os.strerror(errno.ENOSPC).lower()
    assert remedy.startswith("Free space")


def test_an_error_without_a_number_keeps_its_text():
    path, cause, remedy = explain_system_error(OSError("No answer"))
    assert (path, cause) == (None, "no answer")
    assert remedy
