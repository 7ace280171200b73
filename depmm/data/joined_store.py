"""A store that consists of the stores of several corpora.

The sessions of a corpus are in a folder of their own inside a store. A joined store has one link
per corpus, and an index and the failures of all sessions, so that no session is copied.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from depmm.config import ExtractConfig
from depmm.schemas.store import FAILURES, INDEX
from depmm.store.errors import StoreError
from depmm.store.index import read_failures, read_index
from depmm.store.sessions import SessionStore
from depmm.store.tables import write_table


def join_stores(locations: Mapping[str, str], settings: ExtractConfig, folder: Path) -> str:
    """Join the stores of several corpora.

    Parameters
    ----------
    locations : mapping of str to str
        Store of each corpus, by corpus id: a folder or URL.
    settings : ExtractConfig
        Extraction settings, the same for all corpora.
    folder : Path
        Folder of the joined store; links of an earlier call are replaced.

    Returns
    -------
    str
        The joined store: ``folder``, or the common store if all corpora are in one.

    Raises
    ------
    StoreError
        If a store has no session of its corpus with these settings, or a store that must be joined
        is not on this computer.
    """
    rows, failures = [], []
    for corpus, location in locations.items():
        store = SessionStore(location, settings)
        index = read_index(store)
        index = index[index["corpus"] == corpus]
        if index.empty:
            raise StoreError(
                f"{location}: no session of {corpus} was extracted with the settings of this "
                f"config ({store.settings_hash}). Signals that were extracted with different "
                "settings cannot be compared.",
                setting="extract",
                file=location,
                value=corpus,
                remedy="Run depmm extract with --config CONFIG, or give another store.",
            )
        rows.append(index.assign(settings_hash=store.settings_hash))
        lost = read_failures(store)
        failures.append(lost[lost["corpus"] == corpus])
    result = joined_location(locations, folder)
    if result != str(folder):
        return result
    folder.mkdir(parents=True, exist_ok=True)
    joined = SessionStore(folder, settings)
    for corpus, location in locations.items():
        _link(corpus, SessionStore(location, settings), folder)
    write_table(joined, pd.concat(failures, ignore_index=True)[FAILURES.names], FAILURES.file)
    write_table(joined, pd.concat(rows, ignore_index=True)[INDEX.names], INDEX.file)
    return result


def joined_location(locations: Mapping[str, str], folder: Path) -> str:
    """Return where the joined store of several corpora is.

    Parameters
    ----------
    locations : mapping of str to str
        Store of each corpus.
    folder : Path
        Folder of the joined store.

    Returns
    -------
    str
        ``folder``, or the common store if all corpora are in one.
    """
    return next(iter(locations.values())) if len(set(locations.values())) == 1 else str(folder)


def _link(corpus: str, store: SessionStore, folder: Path) -> None:
    if not store.is_local:
        raise StoreError(
            f"{store.url}: stores of several corpora are joined on this computer only.",
            setting="data.store",
            file=store.url,
            value=store.url,
            remedy="Extract all corpora into one store, which may be anywhere.",
        )
    link, target = folder / corpus, Path(store.root).resolve() / corpus
    if link.is_symlink():
        link.unlink()
    link.symlink_to(target, target_is_directory=True)
