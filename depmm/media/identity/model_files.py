"""Read, check and write the weights of the models of voices and faces."""

import hashlib
import os
import warnings
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from depmm.files.writing import write_bytes
from depmm.media.errors import MediaError
from depmm.media.identity.known_models import IdentityModel

MAX_BYTES = 2**26  # of a file inside of a package; the largest has 17 MB


def load_model(model: IdentityModel, network: nn.Module) -> nn.Module:
    """Load the weights of a model into its network.

    The first of these is used: the environment variable, the cache. A cached file must have the
    known digest. A file that you name may be another version; it is used with a warning.

    Parameters
    ----------
    model : IdentityModel
        The model.
    network : Module
        The network of the model.

    Returns
    -------
    Module
        The network in evaluation mode.

    Raises
    ------
    MediaError
        If there is no file, or it cannot be read, has other tensors, or is cached with another
        digest.
    """
    named = bool(os.environ.get(model.variable))
    path = model.candidates()[0]
    if not path.is_file():
        where = model.variable if named else "cache"
        raise MediaError(path, f"the {model.name} does not exist ({where}).", _remedy(model))
    try:
        tensors = load_tensors(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise MediaError(
            path, f"the {model.name} cannot be read ({error}).", _remedy(model)
        ) from None
    check_tensors(model, network, tensors, path)
    if (digest := tensors_sha256(tensors)) != model.sha256:
        if not named:
            raise MediaError(
                path,
                f"the {model.name} has the wrong hash {digest[:12]}... and is refused.",
                _remedy(model),
                value=digest,
            )
        warnings.warn(f"{path} is not the {model.name} of {model.source}", stacklevel=2)
    network.load_state_dict(tensors)
    return network.eval()


def write_model(model: IdentityModel, tensors: Mapping[str, Tensor]) -> Path:
    """Write the weights of a model to the cache.

    Parameters
    ----------
    model : IdentityModel
        The model.
    tensors : mapping of str to Tensor
        Weights by name.

    Returns
    -------
    Path
        The file, in safetensors format.

    Raises
    ------
    MediaError
        If the tensors have another digest than the model.
    """
    if (digest := tensors_sha256(tensors)) != model.sha256:
        raise MediaError(
            model.cached,
            f"the downloaded {model.name} has the wrong hash {digest[:12]}... and is refused.",
            _remedy(model),
            value=digest,
        )
    model.cached.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(model.cached, save_tensors(dict(tensors)))
    return model.cached


def check_tensors(
    model: IdentityModel, network: nn.Module, tensors: Mapping[str, Tensor], path: Path
) -> None:
    """Check names, shapes and types of the tensors of a file.

    Parameters
    ----------
    model : IdentityModel
        The model.
    network : Module
        The network of the model.
    tensors : mapping of str to Tensor
        Tensors of the file.
    path : Path
        The file, for the message.

    Raises
    ------
    MediaError
        If a tensor is missing, unknown, or of another shape or type.
    """
    expected = network.state_dict()
    for name in sorted({*expected, *tensors}):
        one, other = expected.get(name), tensors.get(name)
        if one is None or other is None or one.shape != other.shape or one.dtype != other.dtype:
            raise MediaError(
                path,
                f"not the {model.name}: the tensor {name!r} is missing, unknown, or of another "
                "shape or type.",
                _remedy(model),
                value=name,
            )


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """Compute a digest of tensors that does not depend on the format of a file.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        Tensors by name.

    Returns
    -------
    str
        SHA-256 of the names and the bytes of the values, sorted by name, hexadecimal.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].detach().contiguous().numpy().tobytes())
    return digest.hexdigest()


def read_package(path: Path, digest: str, remedy: str) -> bytes:
    """Read a package and check its hash.

    Parameters
    ----------
    path : Path
        The package.
    digest : str
        Its SHA-256, hexadecimal.
    remedy : str
        What to do if it cannot be used, for the message.

    Returns
    -------
    bytes
        Content of the package.

    Raises
    ------
    MediaError
        If the package cannot be read or has another hash.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MediaError(path, f"cannot be read ({error.strerror}).", remedy) from None
    if (found := sha256(content)) != digest:
        raise MediaError(
            path,
            f"the package has the wrong hash {found[:12]}... and is refused.",
            remedy,
            value=found,
        )
    return content


def sha256(data: bytes) -> str:
    """Compute the SHA-256 of a file.

    Parameters
    ----------
    data : bytes
        Content of the file.

    Returns
    -------
    str
        The digest, hexadecimal.
    """
    return hashlib.sha256(data).hexdigest()


def _remedy(model: IdentityModel) -> str:
    return (
        f"Run {model.command}. Without internet access, run it on another computer and copy "
        f"{model.cached.name} to {model.cached.parent}, or set {model.variable} to its path."
    )
