"""Change settings: by ``key=value``, by dotted name, and by another mapping of settings."""

from collections.abc import Iterable, Mapping
from typing import Any

from depmm.config.settings import ConfigError
from depmm.files.limited_yaml import MAX_DEPTH, YamlError, load_yaml


def merge_overrides(values: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Change settings.

    Parameters
    ----------
    values : dict
        The settings.
    overrides : iterable of str
        ``key=value``.

    Returns
    -------
    dict
        The changed settings.

    Raises
    ------
    ConfigError
        If an override is not of this form.
    """
    return merge_settings(values, _join(map(_parse_override, overrides)))


def merge_named(values: dict[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Change settings that are given by dotted name.

    Parameters
    ----------
    values : dict
        The settings.
    settings : mapping of str to object
        Dotted name -> value.

    Returns
    -------
    dict
        The changed settings.
    """
    return merge_settings(values, _join(_nest(name, value) for name, value in settings.items()))


def _join(changes: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Join changes: a kind replaces the section of a config, but not the changes before it."""
    joined: dict[str, Any] = {}
    for change in changes:
        joined = merge_settings(joined, change, kind_replaces=False)
    return joined


def merge_settings(
    base: dict[str, Any], change: dict[str, Any], kind_replaces: bool = True
) -> dict[str, Any]:
    """Override mapping by mapping.

    Parameters
    ----------
    base, change : dict
        Settings, and those that replace or are added to them.
    kind_replaces : bool, default True
        Whether a different ``kind`` replaces its whole section.

    Returns
    -------
    dict
        The changed settings.
    """
    merged = dict(base)
    for key, value in change.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            same_kind = value.get("kind", old.get("kind")) == old.get("kind")
            merge = same_kind or not kind_replaces
            merged[key] = merge_settings(old, value, kind_replaces) if merge else value
        else:
            merged[key] = value
    return merged


def _parse_override(text: str) -> dict[str, Any]:
    key, equals, raw = text.partition("=")
    shortened = repr(text) if len(text) <= 100 else f"{text[:100]!r}..."
    if not equals or not key:
        raise ConfigError(
            f"override {shortened}: write key=value, for example training.epochs=3.", value=text
        )
    if key.count(".") > MAX_DEPTH:
        raise ConfigError(
            f"override {shortened}: the key has {key.count('.') + 1} parts.",
            setting=key,
            value=text,
            remedy="Write key=value, for example training.epochs=3.",
        )
    try:
        value = load_yaml(raw)
    except YamlError as error:
        raise ConfigError(
            f"override {shortened}: {error}.", setting=key, value=raw, remedy=error.remedy
        ) from None
    if value == {}:
        raise ConfigError(
            f"override {shortened}: settings are changed one by one, so that none in braces change "
            "nothing.",
            setting=key,
            value=raw,
            remedy="Give the settings to change, or null for a section that can be left out.",
        )
    return _nest(key, value)


def _nest(key: str, value: Any) -> dict[str, Any]:
    first, *rest = key.split(".")
    return {first: _nest(".".join(rest), value) if rest else value}
