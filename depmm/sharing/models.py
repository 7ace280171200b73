"""Choice of the models of a run that an export contains."""

from pathlib import Path

from depmm.config import Experiment, load_experiment
from depmm.runs.folder import RunFolder, find_model_folders, list_classical_folders
from depmm.sharing.errors import SharingError

Model = tuple[RunFolder, Experiment]


def choose_models(run: Path, fold: str | None, seed: int | None) -> list[Model]:
    """Choose one model of a run, or all of them.

    Parameters
    ----------
    run : Path
        Folder of a run or of a cross-validation.
    fold : str or None
        Index of a fold, ``"all"``, or None for a run of one model.
    seed : int or None
        Seed of the models.

    Returns
    -------
    list of tuple
        Folder and config of each chosen model.

    Raises
    ------
    RunError
        If the folder contains no trained model.
    SharingError
        If its training is not finished, there are several models and none is chosen, or the chosen
        one does not exist.
    """
    folders = list_classical_folders(run) or find_model_folders(run)
    models = [(folder, load_experiment(folder.config)) for folder in folders]
    pooled = RunFolder(run)
    for unfinished in (*folders, pooled):
        if not unfinished.finished:
            raise SharingError(
                f"{unfinished.path}: the training is not finished.",
                file=unfinished.path,
                remedy="Run the same training command again; it goes on where it ended.",
            )
    kept = [
        (folder, config)
        for folder, config in models
        if seed in (None, config.seed) and fold in (None, "all", str(config.split.fold))
    ]
    names = ", ".join(f"fold {c.split.fold} of seed {c.seed}" for _, c in models)
    if not kept:
        raise SharingError(
            f"{run} has no model{_describe(fold, seed, ' of ')}. Its models: {names}.",
            file=run,
            setting="fold" if fold is not None else "seed",
            value=fold if fold is not None else seed,
            remedy="Choose one of them.",
        )
    if len(kept) > 1 and fold != "all":
        raise SharingError(
            f"{run} is a cross-validation of {len(models)} models ({names}): "
            f"{len(kept)} of them can be exported{_describe(fold, seed, ' with ')}.",
            file=run,
            setting="seed" if fold is not None else "fold",
            value=names,
            remedy="Give --fold all to export all models, whose predictions are averaged for a "
            "new recording, or choose one with --fold INDEX (and --seed SEED if there are several "
            "seeds).",
        )
    return kept


def _describe(fold: str | None, seed: int | None, preposition: str) -> str:
    parts = []
    if fold is not None and fold != "all":
        parts.append(f"fold {fold}")
    if seed is not None:
        parts.append(f"seed {seed}")
    return preposition + " and ".join(parts) if parts else ""
