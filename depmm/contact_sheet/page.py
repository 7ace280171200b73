"""The pages of a contact sheet: sessions ordered from the worst to the best, with filters."""

import base64
import hashlib
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from depmm.contact_sheet.problems import KINDS
from depmm.contact_sheet.session_entry import SessionEntry, make_entry
from depmm.contact_sheet.stored_sessions import (
    ContactSheetError,
    StoredSessions,
    list_stored_sessions,
)
from depmm.corpora.manifest import Manifest
from depmm.errors import count_of
from depmm.files.writing import write_text
from depmm.pages.templates import templates
from depmm.progress import track

SESSIONS_PER_PAGE = 200  # about 25 kB each
GENERATOR = '<meta name="generator" content="depmm look">'  # marks pages of this module
_PACKAGE = "depmm.contact_sheet"


def write_contact_sheet(
    store: str,
    page: Path,
    manifest: Manifest | None = None,
    settings_hash: str | None = None,
) -> list[str]:
    """Write the contact sheet of a store.

    Parameters
    ----------
    store : str
        Folder or URL of the store.
    page : Path
        The page, ``.html``; with more than 200 sessions, further pages are written beside it, for
        example ``sheet-2.html``.
    manifest : Manifest, optional
        See :func:`~depmm.contact_sheet.stored_sessions.list_stored_sessions`.
    settings_hash : str, optional
        Hash of the extraction settings; default: that of most sessions.

    Returns
    -------
    list of str
        The number of sessions of each problem, and the paths of the pages.

    Raises
    ------
    ContactSheetError
        If the store has no sessions, or a page would overwrite another file.
    StoreError
        If a table of the store is damaged.
    """
    _check_page(page)
    sessions = list_stored_sessions(store, manifest, settings_hash)
    keys = track(sessions.keys, "look", "sessions")
    entries = sorted((make_entry(sessions, key) for key in keys), key=lambda entry: entry.rank)
    parts = [
        entries[start : start + SESSIONS_PER_PAGE]
        for start in range(0, max(1, len(entries)), SESSIONS_PER_PAGE)
    ]
    paths = [_page_path(page, number) for number in range(1, len(parts) + 1)]
    for path in paths[1:]:
        _check_page(path)
    counts = count_problems(entries)
    for number, (path, part) in enumerate(zip(paths, parts, strict=True)):
        write_text(path, _render(sessions, part, number, paths, counts, len(entries)))
    _remove_further_pages(page, len(paths))
    good = sum(not entry.problems for entry in entries)
    lines = [f"{count_of(len(entries), 'session')}, {good} without a problem"]
    lines += [f"  {KINDS[kind][0]}: {count}" for kind, count in counts.items()]
    return [*lines, *map(str, paths)]


def count_problems(entries: Sequence[SessionEntry]) -> dict[str, int]:
    """Count the sessions with each kind of problem.

    Parameters
    ----------
    entries : sequence of SessionEntry
        The sessions.

    Returns
    -------
    dict of str to int
        Names of ``KINDS`` that occur, in their order.
    """
    found = Counter(
        kind for entry in entries for kind in {problem.kind for problem in entry.problems}
    )
    return {kind: found[kind] for kind in KINDS if found[kind]}


def _render(
    sessions: StoredSessions,
    entries: Sequence[SessionEntry],
    number: int,
    paths: Sequence[Path],
    counts: dict[str, int],
    n_sessions: int,
) -> str:
    script = files(_PACKAGE).joinpath("contact_sheet.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return templates(_PACKAGE).get_template("contact_sheet.html.jinja").render(
        title="Contact sheet",
        generator=GENERATOR,
        script=script,
        digest=digest,
        entries=entries,
        kinds=KINDS,
        counts=counts,
        on_page=count_problems(entries),
        corpora=sorted({entry.key[0] for entry in entries}),
        n_sessions=n_sessions,
        first=number * SESSIONS_PER_PAGE + 1,
        number=number,
        pages=[path.name for path in paths],
        settings_hash=sessions.store.settings_hash,
        other_settings={
            name: count
            for name, count in sessions.hashes.items()
            if name != sessions.store.settings_hash
        },
    )  # fmt: skip


def _page_path(page: Path, number: int) -> Path:
    return page if number == 1 else page.with_name(f"{page.stem}-{number}{page.suffix}")


def _check_page(page: Path) -> None:
    """Refuse a page that cannot be written, or that would overwrite an unrelated file."""
    if page.suffix.lower() not in (".html", ".htm") or page.is_dir():
        raise ContactSheetError(
            f"{page}: not the name of a page.",
            setting="out",
            file=page,
            value=str(page),
            remedy="Give a file that ends in .html.",
        )
    if page.exists() and not _is_contact_sheet(page):
        raise ContactSheetError(
            f"{page} exists and is not a contact sheet of depmm; it is not overwritten.",
            setting="out",
            file=page,
            remedy="Give another name.",
        )


def _is_contact_sheet(page: Path) -> bool:
    with page.open("rb") as file:
        return GENERATOR in file.read(400).decode("utf-8", errors="replace")


def _remove_further_pages(page: Path, n_pages: int) -> None:
    """Remove pages of an earlier sheet that had more pages."""
    number = n_pages + 1
    while (path := _page_path(page, number)).is_file() and _is_contact_sheet(path):
        path.unlink()
        number += 1
