"""Find configs by path, or by name if they are included in depmm."""

from pathlib import Path

from depmm.config.settings import ConfigError
from depmm.errors import did_you_mean

PACKAGE = Path(__file__).parents[1]
# the configs of the installed package, or of the repository that contains the package
CONFIG_FOLDERS = (PACKAGE / "configs", PACKAGE.parent / "experiments" / "configs")


def list_configs() -> list[tuple[str, str]]:
    """List the configs that are included in depmm.

    Returns
    -------
    list of (str, str)
        Name and first line of the header of each config, sorted by name.
    """
    return [
        (name, path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# "))
        for name, path in sorted(_shipped_configs().items())
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
    path = Path(config)
    if path.is_file():
        return path
    if path.suffix or len(path.parts) != 1:
        raise ConfigError(f"{path}: no such file. Check the path of the config.", file=path)
    shipped = _shipped_configs()
    if path.name not in shipped:
        raise ConfigError(
            f"There is no config {path.name!r}.",
            value=path.name,
            remedy=f"{did_you_mean(path.name, sorted(shipped))} Or give the path of a YAML file.",
        )
    return shipped[path.name]


def _shipped_configs() -> dict[str, Path]:
    folder = next((folder for folder in CONFIG_FOLDERS if folder.is_dir()), None)
    return {path.stem: path for path in folder.glob("*.yaml")} if folder else {}
