"""The command that serves a trained run to a browser."""

from pathlib import Path
from typing import Annotated

import typer

from depmm.cli.application import Landmarker, app


@app.command()
def serve(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="folder of a run, cross-validation or export")
    ],
    host: Annotated[str, typer.Option(help="address to listen to")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="port")] = 8765,
    allow_network: Annotated[
        bool,
        typer.Option(
            "--allow-network",
            help="allow a --host that other computers reach, which then can send recordings, "
            "without password and encryption",
        ),
    ] = False,
    max_mib: Annotated[
        int, typer.Option("--max-mib", min=1, help="largest size of a recording, in MiB")
    ] = 500,
    landmarker: Landmarker = None,
) -> None:
    """Predict recordings in a browser; not a diagnosis.

    A recording is a file, or comes from camera and microphone. Nothing is kept.
    """
    from depmm.inference.serving import serve as serve_run

    serve_run(run, host, port, allow_network, max_mib, landmarker)
