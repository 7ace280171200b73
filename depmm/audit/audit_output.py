"""Write the files of an audit: JSON, page and tables."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path

import pandas as pd
from pandas.api.types import is_numeric_dtype

from depmm.audit.audit import Audit
from depmm.audit.checks import FINDING_NAMES
from depmm.audit.findings import SessionProperties
from depmm.audit.saved_audit import SCHEMA_VERSION, AuditContent, manifest_sha256
from depmm.audit.session_properties import MAX_CATEGORIES, property_names
from depmm.files.checksums import remove, write_table, write_text
from depmm.schemas.audit import SESSION_PROPERTIES
from depmm.schemas.manifest import SESSION_KEY
from depmm.schemas.recordings import RECORDINGS


def write_audit(audit: Audit, out: Path, manifests: Sequence[Path]) -> None:
    """Write ``audit.json`` and ``audit.html``.

    Parameters
    ----------
    audit : Audit
        Result of all checks.
    out : Path
        Folder, created if missing.
    manifests : sequence of Path
        Folders of the audited manifests.
    """
    skipped_names = {name for skipped in audit.not_checked for name in skipped.checks}
    content: AuditContent = {
        "schema_version": SCHEMA_VERSION,
        "passed": audit.passed,
        "verdict": audit.verdict,
        "allow": list(audit.allow),
        "manifests": [{"folder": str(path), "sha256": manifest_sha256(path)} for path in manifests],
        "findings": [asdict(finding) for finding in audit.findings],
        "class_counts": [asdict(counts) for counts in audit.class_counts],
        "not_checked": [asdict(skipped) for skipped in audit.not_checked],
        "recordings": [asdict(distribution) for distribution in audit.recordings],
        "checks": [name for name in FINDING_NAMES if name not in skipped_names],
    }
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "audit.json", json.dumps(content, indent=1, allow_nan=False) + "\n")
    write_text(out / "audit.html", _page(audit, manifests))


def write_properties(properties: SessionProperties, out: Path) -> None:
    """Write ``session_properties.parquet``, which training copies into runs.

    It is restricted like the manifest. Names of files are left out, because models do not read
    them, and so is text with many values: names and free text.

    Parameters
    ----------
    properties : SessionProperties
        Properties of the sessions.
    out : Path
        Folder of the audit.
    """
    table = properties.table
    kept = [
        name
        for name in property_names(table)
        if not name.startswith("file_name.")
        and table[name].notna().any()
        and (is_numeric_dtype(table[name]) or table[name].nunique() <= MAX_CATEGORIES)
    ]
    table = table[[*SESSION_KEY, *kept]]
    SESSION_PROPERTIES.check(table)
    write_table(out / SESSION_PROPERTIES.file, table)


def write_recordings(table: pd.DataFrame | None, out: Path) -> None:
    """Write ``recordings.parquet``, or remove that of an earlier audit.

    Parameters
    ----------
    table : DataFrame or None
        ``table`` of :class:`depmm.audit.findings.RecordingStatistics`; None if the recordings were
        not read.
    out : Path
        Folder of the audit.
    """
    path = out / RECORDINGS.file
    if table is None:
        remove(path)
        return
    rows = table.reset_index()
    RECORDINGS.check(rows)
    write_table(path, rows)


def _page(audit: Audit, manifests: Sequence[Path]) -> str:
    """Render the template with escaped values."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = files("depmm.audit").joinpath("audit.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(source).render(audit=audit, manifests=manifests)
