"""The web application of ``depmm serve``: one page for a recording, and its prediction.

Nothing is kept: a recording is a file without a name while it is received, and a file in a private
temporary folder while it is predicted. Requests of other web sites are refused: the header Host
must name this computer by an address (a name could be rebound to it), and Origin must be the page
itself.
"""

import asyncio
import ipaddress
import logging
import re
import secrets
import shutil
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive

from depmm.files.writing import temporary_folder
from depmm.inference.prediction import STATEMENT, Prediction
from depmm.inference.prediction_page import render_prediction_page
from depmm.pages.templates import templates

MAX_WAITING = 4  # recordings that are received or wait, besides the one that is predicted
MAX_IDLE_S = 30.0  # without a byte of a recording that is received
BYTES_PER_MIB = 2**20
_FORM_BYTES = 10_000  # of a form, besides the recording
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,5}")
_PREDICTION_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",  # no-referrer would make Origin null
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(self)",
}

logger = logging.getLogger(__name__)
Predict = Callable[[Path], Prediction]


class PredictionService:
    """Pages and state of the application.

    Parameters
    ----------
    predict : callable
        Predicts one recording.
    description : dict of str to object
        Description of the run, see ``TrainedRun.description``.
    tracks : sequence of str
        Tracks that the models read, ``audio`` and ``face``.
    host : str
        Address that the server listens to.
    max_mib : int
        Largest size of a recording, in MiB.
    """

    def __init__(
        self,
        predict: Predict,
        description: dict[str, Any],
        tracks: list[str],
        host: str,
        max_mib: int,
    ) -> None:
        self.predict = predict
        self.description = description
        self.tracks = tracks
        self.names = {"localhost", host.lower()}
        self.max_mib = max_mib
        self.n_active = 0
        self.one_at_a_time = asyncio.Lock()

    def application(self) -> Starlette:
        """Build the application.

        Returns
        -------
        Starlette
            An ASGI application.
        """
        return Starlette(
            routes=[
                Route("/", self.show_form, methods=["GET"]),
                Route("/predict", self.receive_recording, methods=["POST"]),
            ],
            exception_handlers={HTTPException: _show_http_error, Exception: _show_bug},
        )

    async def show_form(self, request: Request) -> Response:
        """Answer with the page on which a recording is chosen or made.

        Parameters
        ----------
        request : Request
            The request.

        Returns
        -------
        Response
            The page.
        """
        self.check_host(request)
        nonce = secrets.token_urlsafe(16)
        page = templates("depmm.inference").get_template("serve_form.html.jinja")
        text = page.render(
            title="Predict a recording",
            statement=STATEMENT,
            model=self.description,
            video="face" in self.tracks,
            sound="audio" in self.tracks,
            max_mib=self.max_mib,
            nonce=nonce,
        )
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'unsafe-inline'; "
            "media-src blob:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
        return _page(text, policy=policy)

    async def receive_recording(self, request: Request) -> Response:
        """Predict the recording of a form.

        Parameters
        ----------
        request : Request
            A form with the file ``recording``.

        Returns
        -------
        Response
            The page of the prediction, or of an error in words.
        """
        self.check_host(request)
        check_origin(request)
        limit = self.max_mib * BYTES_PER_MIB + _FORM_BYTES
        stated = request.headers.get("content-length", "")
        if stated.isdecimal() and len(stated) < 20 and int(stated) > limit:
            raise self.too_large()
        if self.n_active > MAX_WAITING:
            raise HTTPException(503, "Too many recordings are waiting. Try again in a minute.")
        self.n_active += 1
        try:
            limited = Request(request.scope, self.limited(request.receive, limit))
            async with limited.form(max_files=1, max_fields=2) as form:
                upload = form.get("recording")
                if not isinstance(upload, UploadFile) or not upload.size:
                    raise HTTPException(400, "The form has no recording. Choose a file.")
                async with self.one_at_a_time:
                    status, text = await run_sync(self.predict_upload, upload)
        except ClientDisconnect:
            return Response(status_code=400)
        finally:
            self.n_active -= 1
        return _page(text, status)

    def predict_upload(self, upload: UploadFile) -> tuple[int, str]:
        """Predict a received file; it is removed in any case.

        Parameters
        ----------
        upload : UploadFile
            The file; only the suffix of its name is used.

        Returns
        -------
        status : int
            Status of the answer, 200 or 422.
        text : str
            The page.
        """
        suffix = Path(upload.filename or "").suffix
        name = "recording" + (suffix.lower() if _SUFFIX.fullmatch(suffix) else "")
        with temporary_folder(Path(tempfile.gettempdir())) as folder:
            path = folder / name
            with path.open("wb") as file:
                shutil.copyfileobj(upload.file, file, 2**20)
            try:
                prediction = self.predict(path)
                content = prediction.to_dict()
                text = render_prediction_page(content, prediction.view, back="/")
            except (ValueError, OSError) as error:
                cause = str(error).replace(f"{folder}/", "").replace(str(folder), "")
                return 422, _error_text(f"This recording cannot be predicted. {cause}")
        return 200, text

    def limited(self, receive: Receive, limit: int) -> Receive:
        """Count the bytes of a request, whatever its header says, and end one that stops.

        Parameters
        ----------
        receive : callable
            Receives the messages of a request.
        limit : int
            Largest number of bytes.

        Returns
        -------
        callable
            Receives them and raises ``HTTPException`` above the limit, or if nothing arrives.
        """
        n_bytes = 0

        async def count() -> Message:
            nonlocal n_bytes
            try:
                async with asyncio.timeout(MAX_IDLE_S):
                    message = await receive()
            except TimeoutError:  # would keep others waiting
                raise HTTPException(
                    408, f"Nothing was received for {MAX_IDLE_S:g} s. Send the recording again."
                ) from None
            n_bytes += len(message.get("body", b""))
            if n_bytes > limit:
                raise self.too_large()
            return message

        return count

    def too_large(self) -> HTTPException:
        """Build the answer to a recording that is too large.

        Returns
        -------
        HTTPException
            To be raised.
        """
        return HTTPException(
            413,
            f"The recording has more than {self.max_mib} MiB. Start depmm serve with a higher "
            "--max-mib, or cut the recording.",
        )

    def check_host(self, request: Request) -> None:
        """Refuse a request by a name that a foreign site may have bound to this computer.

        Parameters
        ----------
        request : Request
            The request.

        Raises
        ------
        HTTPException
            If Host is neither an address nor a name of this computer.
        """
        host = request.headers.get("host", "")
        name = host.rsplit(":", 1)[0] if re.search(r":\d+$", host) else host
        if name.lower() in self.names or _is_address(name.strip("[]")):
            return
        raise HTTPException(
            403, "This name of the server is not accepted. Use its address, as depmm serve printed."
        )


def check_origin(request: Request) -> None:
    """Refuse a form that another site sends.

    Parameters
    ----------
    request : Request
        The request. Browsers send Origin with every form.

    Raises
    ------
    HTTPException
        If Origin is not the page of this server.
    """
    expected = f"{request.url.scheme}://{request.headers.get('host', '')}"
    if request.headers.get("origin") != expected:
        raise HTTPException(403, "The request comes from another page. Open this server's page.")


def is_loopback(host: str) -> bool:
    """Tell whether only this computer reaches an address.

    Parameters
    ----------
    host : str
        Address or name.

    Returns
    -------
    bool
        Whether it does.
    """
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.lower() == socket.gethostname().lower()
    return True


def _page(text: str, status: int = 200, policy: str = _PREDICTION_POLICY) -> HTMLResponse:
    return HTMLResponse(text, status, {**_HEADERS, "Content-Security-Policy": policy})


def _error_text(message: str) -> str:
    page = templates("depmm.inference").get_template("serve_error.html.jinja")
    return page.render(title="No prediction", message=message)


async def _show_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _page(_error_text(str(error.detail)), error.status_code)


async def _show_bug(request: Request, error: Exception) -> Response:
    logger.error("the prediction failed: %r", error)
    return _page(
        _error_text("The prediction failed; the terminal of depmm serve has the cause."), 500
    )
