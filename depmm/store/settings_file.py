"""Settings with which a store was made, for the errors of configs that have others.

The names of the files of a store contain a hash of the settings, from which they cannot be read. A
store has a file ``settings.<hash>.json`` for every settings with which it was extracted.
"""

import json
from typing import Any

from depmm.store.errors import StoreError
from depmm.store.sessions import SessionStore

MAX_DIFFERENCES = 4  # that an error lists
MAX_BYTES = 1_000_000


def record_settings(store: SessionStore) -> None:
    """Write the settings of a store into its folder, if they are not there.

    Parameters
    ----------
    store : SessionStore
        The store.

    Raises
    ------
    StoreWriteError
        If the store cannot be written.
    """
    path = _path(store, store.settings_hash)
    if not store.filesystem.exists(path):
        text = json.dumps(store.settings.model_dump(mode="json"), indent=1) + "\n"
        store.put_bytes(text.encode(), path)


def other_settings_error(store: SessionStore, hashes: list[str]) -> StoreError:
    """Build the error of a store whose sessions were all extracted with other settings.

    Parameters
    ----------
    store : SessionStore
        The store, with the settings of the config.
    hashes : list of str
        Hashes of the settings of its sessions, at least one.

    Returns
    -------
    StoreError
        The error, to be raised; it lists the differences of the most similar settings.
    """
    wanted = _flatten(store.settings.model_dump(mode="json"))
    candidates = []
    for name in hashes:
        if (found := _read(store, name)) is not None:
            flat = _flatten(found)
            different = [k for k in {**wanted, **flat} if wanted.get(k) != flat.get(k)]
            candidates.append((len(different), different, flat))
    if candidates:
        _, different, flat = min(candidates, key=lambda item: item[0])
        parts = [
            f"{key} {_show(flat, key)} in the store, {_show(wanted, key)} in the config"
            for key in different[:MAX_DIFFERENCES]
        ]
        further = len(different) - len(parts)
        problem = "; ".join(parts) + (f"; and {further} more" if further else "")
        setting = different[0] if different else "extract"
        if not different:
            problem = "another version of depmm has written it"
    else:
        setting = "extract"
        problem = "the store does not say which (another version of depmm has written it)"
    return StoreError(
        f"{store.url}: the store was made with other settings: {problem}.",
        setting=setting,
        file=store.url,
        value=None if setting == "extract" else wanted.get(setting),
        remedy="Give the settings of the store to the config, or run depmm extract with --config "
        "CONFIG.",
    )


def _path(store: SessionStore, name: str) -> str:
    return f"{store.root}/settings.{name}.json"


def _read(store: SessionStore, name: str) -> dict[str, Any] | None:
    """Read settings; None where they are missing or damaged."""
    path = _path(store, name)
    try:
        if store.filesystem.size(path) > MAX_BYTES:
            return None
        content = json.loads(store.filesystem.cat_file(path))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _flatten(settings: dict[str, Any], prefix: str = "extract") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{prefix}.{key}"
        flat |= _flatten(value, name) if isinstance(value, dict) else {name: value}
    return flat


def _show(flat: dict[str, Any], key: str) -> str:
    value = flat.get(key, "not set")
    return f"{value:g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)[:60]
