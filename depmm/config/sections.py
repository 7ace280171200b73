"""Read single sections of a config, for commands that need no whole experiment."""

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from pydantic import Field, ValidationError

from depmm.config.data import SplitConfig, TargetConfig
from depmm.config.extraction import ExtractConfig
from depmm.config.load import read_with_bases
from depmm.config.overrides import merge_overrides
from depmm.config.settings import ConfigError, Settings
from depmm.config.shipped import find_config
from depmm.config.validation import config_error

Section = TypeVar("Section", bound=Settings)


class MeasuresConfig(Settings):
    """The sections of a config that ``depmm measures`` reads."""

    target: TargetConfig = Field(TargetConfig(), description="what the measures are compared with")
    extract: ExtractConfig = Field(ExtractConfig(), description="extraction of the store")


def load_extract_config(
    path: Path | str | None, overrides: Iterable[str] | None = None
) -> ExtractConfig:
    """Read the ``extract`` section of a config, or its defaults.

    Parameters
    ----------
    path : Path or str or None
        File or name of the config; None: the defaults.
    overrides : iterable of str, optional
        ``key=value`` inside the section, for example ``face.frames_per_second=10.0``.

    Returns
    -------
    ExtractConfig
        The settings of the extraction.

    Raises
    ------
    ConfigError
        As ``load_config``.
    """
    return _load_section(path, "extract", ExtractConfig, overrides)


def load_split_config(
    path: Path | str | None, overrides: Iterable[str] | None = None
) -> tuple[SplitConfig, TargetConfig]:
    """Read the ``split`` and ``target`` sections of a config, or their defaults.

    Parameters
    ----------
    path : Path or str or None
        File or name of the config; None: the defaults.
    overrides : iterable of str, optional
        ``key=value`` inside the ``split`` section, for example ``folds=10``.

    Returns
    -------
    split : SplitConfig
        The settings of the split.
    target : TargetConfig
        What is predicted.

    Raises
    ------
    ConfigError
        As ``load_config``, and if ``fold`` is given: a split has all folds.
    """
    overrides = list(overrides or [])
    for override in overrides:
        key, _, value = override.partition("=")
        if key == "fold":
            raise ConfigError(
                f"{override} has no effect on a split, which has all folds.",
                setting="split.fold",
                value=value,
                remedy="Leave it out, and give split.fold to depmm train; or give folds=N for "
                "another number of folds.",
            )
    split = _load_section(path, "split", SplitConfig, overrides)
    return split, _load_section(path, "target", TargetConfig)


def load_measures_config(
    path: Path | str | None, overrides: Iterable[str] | None = None
) -> MeasuresConfig:
    """Read the ``target`` and ``extract`` sections of a config, or their defaults.

    Parameters
    ----------
    path : Path or str or None
        File or name of the config; None: the defaults.
    overrides : iterable of str, optional
        ``key=value``, for example ``target.column=score``.

    Returns
    -------
    MeasuresConfig
        The sections.

    Raises
    ------
    ConfigError
        As ``load_config``.
    """
    file = None if path is None else find_config(path)
    content = {} if file is None else read_with_bases(file)
    values = {name: content.get(name) or {} for name in MeasuresConfig.model_fields}
    overrides = list(overrides or [])
    try:
        return MeasuresConfig.model_validate(merge_overrides(values, overrides))
    except ValidationError as error:
        source = str(file or "settings")
        raise config_error(error, MeasuresConfig, source, file, overrides=overrides) from None


def _load_section(
    path: Path | str | None,
    name: str,
    kind: type[Section],
    overrides: Iterable[str] | None = None,
) -> Section:
    file = None if path is None else find_config(path)
    values = {} if file is None else read_with_bases(file).get(name) or {}
    # a setting may have the name that it has in a config, such as extract.face.jpeg_quality
    overrides = [override.removeprefix(f"{name}.") for override in overrides or ()]
    values = merge_overrides(values, overrides)
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        source = str(file or "settings")
        raise config_error(error, kind, source, file, section=name, overrides=overrides) from None
