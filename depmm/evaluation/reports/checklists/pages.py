"""Pages of a filled checklist: HTML and Markdown beside the report."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from depmm.evaluation.reports.checklists.items import Evidence, fill_items
from depmm.evaluation.reports.checklists.reforms import REFORMS
from depmm.evaluation.reports.checklists.tripod_ai import TRIPOD_AI
from depmm.evaluation.reports.rendering import render
from depmm.files.writing import write_text

CHECKLISTS = {checklist.name: checklist for checklist in (TRIPOD_AI, REFORMS)}


def write_checklists(
    names: Iterable[str], evidence: Evidence, report: Path, run: Path, title: str
) -> None:
    """Write ``checklist_<name>.html`` and ``.md``.

    Parameters
    ----------
    names : iterable of str
        Keys of ``CHECKLISTS``.
    evidence : Evidence
        What is recorded about the run.
    report : Path
        Folder of the report, to which the pages are written.
    run : Path
        Folder of the run, to whose files the pages link.
    title : str
        Name of the run.
    """
    to_run = Path(os.path.relpath(run.resolve(), report.resolve())).as_posix()
    for name in names:
        checklist = CHECKLISTS[name]
        rows = fill_items(checklist, evidence)
        counts = {
            status: sum(row.status == status for row in rows)
            for status in ("filled", "filled in part", "yours to write")
        }
        values: dict[str, Any] = {
            "title": f"{checklist.title}: {title}",
            "checklist": checklist,
            "rows": rows,
            "counts": counts,
            "link": lambda place: _link(place, to_run),
        }
        stem = f"checklist_{name.replace('-', '_')}"
        for suffix in ("html", "md"):
            text = render(f"checklist.{suffix}.jinja", **values)
            write_text(report / f"{stem}.{suffix}", f"{text.rstrip()}\n")


def find_anchors(page: Path) -> frozenset[str]:
    """Find the ids of the elements of a page.

    Parameters
    ----------
    page : Path
        An HTML file.

    Returns
    -------
    frozenset of str
        The ids.
    """
    return frozenset(re.findall(r'\sid="([^"]+)"', page.read_text(encoding="utf-8")))


def _link(place: str, to_run: str) -> str:
    """Return the address of a place, relative to the folder of the report."""
    file, _, fragment = place.partition("#")
    if file == "report.html":
        return f"report.html#{fragment}"
    return file if to_run == "." else f"{to_run}/{file}"
