"""Command that fetches the models that are not part of depmm."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from depmm.cli.application import app, echo


@app.command()
def download(
    model: Annotated[
        Literal["identity", "faces"],
        typer.Argument(
            metavar="MODEL",
            help="identity: the voice model of depmm audit --identity; faces: the MediaPipe face "
            "model of depmm extract",
        ),
    ],
    wheel: Annotated[
        Path | None,
        typer.Option(help="identity: a wheel of resemblyzer 0.1.4 that you have; no download"),
    ] = None,
) -> None:
    """Download a model once, check its hash, and keep it in the cache."""
    from depmm.media.identity.voice_model import download_voice_model
    from depmm.media.video.face_landmarker import find_landmarker

    if model == "identity":
        echo(str(download_voice_model(wheel)))
        return
    if wheel is not None:
        raise typer.BadParameter("needs the model identity", param_hint="--wheel")
    echo(str(find_landmarker()))
