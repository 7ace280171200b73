"""What commands write: permissions follow the umask, links are replaced and not followed."""

import os
from pathlib import Path

import pytest

COMMANDS = (
    "index ewre_simulated {recordings} --out {tmp}/manifest",
    "audit {tmp}/manifest --root {recordings}",
    "split {tmp}/manifest folds=3 --out {tmp}/folds.csv",
    "extract {tmp}/manifest {recordings} --out {tmp}/store --workers 1",
    "train {config} data.manifest={tmp}/manifest data.store={tmp}/store out={tmp}/runs",
    "evaluate {tmp}/runs/tiny",
    "evaluate {tmp}/runs/tiny --out {tmp}/report",
    "explain {tmp}/runs/tiny --html",
    "ask {tmp}/runs/tiny words-by-label --out {tmp}/words.csv",
    "ask {tmp}/runs/tiny words-by-label --out {tmp}/words.svg",
    "predict {tmp}/runs/tiny {video} --aligned --out {tmp}/predictions",
    "simulate {tmp}/simulated --subjects 2 --steps 3 --workers 1",
)


# stores read existing sessions, predictions and simulations do not overwrite other files
REFUSED = ("store", "simulated", "predictions")
# a link in place of these files, which the command reads before it writes, is an error
READ_BEFORE = {"config.yaml", "predictions.parquet", "split.csv", "SHA256SUMS"}


def run_command(depmm, corpus, command: str, folder: Path) -> None:
    paths = {
        "tmp": folder,
        "recordings": corpus.recordings,
        "config": corpus.config,
        "video": next((corpus.recordings / "videos").glob("*.mp4")),
    }
    result = depmm(*command.format(**paths).split())
    assert result.code == 0, (command, result.err)


def list_files(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir()}


@pytest.mark.slow
@pytest.mark.parametrize("umask", [0o077, 0o002])
def test_permissions_follow_the_umask(depmm, corpus, tmp_path, umask):
    out = tmp_path / "out"
    before = os.umask(umask)
    try:
        out.mkdir()
        for command in COMMANDS:
            run_command(depmm, corpus, command, out)
    finally:
        os.umask(before)
    modes = {path: path.stat().st_mode & 0o777 for path in out.rglob("*")}
    wrong = {
        f"{path.relative_to(out)}: {mode:o}"
        for path, mode in modes.items()
        if mode != (0o777 if path.is_dir() else 0o666) & ~umask
    }
    assert not wrong
    suffixes = {path.suffix for path in modes}
    assert {".html", ".safetensors", ".parquet", ".json", ".csv", ".md", ".mp4"} <= suffixes
    assert not [path for path in modes if path.name.startswith(".depmm")]


@pytest.mark.slow
def test_links_are_replaced_and_never_followed(depmm, corpus, tmp_path):
    """Before a command, each file that it will write is a link to a file of the user."""
    known, attacked, precious = tmp_path / "known", tmp_path / "attacked", tmp_path / "precious"
    precious.write_text("mine")
    for folder in (known, attacked):
        folder.mkdir()
    links = []
    for command in COMMANDS:
        before = list_files(known)
        run_command(depmm, corpus, command, known)
        for path in list_files(known) - before:
            if path.name not in READ_BEFORE and path.parts[0] not in REFUSED:
                link = attacked / path
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(precious)
                links.append(link)
        run_command(depmm, corpus, command, attacked)
        assert precious.read_text() == "mine", command
    assert len(links) > 25
    assert {link.name for link in links if link.is_symlink()} <= {
        link.name
        for link in links
        if "tensorboard" in link.parts  # named by time and process
    }
