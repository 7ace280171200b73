"""Serve a trained run to a browser, ``depmm serve``."""

import functools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import socket

from depmm.errors import DepmmError
from depmm.inference.predictor import Predictor
from depmm.media.video.face_landmarker import find_landmarker, find_local_landmarker

logger = logging.getLogger(__name__)


class ServeError(DepmmError):
    """A server that cannot be started."""


SERVE_LIBRARIES = ("uvicorn", "starlette", "anyio", "python_multipart")


def serve(
    run: Path,
    host: str = "127.0.0.1",
    port: int = 8765,
    allow_network: bool = False,
    max_mib: int = 500,
    landmarker: Path | None = None,
) -> None:
    """Serve a trained run until Ctrl-C.

    Parameters
    ----------
    run : Path
        Folder of a run, of a cross-validation or of an export.
    host : str, default "127.0.0.1"
        Address to listen to.
    port : int, default 8765
        Port.
    allow_network : bool, default False
        Whether an address that other computers reach is allowed.
    max_mib : int, default 500
        Largest size of a recording, in MiB.
    landmarker : Path, optional
        MediaPipe face model, see :func:`depmm.media.video.face_landmarker.find_landmarker`.

    Raises
    ------
    ServeError
        If the extra ``serve`` is not installed, the address is not that of this computer alone and
        ``allow_network`` is False, or the port is in use.
    MediaError
        If ``landmarker`` does not exist.
    InferenceError, RunError
        If the run cannot be used.
    """
    try:
        import python_multipart  # noqa: F401 (starlette needs it to read an upload)
        import uvicorn

        from depmm.inference.serve_app import PredictionService, is_loopback
    except ImportError as error:
        if (error.name or "").split(".")[0] not in SERVE_LIBRARIES:
            raise
        raise ServeError(
            f"depmm serve needs the library {error.name}, which is not installed.",
            value=error.name,
            remedy='Install the extra: pip install "depmm[serve]".',
        ) from None
    if not is_loopback(host) and not allow_network:
        raise ServeError(
            f"--host {host}: other computers would reach the server, which has neither a password "
            "nor encryption.",
            setting="host",
            value=host,
            remedy="Leave out --host, or add --allow-network if every computer that reaches this "
            "one may send recordings.",
        )
    if landmarker is not None:  # otherwise every video would be refused, after its upload
        find_landmarker(landmarker)
    predictor = Predictor(run)
    needs_model = landmarker is None and "face" in predictor.trained_run.tracks
    if needs_model and find_local_landmarker() is None:
        logger.warning(
            "The face model is missing, and is downloaded for the first video. Without a "
            "connection, videos cannot be predicted: run depmm download faces first, or give "
            "--landmarker."
        )
    service = PredictionService(
        functools.partial(predictor.predict, landmarker=landmarker, isolate=True, view=True),
        predictor.trained_run.description,
        predictor.trained_run.tracks,
        host,
        max_mib,
    )
    config = uvicorn.Config(
        service.application(), host=host, port=port, log_level="error", access_log=False,
        server_header=False, proxy_headers=False, lifespan="off",
    )  # fmt: skip

    class _Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield  # Ctrl-C ends the process as it ends every command, and removes temporary files

        async def startup(self, sockets: list[socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                shown = f"[{host}]" if ":" in host else host
                logger.info("http://%s:%d  (end with Ctrl-C)", shown, port)

    try:
        _Server(config).run()
    except SystemExit:  # uvicorn has logged why
        raise ServeError(
            f"the server cannot listen to {host}, port {port}.",
            setting="port",
            value=port,
            remedy="Give another --port; another program may use this one.",
        ) from None
