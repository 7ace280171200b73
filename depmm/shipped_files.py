"""YAML files that are included in depmm, found by name: data specs and configs."""

from pathlib import Path

from depmm.errors import DepmmError, did_you_mean

PACKAGE = Path(__file__).parent


def shipped_folder(in_wheel: str, in_checkout: str) -> Path:
    """Return the folder of the files that are included in depmm.

    Parameters
    ----------
    in_wheel : str
        Its path relative to the installed package.
    in_checkout : str
        Its path relative to the repository that contains the package.

    Returns
    -------
    Path
        The first that exists, or that of the repository.
    """
    installed = PACKAGE / in_wheel
    return installed if installed.is_dir() else PACKAGE.parent / in_checkout


def find_by_name(name: Path | str, folder: Path, kind: str, error: type[DepmmError]) -> Path:
    """Find a YAML file by its path, or by its name in a folder.

    Parameters
    ----------
    name : Path or str
        Path of a file, or name without suffix. A file of that name in the working directory takes
        precedence.
    folder : Path
        Folder of the files that are found by name.
    kind : str
        What the file is, for the message.
    error : type of DepmmError
        Class of the error.

    Returns
    -------
    Path
        The file; not checked if ``name`` is a path.

    Raises
    ------
    DepmmError
        An ``error`` if ``name`` is a name and the folder has no such file.
    """
    path = Path(name)
    if path.suffix or len(path.parts) != 1 or path.is_file():
        return path
    found = folder / f"{path.name}.yaml"
    if not found.is_file():
        names = sorted(file.stem for file in folder.glob("*.yaml"))
        raise error(
            f"There is no {kind} {path.name!r}.",
            value=path.name,
            remedy=f"{did_you_mean(path.name, names)} Or give the path of a YAML file.",
        )
    return found
