"""The error of a damaged file of a run or manifest, with the remedy for its kind of file."""

from pathlib import Path

from depmm.errors import DepmmError
from depmm.schemas.explanations import EXPLANATIONS

SUMS_FILE = "SHA256SUMS"
_INDEX, _AUDIT, _EXPLAIN = (f"run depmm {name} again" for name in ("index", "audit", "explain"))
_RESTART = "delete the folder of the checkpoints and start the training again"
_AGAIN = {
    **dict.fromkeys(("sessions.parquet", "steps.parquet", "features.parquet"), _INDEX),
    "index.json": _INDEX,
    "corpora.json": f"{_INDEX} (in a run: delete the folder of the run and train it again)",
    **dict.fromkeys((schema.file for schema in EXPLANATIONS.values()), _EXPLAIN),
    "step_reference.safetensors": "delete it and run depmm explain again",
    "recordings.parquet": _AUDIT,
    "audit.json": f"{_AUDIT} (in a run: delete the folder of the run and train it again)",
    "session_properties.parquet": f"{_AUDIT} (in a run: delete it to evaluate without it)",
    **dict.fromkeys(("best.safetensors", "last.safetensors"), _RESTART),
    "metrics.json": "run depmm evaluate again",
}
_TRAIN = "delete the folder of the run and train it again"


class DamagedFileError(DepmmError):
    """A file of a run or manifest that is damaged, or is not what its name says."""


def remedy_for(path: Path) -> str:
    """Write the remedy for a damaged file of a run or manifest.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    str
        One sentence.
    """
    folder = path.parent
    if any((place / "export.json").is_file() for place in (folder, folder.parent)):
        return "Copy or download the exported folder again."
    return f"Restore the file from a copy, or {_AGAIN.get(path.name, _TRAIN)}."


def damaged(
    path: Path, reason: str, line: int | None = None, changed: bool = False
) -> DamagedFileError:
    """Build the error of a file that cannot be used, with the remedy for its kind of file.

    Parameters
    ----------
    path : Path
        The file.
    reason : str
        What is wrong with it.
    line : int, optional
        Line with the fault, counted from 1.
    changed : bool, default False
        Whether the file does not match its checksum.

    Returns
    -------
    DamagedFileError
        The error, to be raised.
    """
    remedy = remedy_for(path)
    if changed:
        remedy += (
            f" If you changed it on purpose, remove its line from {path.with_name(SUMS_FILE)}."
        )
    return DamagedFileError(f"{path}: {reason}.", file=path, line=line, value=reason, remedy=remedy)
