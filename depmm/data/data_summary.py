"""``data_summary.json`` of a run: how much of the recordings is read, and the data flow.

It contains numbers only, no ids, so that it stays with a run that is shared. It is measured by
``depmm.data.data_flow``, and read without torch.
"""

from pathlib import Path

from pydantic import Field, ValidationError

from depmm.config import Settings
from depmm.data.errors import DataError
from depmm.data.signals.used import UsedSignal
from depmm.files.checksums import read_bytes


class FlowStage(Settings):
    """Sessions that reach one stage of a study."""

    name: str = Field(description="found, labelled, recorded, extracted or used")
    sessions: int = Field(description="number of sessions")
    subjects: int = Field(description="number of subjects")
    positive_sessions: int | None = Field(
        description="number of sessions with label 1; null if they are not known"
    )
    lost: dict[str, int] = Field(
        description="reason -> number of sessions that reach the previous stage but not this one"
    )


class ModalityCount(Settings):
    """Labelled sessions of one label with and without a modality."""

    modality: str = Field(description="the modality")
    label: int | None = Field(description="label; null for targets that are not binary")
    sessions: int = Field(description="number of labelled sessions")
    missing: int = Field(description="number of them without the modality in the store")


class DataFlow(Settings):
    """Sessions at each stage, from the corpus to the run."""

    stages: list[FlowStage] = Field(description="stages in their order")
    modalities: list[ModalityCount] = Field(description="missing modalities by label")
    not_indexed: dict[str, int] | None = Field(
        description="what depmm index left out of the manifest: number of failures, of missing "
        "files or rows, and of units that rules of the spec leave out; null without index.json"
    )


class DataSummary(Settings):
    """Facts about the data of a run, for its report."""

    used_signal: dict[str, UsedSignal] = Field(
        description="modality -> how much of the recordings is read"
    )
    flow: DataFlow = Field(description="sessions from the corpus to the run")


def read_data_summary(path: Path) -> DataSummary | None:
    """Read ``data_summary.json``.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    DataSummary or None
        The facts; None if the file does not exist.

    Raises
    ------
    DataError
        If the file cannot be read or contains something else.
    """
    if not path.exists():
        return None
    try:
        return DataSummary.model_validate_json(read_bytes(path))
    except (OSError, ValidationError) as error:
        cause = (
            str(error).splitlines()[-1] if isinstance(error, OSError) else error.errors()[0]["msg"]
        )
        raise DataError(
            f"{path}: cannot be read as the summary of the data of a run ({cause}).",
            file=path,
            remedy="Copy the file again from the original run, or delete it; the report is then "
            "without its content.",
        ) from None
