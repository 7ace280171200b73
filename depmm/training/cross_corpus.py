"""Train on some corpora and test on others.

Each row of the matrix is one training set. Its run is tested on every other corpus at once:
validation subjects, and with them the epoch, the threshold and the calibration, come from the
training corpora only. In the matrix of all pairs, the diagonal is the cross-validation within each
corpus.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from accelerate import Accelerator

from depmm.config import ConfigError, Experiment, load_experiment, override_settings
from depmm.corpora.joining import LabelDefinition, check_joint_target, restrict_target
from depmm.corpora.manifest import Manifest, concat_manifests, read_manifest, write_manifest
from depmm.corpora.subject_groups import join_pseudo_subjects
from depmm.data.joined_store import join_stores, joined_location
from depmm.errors import DepmmError, did_you_mean
from depmm.files.checksums import read_table, write_text
from depmm.files.csv_text import to_csv
from depmm.files.locks import locked_folder
from depmm.runs.folder import RunFolder
from depmm.runs.independence import check_independent, describe_audit
from depmm.schemas.manifest import SUBJECT_KEY
from depmm.training.cross_validation import cross_validate
from depmm.training.experiment import build_accelerator

logger = logging.getLogger(__name__)


class CrossCorpusError(DepmmError):
    """Corpora that cannot be trained and tested as requested."""


@dataclass(frozen=True)
class CorpusLocation:
    """Where a corpus is.

    Attributes
    ----------
    manifest : Path
        Folder of its manifest.
    store : str
        Folder or URL of its store.
    """

    manifest: Path
    store: str


@dataclass(frozen=True)
class TrainingSet:
    """One row of the matrix.

    Attributes
    ----------
    train : tuple of str
        Corpora of the training and validation subjects.
    test : tuple of str
        Corpora that are tested; equal to ``train`` for a cross-validation within a corpus.
    """

    train: tuple[str, ...]
    test: tuple[str, ...]

    @property
    def is_within(self) -> bool:
        """Whether a corpus is tested by cross-validation."""
        return self.train == self.test

    @property
    def name(self) -> str:
        """Name of the folder of the run."""
        return f"{'within' if self.is_within else 'train'}-{'-'.join(self.train)}"


@dataclass(frozen=True)
class CrossCorpusRuns:
    """Finished runs of a matrix.

    Attributes
    ----------
    path : Path
        Folder ``<out>/<name>``.
    config : Config or ClassicalConfig
        The experiment as given.
    rows : list of TrainingSet
        The training sets.
    labels : list of LabelDefinition
        What the classes of each corpus mean.
    notes : list of str
        What the corpora do not have in common.
    audits : dict of str to str
        Verdict of the audit of each corpus.
    """

    path: Path
    config: Experiment
    rows: list[TrainingSet]
    labels: list[LabelDefinition]
    notes: list[str]
    audits: dict[str, str] = field(default_factory=dict)

    def predictions(self, row: TrainingSet) -> pd.DataFrame:
        """Read the predictions of a training set, over all folds and seeds.

        Parameters
        ----------
        row : TrainingSet
            One of ``rows``.

        Returns
        -------
        DataFrame
            Content of ``predictions.parquet``.
        """
        return read_table(RunFolder(self.path / row.name).predictions)


def plan_rows(
    train: Sequence[str], test: Sequence[str], all_pairs: Sequence[str] = ()
) -> list[TrainingSet]:
    """List the training sets of an experiment.

    Parameters
    ----------
    train, test : sequence of str
        Corpora to train on and to test on, for a single training set.
    all_pairs : sequence of str, optional
        Corpora of the matrix of all pairs, instead of ``train`` and ``test``.

    Returns
    -------
    list of TrainingSet
        One training set; or for all pairs, one cross-validation and one training per corpus.

    Raises
    ------
    CrossCorpusError
        If corpora are missing, given twice, or in both groups.
    """
    if all_pairs and (train or test):
        raise CrossCorpusError(
            "Both --all-pairs and --train or --test are given.",
            setting="all_pairs",
            remedy="Give --all-pairs alone, or --train and --test.",
        )
    names = [*all_pairs, *train, *test]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise CrossCorpusError(
            f"The corpus {repeated[0]} is given twice.",
            setting="train",
            value=repeated[0],
            remedy="A corpus is either trained on or tested. A cross-validation within each corpus "
            "is part of --all-pairs.",
        )
    if all_pairs:
        if len(all_pairs) < 2:
            raise CrossCorpusError(
                "--all-pairs needs at least two corpora.", setting="all_pairs", value=all_pairs
            )
        rows = []
        for name in all_pairs:
            rows.append(TrainingSet((name,), (name,)))
            rows.append(TrainingSet((name,), tuple(other for other in all_pairs if other != name)))
        return rows
    if not train or not test:
        raise CrossCorpusError(
            "A training and a test corpus are needed.",
            setting="train",
            remedy="Give --train CORPUS,... and --test CORPUS,..., or --all-pairs CORPUS,...",
        )
    return [TrainingSet(tuple(train), tuple(test))]


def cross_corpus(
    config: Experiment | Path | str,
    rows: Sequence[TrainingSet],
    locations: Mapping[str, CorpusLocation] | None = None,
    overrides: Iterable[str] | None = None,
    seeds: Sequence[int] = (0,),
    audit: Path | None = None,
    accelerator: Accelerator | None = None,
) -> CrossCorpusRuns:
    """Train every training set and test it on the other corpora; finished runs are kept.

    Parameters
    ----------
    config : Config, ClassicalConfig, Path or str
        The experiment. Its manifest and store are replaced; its split is that of the
        cross-validations within a corpus, and its share of validation subjects, seed, groups and
        strata hold everywhere.
    rows : sequence of TrainingSet
        From :func:`plan_rows`.
    locations : mapping of str to CorpusLocation, optional
        Manifest and store by corpus; default: ``corpora/NAME/manifest`` and ``stores/NAME``.
    overrides : iterable of str, optional
        Settings as ``key=value``.
    seeds : sequence of int, default (0,)
        Seeds of the trainings.
    audit : Path, optional
        Folder of an audit of all corpora, see :func:`depmm.runs.independence.check_independent`.
    accelerator : Accelerator, optional
        Devices and processes.

    Returns
    -------
    CrossCorpusRuns
        The runs, below ``<out>/<name>``.

    Raises
    ------
    ConfigError
        If a setting cannot be used, or the folder contains runs with another config or of
        another command.
    CrossCorpusError
        If a manifest does not contain its corpus.
    ManifestError
        If the target is not one quantity in all corpora.
    RunError
        If corpora have, or may have, subjects in common.
    StoreError
        If a store was extracted with other settings.
    DepmmError
        As :func:`depmm.training.cross_validation.cross_validate`.
    """
    config = load_experiment(config, overrides)
    if config.split.kind == "file":
        raise ConfigError(
            "split.kind is file, but a split of one corpus cannot be used for several.",
            setting="split.kind",
            value="file",
            remedy="Use k_fold, leave_one_subject_out or official.",
        )
    names = list(dict.fromkeys(name for row in rows for name in (*row.train, *row.test)))
    places = {name: find_location(name, locations or {}) for name in names}
    manifests = {name: _read_corpus(name, places[name].manifest) for name in names}
    labels, notes = check_joint_target(manifests, config.target)
    for row in rows:
        first = {name: manifests[name] for name in row.train}
        tested = {name: manifests[name] for name in row.test}
        check_independent(first, {**first, **tested}, audit)
    for text in [*(label.text for label in labels), *notes]:
        logger.info("%s", text)
    folder = config.out / config.name
    RunFolder(folder).check_command("cross-corpus")
    accelerator = accelerator or build_accelerator(config)
    stores = {name: places[name].store for name in names}
    store = joined_location(stores, folder / "store")
    if accelerator.is_main_process:
        with locked_folder(folder, "join"):
            join_stores(stores, config.extract, folder / "store")
            for row in rows:
                _write_row(row, manifests, folder)
                join_pseudo_subjects(
                    [places[name].manifest for name in dict.fromkeys([*row.train, *row.test])],
                    folder / "manifests" / row.name,
                )
    accelerator.wait_for_everyone()
    for row in rows:
        logger.info("%s: tested on %s", row.name, ", ".join(row.test))
        cross_validate(
            _row_config(config, row, manifests, folder, store), seeds=seeds, accelerator=accelerator
        )
    audits = {name: describe_audit(places[name].manifest) for name in names}
    return CrossCorpusRuns(folder, config, list(rows), labels, notes, audits)


def find_location(name: str, locations: Mapping[str, CorpusLocation]) -> CorpusLocation:
    """Find manifest and store of a corpus.

    Parameters
    ----------
    name : str
        Corpus id.
    locations : mapping of str to CorpusLocation
        Given locations.

    Returns
    -------
    CorpusLocation
        The given location, or ``corpora/NAME/manifest`` and ``stores/NAME``.

    Raises
    ------
    CrossCorpusError
        If neither exists.
    """
    if name in locations:
        return locations[name]
    place = CorpusLocation(Path("corpora") / name / "manifest", f"stores/{name}")
    if not place.manifest.is_dir():
        others = [path.parent.name for path in Path("corpora").glob("*/manifest")]
        raise CrossCorpusError(
            f"{name}: {place.manifest} does not exist.",
            setting="corpus",
            file=place.manifest,
            value=name,
            remedy=f"Give --corpus {name}=MANIFEST:STORE. {did_you_mean(name, others)}".rstrip(),
        )
    return place


def _read_corpus(name: str, folder: Path) -> Manifest:
    manifest = read_manifest(folder)
    found = sorted(manifest.sessions["corpus"].unique())
    if found != [name]:
        raise CrossCorpusError(
            f"{folder}: contains {', '.join(found)}, not {name} alone.",
            setting="corpus",
            file=folder,
            value=name,
            remedy="Name the corpus as in the column corpus of its manifest (name: of its spec), "
            "and give one manifest per corpus: --corpus NAME=MANIFEST:STORE.",
        )
    return manifest


def _write_row(row: TrainingSet, manifests: Mapping[str, Manifest], folder: Path) -> None:
    """Write the joined manifest of a row, and the split of its subjects."""
    used = dict.fromkeys([*row.train, *row.test])
    joined = concat_manifests([manifests[name] for name in used])
    place = folder / "manifests" / row.name
    write_manifest(joined, place)
    if row.is_within:
        return
    subjects = joined.sessions[SUBJECT_KEY].drop_duplicates().sort_values(SUBJECT_KEY)
    split = subjects["corpus"].isin(row.train).map({True: "train", False: "test"})
    # without validation subjects: they are sampled from the training subjects by the settings
    write_text(place / "split.csv", to_csv(subjects.assign(fold=0, split=split)))


def _row_config(
    config: Experiment,
    row: TrainingSet,
    manifests: Mapping[str, Manifest],
    folder: Path,
    store: str,
) -> Experiment:
    place = folder / "manifests" / row.name
    sessions = pd.concat([manifests[name].sessions for name in {*row.train, *row.test}])
    settings: dict[str, Any] = {
        "name": row.name,
        "out": folder,
        "data.manifest": place,
        "data.store": store,
        "target": restrict_target(config.target, sessions).model_dump(),
    }
    if not row.is_within:
        # the whole section: another kind alone would set validation, seed and groups to defaults
        settings["split"] = config.split.model_dump() | {
            "kind": "file", "file": place / "split.csv", "repeats": 1, "fold": 0,
        }  # fmt: skip
    return override_settings(config, settings)
