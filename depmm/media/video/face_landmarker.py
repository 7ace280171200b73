"""The MediaPipe face model: search and download."""

import hashlib
import os
import urllib.request
import warnings
from pathlib import Path

from depmm.files.writing import write_bytes
from depmm.media.errors import MediaError

LANDMARKER_URL = (
    "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/"
    "face_landmarker.task"
)
LANDMARKER_SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
LANDMARKER_VARIABLE = "DEPMM_FACE_LANDMARKER"


def find_landmarker(path: Path | None = None) -> Path:
    """Find the face model, and download it if necessary.

    The first of these is used: the given path, the environment variable ``DEPMM_FACE_LANDMARKER``,
    the cache ``$XDG_CACHE_HOME/depmm`` (``~/.cache/depmm``), the download. A cached or downloaded
    file must have the known hash. A file that you give may be another version of the model; it is
    used with a warning.

    Parameters
    ----------
    path : Path, optional
        The face model.

    Returns
    -------
    Path
        The ``face_landmarker.task`` bundle.

    Raises
    ------
    MediaError
        If a named file does not exist, or the download fails or has another hash.
    """
    variable = os.environ.get(LANDMARKER_VARIABLE)
    if named := path or (Path(variable) if variable else None):
        if not named.is_file():
            source = "given path" if path else LANDMARKER_VARIABLE
            raise MediaError(
                named, f"the face model does not exist ({source}).", f"Get {LANDMARKER_URL}"
            )
        if _sha256(named.read_bytes()) != LANDMARKER_SHA256:
            warnings.warn(f"{named} is not the face model that depmm was tested with", stacklevel=2)
        return named
    cached = landmarker_candidates()[-1]
    if cached.is_file():
        if _sha256(cached.read_bytes()) == LANDMARKER_SHA256:
            return cached
        cached.unlink()
    _download(cached)
    return cached


def find_local_landmarker() -> Path | None:
    """Find the face model without a download.

    Returns
    -------
    Path or None
        The first of :func:`landmarker_candidates` that exists, with a warning if it is another
        version of the model; None if there is none.
    """
    path = next((path for path in landmarker_candidates() if path.is_file()), None)
    return None if path is None else find_landmarker(path)


def landmarker_candidates() -> list[Path]:
    """List the paths that :func:`find_landmarker` searches before the download.

    Returns
    -------
    list of Path
        The file of the environment variable, if it is set, and the cached file.
    """
    variable = os.environ.get(LANDMARKER_VARIABLE)
    cache_home = os.environ.get("XDG_CACHE_HOME")
    cache = Path(cache_home) if cache_home else Path.home() / ".cache"
    return [*([Path(variable)] if variable else []), cache / "depmm/face_landmarker.task"]


def _download(target: Path) -> None:
    remedy = (
        f"On a computer with internet access, download {LANDMARKER_URL} and copy it to this path, "
        f"or give its path (landmarker), or set {LANDMARKER_VARIABLE}. Frames that are aligned "
        "faces need no face model: give --aligned, or faces: aligned in the data spec."
    )
    try:
        with urllib.request.urlopen(LANDMARKER_URL, timeout=60) as response:
            data = response.read(2**26)  # 64 MiB; the model has 3.6 MiB
    except OSError as error:
        raise MediaError(
            target, f"the face model cannot be downloaded ({error}).", remedy
        ) from error
    digest = _sha256(data)
    if digest != LANDMARKER_SHA256:
        raise MediaError(
            target,
            f"the downloaded face model has the wrong hash {digest[:12]}... and is refused.",
            remedy,
            value=digest,
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(target, data)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
