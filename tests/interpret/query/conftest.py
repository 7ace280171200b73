"""An explained run in a folder with a difficult name, next to files of others."""

from pathlib import Path

import pandas as pd
import pytest
from explained_runs import make_tables, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An explained run in a folder whose name has a quotation mark and is a pattern for DuckDB."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "outside").mkdir()
    frame = pd.DataFrame({"a": [1]})
    frame.to_csv(folder / "outside" / "other.csv")
    frame.to_parquet(folder / "outside" / "other.parquet")
    write_run(folder / "it's a nest", {"attributions": frame})  # what the pattern also matches
    return write_run(folder / "it's a [run]*", make_tables())
