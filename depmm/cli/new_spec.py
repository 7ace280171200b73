"""Command that proposes a data spec."""

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from depmm.cli.application import RecordingsFolder, app, echo, echo_data


@app.command(name="new-spec")
def new_spec(
    root: RecordingsFolder,
    out: Annotated[
        Path | None, typer.Option(help="YAML file of the spec; default: print the spec")
    ] = None,
) -> None:
    """Propose a data spec for a folder of recordings.

    Guesses are marked in comments.
    """
    from depmm.files.writing import write_text  # without a checksum: the spec is to be edited
    from depmm.new_spec.propose import propose_spec

    if out is not None and out.exists():
        raise typer.BadParameter(f"{out} exists; choose another name", param_hint="--out")
    proposal = propose_spec(root)
    if out is None:
        echo_data(proposal.text)
        echo(proposal.summary(), err=True)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, proposal.text)
    echo(proposal.summary())
    command = f"depmm index {quote(str(out))} {quote(str(root))} --out MANIFEST"
    echo(f"{out}: check the lines with GUESS. Next: {command}")
