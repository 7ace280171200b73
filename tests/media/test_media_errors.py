"""Attributes of media errors."""

import pickle
from pathlib import Path

from depmm.media.errors import MediaError


def test_an_error_is_pickled_with_its_attributes() -> None:
    error = MediaError("a/b.mp4", "file does not exist.", "Check the path.", column="face")
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error) == "a/b.mp4: file does not exist. Check the path."
    assert (copy.file, copy.problem, copy.remedy, copy.column) == (
        Path("a/b.mp4"), "file does not exist.", "Check the path.", "face",
    )  # fmt: skip
