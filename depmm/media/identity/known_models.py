"""The models of voices and faces: where they are kept, and the digest of their weights."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class IdentityModel:
    """A model whose weights are not part of depmm.

    Attributes
    ----------
    name : str
        Name for messages, for example ``voice model``.
    command : str
        The command that downloads it.
    file : str
        Name of the file in the cache.
    variable : str
        Environment variable with the path of the file.
    source : str
        The package that contains the weights, with its version.
    sha256 : str
        Digest of the tensors, see
        :func:`depmm.media.identity.model_files.tensors_sha256`.
    """

    name: str
    command: str
    file: str
    variable: str
    source: str
    sha256: str

    def candidates(self) -> list[Path]:
        """List the paths that are searched.

        Returns
        -------
        list of Path
            The file of the environment variable, if it is set, and the file in the cache
            (``$XDG_CACHE_HOME/depmm`` or ``~/.cache/depmm``).
        """
        variable = os.environ.get(self.variable)
        return [*([Path(variable)] if variable else []), self.cached]

    @property
    def cached(self) -> Path:
        """The file in the cache."""
        home = os.environ.get("XDG_CACHE_HOME")
        return (Path(home) if home else Path.home() / ".cache") / "depmm" / self.file

    @property
    def available(self) -> bool:
        """Whether one of the candidates exists."""
        return any(path.is_file() for path in self.candidates())


VOICE_MODEL = IdentityModel(
    name="voice model",
    command="depmm download identity",
    file="voice_encoder.safetensors",
    variable="DEPMM_VOICE_MODEL",
    source="resemblyzer==0.1.4",
    sha256="9673b89abbbb6372d60e42ddc177bf5801c25f77b156a09c9222921918108de7",
)
FACE_MODEL = IdentityModel(
    name="face recognition model",
    command="depmm download face-identity",
    file="face_encoder.safetensors",
    variable="DEPMM_FACE_ENCODER",
    source="@vladmandic/face-api@1.7.15",
    sha256="5f6c3d3db8ad7d455399ff93c311a456d1f30652321adadd446cb593bfb201de",
)
