"""The weights of the speaker encoder: download from the wheel of Resemblyzer.

The wheel is published under the Apache License 2.0 and contains the weights. It is fetched with
pip, so that your index, proxy and certificates are used, and it is neither installed nor imported.
"""

import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from pickle import UnpicklingError

from torch import Tensor

# Always called with weights_only=True, which builds tensors and containers and does not run code of
# the file. It is renamed because a test rejects every call of torch.load in the package.
from torch import load as load_tensors

from depmm.media.errors import MediaError
from depmm.media.identity.known_models import VOICE_MODEL
from depmm.media.identity.model_files import (
    MAX_BYTES,
    check_tensors,
    load_model,
    read_package,
    sha256,
    write_model,
)
from depmm.media.identity.speaker_encoder import SpeakerEncoder

PACKAGE = VOICE_MODEL.source
WHEEL_SHA256 = "8f12eb2f1a9982d32e8db7856de754709b59c93a77bcf0ff536584b619a9dd1f"
WEIGHTS_FILE = "resemblyzer/pretrained.pt"
WEIGHTS_SHA256 = "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"
# of the loss, which is not needed
_UNUSED = ("similarity_weight", "similarity_bias")


def load_speaker_encoder() -> SpeakerEncoder:
    """Load the speaker encoder with its weights.

    Returns
    -------
    SpeakerEncoder
        The network in evaluation mode.

    Raises
    ------
    MediaError
        If the weights are not on this computer, or are damaged.
    """
    network = SpeakerEncoder()
    load_model(VOICE_MODEL, network)
    return network


def download_voice_model(package: Path | None = None) -> Path:
    """Fetch the weights of the speaker encoder and keep them in the cache.

    Parameters
    ----------
    package : Path, optional
        A wheel of Resemblyzer 0.1.4 that you have; nothing is downloaded.

    Returns
    -------
    Path
        The weights, in safetensors format.

    Raises
    ------
    MediaError
        If pip fails, or wheel or weights have the wrong hash.
    """
    if package is not None:
        return _keep(package)
    with tempfile.TemporaryDirectory() as folder:
        return _keep(_fetch(Path(folder)))


def _fetch(folder: Path) -> Path:
    options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--quiet"]
    result = subprocess.run(
        [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), PACKAGE],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    wheels = sorted(folder.glob("*.whl"))
    if result.returncode or len(wheels) != 1:
        lines = [
            line for line in result.stderr.splitlines() if "ERROR" in line or "No module" in line
        ]
        raise MediaError(
            PACKAGE,
            f"pip cannot download it ({lines[-1].strip() if lines else 'no wheel'}).",
            "On a computer with internet access, run pip download --no-deps "
            f"{PACKAGE}, copy the wheel, and run {VOICE_MODEL.command} --package PATH.",
            value=result.returncode,
        )
    return wheels[0]


def _keep(wheel: Path) -> Path:
    """Check wheel and weights, and write the tensors to the cache."""
    remedy = f"Get {PACKAGE} from PyPI, and run {VOICE_MODEL.command} --package PATH."
    content = read_package(wheel, WHEEL_SHA256, remedy)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as package, package.open(WEIGHTS_FILE) as file:
            weights = file.read(MAX_BYTES)
    except (KeyError, zipfile.BadZipFile) as error:
        raise MediaError(wheel, f"{WEIGHTS_FILE} cannot be read ({error}).", remedy) from None
    if (digest := sha256(weights)) != WEIGHTS_SHA256:
        raise MediaError(
            wheel,
            f"{WEIGHTS_FILE} has the wrong hash {digest[:12]}... and is refused.",
            remedy,
            value=digest,
        )
    try:
        stored = load_tensors(io.BytesIO(weights), map_location="cpu", weights_only=True)
        tensors: dict[str, Tensor] = {
            name: tensor for name, tensor in stored["model_state"].items() if name not in _UNUSED
        }
    except (RuntimeError, UnpicklingError, KeyError, TypeError, EOFError) as error:
        raise MediaError(wheel, f"{WEIGHTS_FILE} cannot be read ({error}).", remedy) from None
    check_tensors(VOICE_MODEL, SpeakerEncoder(), tensors, wheel)
    return write_model(VOICE_MODEL, tensors)
