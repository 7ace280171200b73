"""Commands that share a trained run."""

from pathlib import Path
from typing import Annotated

import typer

from depmm.cli.application import app, echo


@app.command()
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="folder of a run or cross-validation")],
    out: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="folder of the export, new or empty")
    ],
    fold: Annotated[
        str | None,
        typer.Option(
            help="of a cross-validation: index of the exported fold, or all (predictions are "
            "averaged)"
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="of a cross-validation with several seeds: the seed")
    ] = None,
    onnx: Annotated[
        bool,
        typer.Option("--onnx", help="also write encoders and fusion as ONNX graphs (extra onnx)"),
    ] = False,
) -> None:
    """Export what may be shared of a run.

    The files are searched for ids. The export lists what stays, and why.
    """
    from transformers.utils import logging

    from depmm.sharing.export import export_run

    logging.disable_progress_bar()  # loading takes milliseconds
    for line in export_run(run, out, fold, seed, onnx).describe():
        echo(line)


@app.command()
def push(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="folder of depmm export")],
    repository: Annotated[str, typer.Argument(metavar="REPOSITORY", help="owner/name on the hub")],
    public: Annotated[
        bool, typer.Option("--public", help="the repository is public; default: private")
    ] = False,
) -> None:
    """Upload an exported run to the Hugging Face Hub.

    A folder that was changed since its export is refused.
    """
    from depmm.sharing.hub import push_to_hub

    echo(f"{repository} at revision {push_to_hub(folder, repository, public)}")


@app.command()
def pull(
    repository: Annotated[str, typer.Argument(metavar="REPOSITORY", help="owner/name on the hub")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="new or empty folder")],
    revision: Annotated[
        str | None, typer.Option(help="commit, 40 hexadecimal digits; the message names it")
    ] = None,
) -> None:
    """Download an exported run from the Hugging Face Hub.

    Its files are compared with the checksums of the export.
    """
    from depmm.sharing.hub import download_run

    echo(str(download_run(repository, revision, folder)))
