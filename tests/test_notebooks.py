"""Notebooks run from top to bottom and are committed without output."""

import os
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
SMALL = {
    "01_first_run": "subjects, words, epochs = 12, 12, 1",
    "02_ablations": "epochs, ablations = 1, ['demo_audio_only']",
    "03_ask_about_words": "top = 2",
    "04_your_own_corpus": "subjects = 12",
}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_outputs_are_committed(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert cells
    assert not any(cell.outputs or cell.execution_count for cell in cells)


@pytest.mark.slow
def test_notebooks_run_one_after_the_other(tmp_path, monkeypatch):
    assert {path.stem for path in NOTEBOOKS} == set(SMALL)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    # "!depmm" in a cell runs the program of this environment
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    for name in ("data_specs", "experiments"):
        (tmp_path / name).symlink_to(NOTEBOOKS[0].parents[1] / name)
    folder = tmp_path / "notebooks"
    folder.mkdir()
    # all notebooks in one process, so that libraries are imported once
    whole = nbformat.read(NOTEBOOKS[0], as_version=4)
    whole.cells = []
    for path in NOTEBOOKS:
        for cell in nbformat.read(path, as_version=4).cells:
            if "parameters" in cell.metadata.get("tags", []):
                cell.source = SMALL[path.stem]
            if cell.cell_type == "code":
                whole.cells.append(cell)
    client = NotebookClient(whole, timeout=300, resources={"metadata": {"path": str(folder)}})
    try:
        client.execute()
    except CellExecutionError as error:
        pytest.fail(str(error)[-3000:])
    texts = [
        output.get("data", {}).get("text/plain", "") + output.get("text", "")
        for cell in whole.cells
        for output in cell.outputs
    ]
    assert any("12 subjects, 12 words" in text for text in texts)
    assert (folder / "work" / "ablations" / "report.html").is_file()
