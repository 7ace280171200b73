"""Commands that share a trained run."""

from pathlib import Path
from typing import Annotated

import typer

from depmm.cli.application import RunFolder, app, echo


@app.command()
def export(
    run: RunFolder,
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
) -> None:
    """Copy what may be shared, search it for ids, and list what stays and why."""
    from depmm.sharing.export import export_run

    for line in export_run(run, out, fold, seed).describe():
        echo(line)
