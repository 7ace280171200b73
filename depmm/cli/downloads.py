"""Command that fetches the models that are not part of depmm."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from depmm.cli.application import app, echo


@app.command()
def download(
    model: Annotated[
        Literal["identity", "face-identity", "faces"],
        typer.Argument(
            metavar="MODEL",
            help="identity, face-identity: the voice and the face recognition model of depmm "
            "audit --identity; faces: the MediaPipe face model of depmm extract",
        ),
    ],
    package: Annotated[
        Path | None,
        typer.Option(
            help="identity: the wheel of resemblyzer 0.1.4, face-identity: the tarball of "
            "@vladmandic/face-api 1.7.15, that you have; no download"
        ),
    ] = None,
) -> None:
    """Download a model, and check its hash.

    It is kept in the cache, and downloaded once.
    """
    from depmm.media.identity.face_model import download_face_model
    from depmm.media.identity.voice_model import download_voice_model
    from depmm.media.video.face_landmarker import find_landmarker

    if model == "identity":
        echo(str(download_voice_model(package)))
    elif model == "face-identity":
        echo(str(download_face_model(package)))
    elif package is not None:
        raise typer.BadParameter("needs identity or face-identity", param_hint="--package")
    else:
        echo(str(find_landmarker()))
