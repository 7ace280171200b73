"""The command for the contact sheet of a store."""

from pathlib import Path
from typing import Annotated

import typer

from depmm.cli.application import app, echo


@app.command()
def look(
    store: Annotated[str, typer.Argument(metavar="STORE", help="folder or URL of the store")],
    out: Annotated[Path, typer.Option(help="the page, e.g. sheet.html")],
    manifest: Annotated[
        Path | None,
        typer.Option(
            help="folder of a manifest: shows its sessions only, also those that are not in the "
            "store"
        ),
    ] = None,
    settings: Annotated[
        str | None,
        typer.Option(
            metavar="HASH",
            help="hash of the extraction settings, part of the file names; default: that of most "
            "sessions",
        ),
    ] = None,
) -> None:
    """Show each session of a store on a page.

    It shows faces, sound, speech, steps and problems, the most severe ones
    first. The page contains faces and ids of participants: store it like the
    recordings.
    """
    from depmm.contact_sheet.page import write_contact_sheet
    from depmm.corpora.manifest import read_manifest

    content = None if manifest is None else read_manifest(manifest)
    for line in write_contact_sheet(store, out, content, settings):
        echo(line)
