"""Find configs by path, or by name if they are included in depmm."""

from pathlib import Path

from depmm.config.settings import ConfigError
from depmm.shipped_files import find_by_name, shipped_folder


def list_configs() -> list[tuple[str, str]]:
    """List the configs that are included in depmm.

    Returns
    -------
    list of (str, str)
        Name and first line of the header of each config, sorted by name.
    """
    return [
        (name, path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# "))
        for name, path in sorted((path.stem, path) for path in _folder().glob("*.yaml"))
    ]


def find_config(config: Path | str) -> Path:
    """Find the file of a config by its path or its name.

    Parameters
    ----------
    config : Path or str
        Path of a YAML file, or the name of a config included in depmm, for example ``demo``.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ConfigError
        If there is neither a file nor a config with this name.
    """
    if "://" in str(config):
        raise ConfigError(
            f"{config} is a URL, but a config is a file of this computer.",
            value=str(config),
            remedy="Copy it, and give its path.",
        )
    path = find_by_name(config, _folder(), "config", ConfigError)
    if not path.is_file():
        raise ConfigError(f"{path}: no such file. Check the path of the config.", file=path)
    return path


def find_base(base: str, folder: Path) -> Path:
    """Find the base of a config.

    Parameters
    ----------
    base : str
        Path relative to the folder, or the name of a config included in depmm.
    folder : Path
        Folder of the config that names the base.

    Returns
    -------
    Path
        The file, which may not exist.

    Raises
    ------
    ConfigError
        If there is no config with this name.
    """
    path = folder / base
    if path.is_file() or Path(base).suffix or "/" in base:
        return path
    return find_config(base)


def _folder() -> Path:
    return shipped_folder("configs", "experiments/configs")
