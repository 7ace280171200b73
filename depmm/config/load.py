"""Read configs: YAML files with bases, and overrides ``key=value``.

A config file may have a ``base:``, the path of another config relative to the file, or the name of
a config included in depmm. The settings of the file then override those of the base, mapping by
mapping.

``null`` is the value of a setting whose type allows None, for example ``training.patience``. Any
other setting or section that is ``null`` has its default, whatever the base says, and an entry of a
mapping that is ``null`` is removed, for example the encoder of a modality. The same holds for
overrides.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from depmm.config.experiment import ClassicalConfig, Config, Experiment, ExperimentT
from depmm.config.overrides import merge_named, merge_overrides, merge_settings
from depmm.config.settings import ConfigError
from depmm.config.shipped import find_base, find_config
from depmm.config.validation import config_error
from depmm.files.checksums import read_text
from depmm.files.limited_yaml import YamlError, check_size, load_yaml

# settings that a tuning cannot change: candidates share subjects, target, evaluation and devices
FIXED_IN_TUNING = (
    *(name for name in Experiment.model_fields if name != "data"),
    *(f"data.{name}" for name in ("manifest", "store", "modalities", "features")),
    "training.mixed_precision",
    "training.trackers",
)


def load_config(config: Experiment | Path | str, overrides: Iterable[str] | None = None) -> Config:
    """Read the config of a network, its bases and overrides.

    Parameters
    ----------
    config : Path, str or Config
        The YAML file, or the name of a config included in depmm, for example ``demo``. A
        ``Config`` is returned with the overrides applied.
    overrides : iterable of str, optional
        Settings as ``key=value``, for example ``["training.epochs=3", "data.store=/tmp/store"]``;
        values are YAML.

    Returns
    -------
    Config
        The settings, including all defaults.

    Raises
    ------
    ConfigError
        If the file does not exist or is not YAML, if its bases are circular, if a setting is
        unknown or its value cannot be used, if the config is of a classical baseline, or if it has
        a ``tuning`` section.

    Examples
    --------
    >>> import depmm
    >>> config = depmm.load_config("demo", ["training.epochs=3"])
    >>> config.training.epochs
    3
    """
    experiment = load_experiment(config, overrides)
    if not isinstance(experiment, Config):
        raise ConfigError(
            f"{experiment.name} is the config of a classical baseline, not of a network.",
            setting="classical",
            file=_file_of(config),
            remedy="Cross-validate it: depmm cross-validate CONFIG.",
        )
    if experiment.tuning is not None:
        raise ConfigError(
            f"{experiment.name} has a tuning section, which only cross-validation supports.",
            setting="tuning",
            file=_file_of(config),
            remedy="Cross-validate it: depmm cross-validate CONFIG (split.kind=official has one "
            "fold); or give the settings and tuning=null.",
        )
    return experiment


def load_experiment(
    config: Experiment | Path | str, overrides: Iterable[str] | None = None
) -> Experiment:
    """Read the config of a network or of a classical baseline.

    Every candidate of a ``tuning`` section is validated as if it were given as overrides.

    Parameters
    ----------
    config : Path, str, Config or ClassicalConfig
        The YAML file, or the name of a config included in depmm. A config is returned with the
        overrides applied.
    overrides : iterable of str, optional
        Settings as ``key=value``.

    Returns
    -------
    Config or ClassicalConfig
        A ``ClassicalConfig`` if there is a ``classical`` section.

    Raises
    ------
    ConfigError
        As ``load_config``, and if a candidate of the tuning changes a setting that all candidates
        share.
    """
    file: Path | None = None
    if isinstance(config, Experiment):
        source, values = config.name, config.model_dump()
    else:
        file = find_config(config)
        source, values = str(file), read_with_bases(file)
    overrides = list(overrides or [])
    values = merge_overrides(values, overrides)
    # only one of the two kinds of experiments has each of these sections
    for section in ("classical", "model", "training"):
        if values.get(section) is None:
            values.pop(section, None)
    kind = ClassicalConfig if "classical" in values else Config
    try:
        experiment = kind.model_validate(values)
    except ValidationError as error:
        raise config_error(error, kind, source, file=file, overrides=overrides) from None
    _check_candidates(experiment, source, file)
    return experiment


def override_settings(config: ExperimentT, settings: Mapping[str, Any]) -> ExperimentT:
    """Return a copy of a config with other settings, validated again.

    Parameters
    ----------
    config : Config or ClassicalConfig
        The config; it is not changed.
    settings : mapping of str to object
        Values by dotted name, for example ``{"training.learning_rate": 0.01}``.

    Returns
    -------
    Config or ClassicalConfig
        A new config of the same type.

    Raises
    ------
    ConfigError
        If a setting is unknown, its value cannot be used, or it contradicts another one.
    """
    values = merge_named(config.model_dump(), settings)
    try:
        return type(config).model_validate(values)
    except ValidationError as error:
        raise config_error(error, type(config), format_overrides(settings)) from None


def format_overrides(settings: Mapping[str, Any]) -> str:
    """Format settings as overrides of the command line.

    Parameters
    ----------
    settings : mapping of str to object
        Values by dotted name.

    Returns
    -------
    str
        ``key=value key=value``, values in YAML.
    """
    texts = [
        yaml.safe_dump(value, default_flow_style=True, width=float("inf"), allow_unicode=True)
        for value in settings.values()
    ]
    # yaml.safe_dump ends a scalar with a second line "..."
    return " ".join(f"{k}={text.splitlines()[0]}" for k, text in zip(settings, texts, strict=True))


def parse_overrides(text: str, names: Iterable[str]) -> dict[str, Any]:
    """Read what ``format_overrides`` has written.

    Parameters
    ----------
    text : str
        ``key=value key=value``; a value may contain spaces.
    names : iterable of str
        The keys in their order.

    Returns
    -------
    dict of str to object
        Values by dotted name.

    Examples
    --------
    >>> parse_overrides("data.modalities=[audio, face] seed=3", ["data.modalities", "seed"])
    {'data.modalities': ['audio', 'face'], 'seed': 3}
    """
    keys = list(names)
    values = {}
    for name, following in zip(keys, [*keys[1:], None], strict=True):
        raw = text.removeprefix(f"{name}=")
        if following is not None:
            raw, _, rest = raw.partition(f" {following}=")
            text = f"{following}={rest}"
        values[name] = load_yaml(raw)
    return values


def dump_config(config: Experiment) -> str:
    """Format a config as YAML, including all defaults.

    Parameters
    ----------
    config : Config or ClassicalConfig
        The config.

    Returns
    -------
    str
        YAML that ``load_experiment`` reads.
    """
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def read_with_bases(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Read a config file with its bases, without a check of its settings.

    Parameters
    ----------
    path : Path
        The file.
    seen : tuple of Path, optional
        Files that have it as a base.

    Returns
    -------
    dict
        The sections.

    Raises
    ------
    ConfigError
        If a file cannot be read, is not a mapping, or the bases are circular.
    """
    if path.resolve() in seen:
        chain = " -> ".join(map(str, [*seen, path.resolve()]))
        raise ConfigError(f"{path}: its bases are circular ({chain}).", setting="base", file=path)
    try:
        check_size(path)
        values = load_yaml(read_text(path))
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}). Check the path.", file=path
        ) from None
    except YamlError as error:
        where = path if error.line is None else f"{path}, line {error.line}"
        raise ConfigError(
            f"{where}: {error}.", file=path, line=error.line, remedy=error.remedy
        ) from None
    if not isinstance(values, dict):
        raise ConfigError(
            f"{path}: a config must be a mapping of sections, but this file contains a "
            f"{type(values).__name__}.",
            file=path,
            value=values,
            remedy="Correct the file, or give another one.",
        )
    base = values.pop("base", None)
    if base is None:
        return values
    return merge_settings(
        read_with_bases(find_base(str(base), path.parent), (*seen, path.resolve())), values
    )


def _file_of(config: Experiment | Path | str) -> Path | None:
    return None if isinstance(config, Experiment) else find_config(config)


def _check_candidates(config: Experiment, source: str, file: Path | None) -> None:
    """Reject invalid and duplicate candidates, and changes of settings that candidates share."""
    if config.tuning is None:
        return
    where = "tuning.grid" if config.tuning.grid else "tuning.space"
    seen: list[Experiment] = []
    for settings in config.tuning.candidates or config.tuning.extremes:
        prefix = f"{source}: {where}: {format_overrides(settings)}"
        try:
            candidate = override_settings(config, settings)
        except ConfigError as error:
            located = ConfigError(
                f"{source}: {where}: {error}",
                setting=error.setting,
                file=file,
                value=error.value,
            )
            located.remedy = error.remedy
            raise located from None
        if candidate in seen and config.tuning.grid:
            raise ConfigError(
                f"{prefix} occurs twice. Remove one of the equal values.",
                setting="tuning.grid",
                file=file,
                value=settings,
            )
        seen.append(candidate)
        for name in FIXED_IN_TUNING:
            if _get(candidate, name) != _get(config, name):
                raise ConfigError(
                    f"{prefix} changes {name}, but all candidates share subjects, target, "
                    "evaluation and devices. Tune settings of model, training, classical or the "
                    "rest of data.",
                    setting=name,
                    file=file,
                    value=settings,
                )


def _get(config: Any, name: str) -> Any:
    for part in name.split("."):
        config = getattr(config, part, None)
    return config
