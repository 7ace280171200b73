"""Explain a trained run: tables of attention, attributions and their faithfulness.

Sessions are read in batches and encoded once; memory does not grow with their number.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet
import torch

from depmm.config import SplitConfig, load_config
from depmm.corpora.manifest import read_manifest
from depmm.data.batch import SessionLoader
from depmm.data.experiment_data import ExperimentData, load_experiment_data
from depmm.data.precompute import ensure_embeddings
from depmm.device import choose_device, float32_precision
from depmm.files.locks import locked_folder
from depmm.interpret.attribution.explain_sessions import BATCH_SIZE, check_choice, explain_sessions
from depmm.interpret.attribution.methods import (
    GRAD_CAM,
    OCCLUSION,
    REGION_OCCLUSION,
    SESSION,
    SIGNAL_METHODS,
    STEP_METHODS,
    TRAINING,
)
from depmm.interpret.attribution.parquet_stream import ParquetStream
from depmm.interpret.attribution.tested_labels import warn_of_lost_sessions, with_tested_labels
from depmm.models.model import DepressionModel
from depmm.runs.folder import RunFolder, find_model_folders, list_classical_folders
from depmm.runs.moved import check_locations, check_manifest
from depmm.runs.step_reference import (
    StepReference,
    load_step_reference,
    measure_step_reference,
)
from depmm.schemas.explanations import CLASSICAL_TABLES, EXPLANATIONS

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExplainReport:
    """Summary of the files that ``explain`` wrote.

    Attributes
    ----------
    folder : Path
        Folder of the run, which contains the tables.
    rows : dict of str to int
        Number of rows of each table that was written, by the name of the table.
    absent : dict of str to str
        Reason why each of the other tables was not written.
    page : Path or None
        The explorer, if it was requested.
    """

    folder: Path
    rows: dict[str, int]
    absent: dict[str, str]
    page: Path | None = None


def explain(
    run: Path | str,
    split: str = "test",
    methods: Sequence[str] = (),
    html: bool = False,
    reference: str = TRAINING,
    overrides: Iterable[str] | None = None,
) -> ExplainReport:
    """Explain the predictions of a run for the sessions of one split.

    All models of a cross-validation are explained, each for the split of its fold, on the device
    that ``depmm.device.choose_device`` chooses. Tables of an earlier explanation are
    replaced.

    Parameters
    ----------
    run : Path or str
        Folder of a trained run.
    split : {"test", "train", "validation"}, default "test"
        Split of the sessions.
    methods : sequence of str, optional
        Methods in addition to occlusion: ``permutation``, ``integrated_gradients`` and
        ``shapley`` attribute to steps, ``grad_cam`` to regions of the face and the voice, and
        ``region_occlusion`` to regions of the face.
    html : bool, default False
        Whether to write ``explorer.html`` as well. It contains subject ids.
    reference : {"training", "session"}, default "training"
        What replaces removed steps: the training subjects' mean of the same word (or, for steps
        without a word, of the same step index or of all steps), or the mean of the session, to
        which the attributions are then relative. ``permutation`` always replaces steps by other
        steps of the session.
    overrides : iterable of str, optional
        ``data.manifest=FOLDER`` and ``data.store=FOLDER``: where the data of a moved run are.

    Returns
    -------
    ExplainReport
        The tables that were written into the folder of the run; ``depmm.schemas.explanations``
        describes their columns.

    Raises
    ------
    ExplanationError
        If a method or reference is unknown, the split has no session, or no encoder allows
        Grad-CAM.
    RunError
        If the folder holds no finished run.
    LockedError
        If another process explains the run.

    Examples
    --------
    >>> import depmm
    >>> report = depmm.explain("runs/demo")
    >>> "attributions" in report.rows
    True
    """
    run, device, moved = Path(run), choose_device(), check_locations(overrides)
    check_choice("reference", reference, (TRAINING, SESSION))
    if classical := list_classical_folders(run):
        return _explain_classical(run, classical, split, methods, html, moved)
    folders = find_model_folders(run)
    with locked_folder(run, "explain"):
        return _explain(run, folders, split, methods, html, reference, device, moved)


def _explain_classical(
    run: Path,
    folders: Sequence[RunFolder],
    split: str,
    methods: Sequence[str],
    html: bool,
    moved: list[str],
) -> ExplainReport:
    from depmm.interpret.attribution.classical import explain_classical, refuse_options

    refuse_options(run, methods, html)
    with locked_folder(run, "explain"):
        rows = explain_classical(run, folders, split, moved)
    absent = {"measure_weights": "the model is not linear in its measures"}
    return ExplainReport(run, rows, {} if "measure_weights" in rows else absent)


def _explain(
    run: Path,
    folders: Sequence[RunFolder],
    split: str,
    methods: Sequence[str],
    html: bool,
    reference: str,
    device: torch.device,
    moved: list[str],
) -> ExplainReport:
    changed = check_manifest(folders[0], moved)
    _warn_of_earlier_methods(run, methods)
    before = {name for name in EXPLANATIONS if (run / f"{name}.parquet").is_file()}
    with ParquetStream(run, list(EXPLANATIONS.values())) as stream:
        for folder in folders:
            config = load_config(folder.config, moved)
            # the split of the training, even if the manifest has changed since
            trained_split = SplitConfig(kind="file", file=folder.split)
            data = load_experiment_data(config.model_copy(update={"split": trained_split}))
            warn_of_lost_sessions(data, folder, [split])
            if changed and config.target.kind == "binary":
                data = with_tested_labels(data, folder)
            steps = read_manifest(config.data.manifest).steps
            model = DepressionModel.from_pretrained(folder.path).to(device)
            with float32_precision("highest", device):
                if not set(SIGNAL_METHODS) & set(methods):
                    data = ensure_embeddings(model.encoders, data, device)
                means = None
                if reference == TRAINING:
                    means = _get_step_reference(folder, model, data, device)
                fold, seed = config.split.fold, config.seed
                for tables in explain_sessions(
                    model, data, steps, split, fold, seed, methods, means
                ):
                    stream.write(tables)
    fusion = config.model.fusion.kind
    absent = {
        name: ("removed, it was of an earlier call: " if name in before else "")
        + _absence_reason(name, fusion)
        for name in EXPLANATIONS
        if name not in stream.rows and name not in CLASSICAL_TABLES
    }
    page = None
    if html:
        from depmm.interpret.query.explorer import write_explorer

        page = write_explorer(run)
    return ExplainReport(run, stream.rows, absent, page)


def _warn_of_earlier_methods(run: Path, methods: Sequence[str]) -> None:
    """Name the methods of an earlier call whose results this call replaces."""
    path = run / "attributions.parquet"
    if not path.is_file() or path.is_symlink():
        return
    try:
        columns = set(pyarrow.parquet.read_schema(path).names)
    except (pyarrow.ArrowException, OSError):  # damaged: it is replaced
        return
    kept = {OCCLUSION.name, *methods}
    lost = [method.name for method in STEP_METHODS if method.name in columns - kept]
    if lost:
        logger.warning(
            "%s: the attributions of an earlier call by %s are removed, because this call has "
            "other methods. To keep them, end it and add --method %s.",
            path,
            ", ".join(lost),
            " --method ".join(lost),
        )


def _get_step_reference(
    folder: RunFolder, model: DepressionModel, data: ExperimentData, device: torch.device
) -> StepReference:
    """Read the mean steps of the training subjects; measure and store them if there is no file."""
    if folder.step_reference.is_file():
        return load_step_reference(folder.step_reference, model)
    loader = SessionLoader(data.dataset, device)
    means = measure_step_reference(model.eval(), data, loader, BATCH_SIZE)
    means.save(folder.step_reference)
    return means


def _absence_reason(table: str, fusion: str) -> str:
    match table:
        case "faithfulness":
            return (
                "it compares methods of steps in sessions of several steps; request one with "
                "--method, for example shapley"
            )
        case "region_attributions":
            return f"request it with --method {GRAD_CAM}"
        case "region_occlusion":
            return f"request it with --method {REGION_OCCLUSION}"
        case _:
            return f"the fusion {fusion} has no attention over steps"
