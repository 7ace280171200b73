"""Fixtures shared by the tests: where real recordings lie, small corpora made once a session."""

from pathlib import Path

import pytest

REAL_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real recordings (GRID, RAVDESS, Emo-DB, face model)."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"the real recordings are not beside the project ({REAL_DATA})")
    return REAL_DATA
