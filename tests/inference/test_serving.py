"""The web application of ``depmm serve``."""

import asyncio
import sys
from pathlib import Path

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.testclient import TestClient

from depmm.inference import InferenceError, serve_app
from depmm.inference.predictor import Predictor
from depmm.inference.serve_app import MAX_WAITING, PredictionService, is_loopback
from depmm.inference.serving import ServeError, serve
from depmm.media.errors import MediaError

URL = "http://127.0.0.1:8765"


@pytest.fixture
def service(audio_predictor: Predictor) -> PredictionService:
    run = audio_predictor.trained_run
    return PredictionService(audio_predictor.predict, run.description, run.tracks, "127.0.0.1", 1)


@pytest.fixture
def client(service: PredictionService) -> TestClient:
    application = service.application()
    return TestClient(application, base_url=URL, raise_server_exceptions=False)


def send(client: TestClient, content: bytes, name: str = "a.mp4", **headers: str):
    files = {"recording": (name, content, "video/mp4")}
    return client.post("/predict", files=files, headers={"Origin": URL, **headers})


def test_the_form_loads_nothing_from_elsewhere(client):
    answer = client.get("/")
    assert answer.status_code == 200
    assert "http://" not in answer.text
    assert "https://" not in answer.text
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example"])
def test_another_name_of_the_server_is_refused(client, host):
    assert client.get("/", headers={"Host": host}).status_code == 403
    assert send(client, b"x", Host=host, Origin=f"http://{host}").status_code == 403


@pytest.mark.parametrize("host", ["localhost:8765", "127.0.0.1:8765", "[::1]:8765"])
def test_an_address_of_the_server_is_accepted(client, host):
    assert client.get("/", headers={"Host": host}).status_code == 200


def test_a_form_of_another_site_is_refused(client):
    for origin in (
        "http://evil.example",
        "null",
        "http://127.0.0.1:9999",
        "https://127.0.0.1:8765",
    ):
        assert send(client, b"x", Origin=origin).status_code == 403
    assert client.post("/predict", files={"recording": ("a.wav", b"x")}).status_code == 403


def test_a_recording_has_the_prediction_of_the_predictor(
    client, audio_predictor, recording, temporary_files
):
    file, _ = recording("S003_1")
    answer = send(client, file.read_bytes(), "../../patient <7>.mp4")
    expected = audio_predictor.predict(file)
    assert answer.status_code == 200
    assert f"{expected.probability:.2f}</div>" in answer.text
    assert "calibrated: too few validation subjects" in answer.text
    assert "patient" not in answer.text
    assert "script-src" not in answer.headers["content-security-policy"]
    assert not list(temporary_files.iterdir())


def test_errors_are_words_and_leave_no_file(client, service, temporary_files):
    answer = send(client, b"no recording")
    assert answer.status_code == 422
    assert "recording.mp4" in answer.text
    assert str(temporary_files) not in answer.text
    assert send(client, b"").status_code == 400
    assert client.post("/predict", data={"a": "b"}, headers={"Origin": URL}).status_code == 400

    def fail(path: Path) -> None:
        assert path.exists()
        raise RuntimeError("secret")

    service.predict = fail
    answer = send(client, b"x")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert service.n_active == 0
    assert not list(temporary_files.iterdir())


def test_large_recordings_and_too_many_are_refused(client, service, temporary_files):
    large = bytes(1_100_000)
    assert send(client, large).status_code == 413

    def chunks():
        yield b'--x\r\nContent-Disposition: form-data; name="recording"; filename="a.wav"\r\n\r\n'
        yield large

    headers = {"Origin": URL, "Content-Type": "multipart/form-data; boundary=x"}
    assert client.post("/predict", content=chunks(), headers=headers).status_code == 413
    assert service.n_active == 0
    service.n_active = MAX_WAITING + 1
    assert send(client, b"x").status_code == 503
    assert not list(temporary_files.iterdir())


def test_an_upload_that_stops_is_ended(service, monkeypatch):
    monkeypatch.setattr(serve_app, "MAX_IDLE_S", 0.01)

    async def receive() -> None:
        await asyncio.Event().wait()

    with pytest.raises(HTTPException) as caught:
        asyncio.run(service.limited(receive, 10)())
    assert caught.value.status_code == 408


def test_an_aborted_upload_is_no_error(service, temporary_files):
    headers = {"host": "127.0.0.1", "origin": "http://127.0.0.1"}
    headers["content-type"] = "multipart/form-data; boundary=x"
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/predict",
        "scheme": "http",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    start = b'--x\r\nContent-Disposition: form-data; name="recording"; filename="a"\r\n\r\nb'
    messages = [
        {"type": "http.request", "body": start, "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> dict[str, object]:
        return messages.pop(0)

    answer = asyncio.run(service.receive_recording(Request(scope, receive)))
    assert answer.status_code == 400
    assert service.n_active == 0
    assert not list(temporary_files.iterdir())


def test_only_this_computer_is_served_without_an_option(run_folder, monkeypatch):
    assert is_loopback("127.0.0.1")
    assert is_loopback("::1")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("example.org")
    with pytest.raises(ServeError) as info:
        serve(run_folder, host="0.0.0.0")
    assert (info.value.setting, info.value.value) == ("host", "0.0.0.0")
    assert "--allow-network" in info.value.remedy
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(ServeError) as info:
        serve(run_folder)
    assert "depmm[serve]" in info.value.remedy


def test_a_face_model_that_does_not_exist_is_an_error_before_the_first_upload(
    run_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr("uvicorn.Server.run", lambda server: None)
    with pytest.raises(MediaError) as info:
        serve(run_folder, landmarker=tmp_path / "no.task")
    assert info.value.file == tmp_path / "no.task"


@pytest.mark.slow
def test_a_recording_is_decoded_in_a_process_of_its_own(
    audio_predictor, recording, tmp_path, temporary_files
):
    file, steps = recording("S003_1")
    expected = audio_predictor.predict(file, steps)
    assert audio_predictor.predict(file, steps, isolate=True).result == expected.result
    (tmp_path / "no.wav").write_bytes(file.read_bytes()[:1000])
    with pytest.raises((InferenceError, ValueError)):
        audio_predictor.predict(tmp_path / "no.wav", isolate=True)
    assert not list(temporary_files.iterdir())
