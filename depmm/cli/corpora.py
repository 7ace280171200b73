"""Commands from recordings to the store."""

import math
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from depmm.cli.application import (
    PICKLE_WARNING,
    AllowPickle,
    Landmarker,
    ManifestFolder,
    RecordingsFolder,
    ShardOption,
    Workers,
    app,
    echo,
    echo_data,
    echo_table,
)


@app.command()
def specs(
    name: Annotated[
        str | None, typer.Argument(help="print this data spec; default: list all specs")
    ] = None,
) -> None:
    """List the data specs of known corpora, or print one."""
    from depmm.corpora.spec import find_spec, list_specs

    if name is not None:
        echo_data(find_spec(name).read_text(encoding="utf-8"))
        return
    echo_table(list_specs())


@app.command()
def simulate(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="folder of the corpus; must be new or empty")
    ],
    subjects: Annotated[
        int | None,
        typer.Option(
            help="number of subjects; default: 48, with --spec 12, with --design 150 for training"
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(help="words per subject; default: 12, with --spec 2 or 3 per recording"),
    ] = None,
    seed: Annotated[int, typer.Option(help="the same seed gives the same files")] = 0,
    effect: Annotated[
        float | None, typer.Option(help="size of the planted effect; default: 1")
    ] = None,
    workers: Workers = None,
    words: Annotated[
        Path | None,
        typer.Option(help="CSV with word, valence, rating, language; default: English words"),
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(
            help="planted words: balanced (default), one_sided (all in one direction), "
            "interacting (voice and face together); or congruence (agreement of voice and face "
            "within every word)"
        ),
    ] = None,
    spec: Annotated[
        str | None,
        typer.Option(help="write the layout of this data spec (name or YAML file)"),
    ] = None,
    confound: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="with --spec: add a confound, e.g. gender=0.9"),
    ] = None,
    design: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="write features in which a part of a model matters: additive, salience, "
            "retrieval, suppression, congruence, long or spread",
        ),
    ] = None,
) -> None:
    """Simulate a corpus of talking faces with known effects.

    The effects are in truth.json.
    """
    if design is not None:
        given = {
            "--spec": spec, "--steps": steps, "--words": words, "--confound": confound,
            "--pattern": pattern, "--effect": effect, "--workers": workers,
        }  # fmt: skip
        for option, value in given.items():
            if value is not None:
                raise typer.BadParameter("cannot be combined with --design", param_hint=option)
        _simulate_design(out, design, subjects, seed)
        return
    effect = 1.0 if effect is None else effect
    if spec is not None:
        if words is not None:
            raise typer.BadParameter(
                "cannot be combined with --spec: set word_list: in the spec",
                param_hint="--words",
            )
        if pattern is not None:
            raise typer.BadParameter("cannot be combined with --spec", param_hint="--pattern")
        _simulate_layout(out, spec, subjects, steps, seed, effect, workers, confound or [])
        return
    if confound:
        raise typer.BadParameter(
            f"{confound[0]} can only be planted in the layout of a spec: give --spec",
            param_hint="--confound",
        )
    from depmm.simulation.word_reading import simulate_word_reading

    subjects, steps = 48 if subjects is None else subjects, 12 if steps is None else steps
    truth = simulate_word_reading(
        out,
        subjects=subjects,
        steps=steps,
        seed=seed,
        effect=effect,
        workers=workers,
        words=words,
        pattern=pattern or "balanced",
    )
    planted = "; ".join(
        f"{label}: {', '.join(chosen)}" for label, chosen in truth["planted_words"].items()
    )
    if pattern == "congruence":
        planted = "agreement of the level of the voice and the opening of the mouth"
    best = ", ".join(f"{name} {value:.3f}" for name, value in truth.get("bayes_auroc", {}).items())
    echo(f"{out}: {subjects} subjects, {steps} words, effect {effect}; planted: {planted}")
    if best:
        echo(f"AUROC of the Bayes classifier: {best}")


def _simulate_design(out: Path, design: str, subjects: int | None, seed: int) -> None:
    from depmm.simulation.design_corpus import simulate_design

    truth = simulate_design(out, design, subjects=150 if subjects is None else subjects, seed=seed)
    counts = ", ".join(f"{n} {split}" for split, n in truth["n_subjects"].items())
    best = ", ".join(f"{name} {value:.3f}" for name, value in truth["bayes_auroc"].items())
    echo(f"{out}: design {design}, {counts} subjects; AUROC of the Bayes classifier: {best}")
    echo(f"Next: depmm index simulated_design {quote(str(out))} --out MANIFEST")


def _simulate_layout(
    out: Path,
    spec: str,
    subjects: int | None,
    words: int | None,
    seed: int,
    effect: float,
    workers: int | None,
    confounds: list[str],
) -> None:
    from depmm.cores import available_cores
    from depmm.corpora.spec import load_spec
    from depmm.simulation.confounds import parse_confounds
    from depmm.simulation.layout import simulate_layout

    truth = simulate_layout(
        out,
        load_spec(spec),
        subjects=subjects,
        words=words,
        seed=seed,
        effect=effect,
        workers=workers or available_cores(),
        confounds=parse_confounds(confounds),
    )
    echo(
        f"{out}: {truth['n_subjects']} subjects, {len(truth['sessions'])} sessions in the "
        f"layout of {truth['spec']}, effect {effect}"
    )
    for name, planted in truth["confounds"].items():
        affected = planted["affected"]
        counts = (
            ", ".join(f"{n} {label}" for label, n in affected.items())
            if isinstance(affected, dict)
            else f"{len(affected)} affected"
        )
        echo(f"confound {name} = {planted['value']:g}: {planted['meaning']}; {counts}")


@app.command()
def index(
    spec: Annotated[
        str, typer.Argument(metavar="SPEC", help="name of a data spec (depmm specs) or a YAML file")
    ],
    root: RecordingsFolder,
    out: Annotated[Path, typer.Option(help="folder of the manifest")],
    window: Annotated[
        float | None,
        typer.Option(
            help="cut every step into windows of this length in s; 0: no windows; default: the spec"
        ),
    ] = None,
    hop: Annotated[
        float | None,
        typer.Option(help="with --window: distance of the windows in s; default: their length"),
    ] = None,
    allow_pickle: AllowPickle = False,
) -> None:
    """Index a corpus, and account for every file.

    Exits with 1 if any file is missing or unusable.
    """
    from functools import partial

    from depmm.corpora.index import index_corpus
    from depmm.corpora.manifest import write_manifest
    from depmm.corpora.spec import load_spec
    from depmm.corpora.windows import with_windows
    from depmm.files.checksums import write_text
    from depmm.media.duration import duration_s

    if allow_pickle:
        echo(PICKLE_WARNING, err=True)
    if window is not None and not 0 <= window < math.inf:
        raise typer.BadParameter(f"{window:g} is not a length in seconds", param_hint="--window")
    if hop is not None and not (window and 0 < hop < math.inf):
        raise typer.BadParameter("needs --window, and a length above 0 s", param_hint="--hop")
    measure = partial(duration_s, allow_pickle=allow_pickle)
    layout = load_spec(spec)
    if window is not None:
        layout = with_windows(layout, window, hop)
    manifest, report = index_corpus(layout, root, measure)
    write_manifest(manifest, out)
    write_text(out / "index.json", report.to_json())
    echo(report.summary())
    if not report.complete:
        raise typer.Exit(1)


@app.command()
def audit(
    manifests: Annotated[
        list[Path],
        typer.Argument(
            metavar="MANIFEST...",
            help="manifest folder(s); with several, also checks for shared subjects",
        ),
    ],
    root: Annotated[
        list[Path] | None,
        typer.Option(help="folder of the recordings, once per manifest: also reads the recordings"),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(help="accept findings of this name; may be repeated; every run records them"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="folder of the report; required for several manifests")
    ] = None,
    identity: Annotated[
        bool,
        typer.Option(
            "--identity",
            help="also compare voices and faces: one subject with two ids, two subjects with one "
            "id; needs --root, and depmm download identity or face-identity",
        ),
    ] = False,
) -> None:
    """Audit a manifest for leaks and label errors.

    Exits with 1 if any error is found.
    """
    from depmm.audit.audit import format_audit
    from depmm.audit.audit_folders import audit_folders

    if len(manifests) > 1 and out is None:
        raise typer.BadParameter("required for several manifests", param_hint="--out")
    if root and len(root) != len(manifests):
        raise typer.BadParameter(
            f"given {len(root)} times for {len(manifests)} manifests: give it once per manifest, "
            "in the same order",
            param_hint="--root",
        )
    if identity and not root:
        raise typer.BadParameter("needs --root", param_hint="--identity")
    result = audit_folders(
        manifests,
        roots=root,
        allow=allow or (),
        out=out,
        identity=identity,
    )
    echo(format_audit(result))
    echo(f"{out or manifests[0]}/audit.html")
    if not result.passed:
        raise typer.Exit(1)


@app.command()
def split(
    manifest: ManifestFolder,
    out: Annotated[Path, typer.Option(help="CSV of the folds")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="settings to change, e.g. folds=10"),
    ] = None,
    config: Annotated[
        str | None, typer.Option(help="take the split: and target: sections of this config")
    ] = None,
) -> None:
    """Write which subjects are in which set of each fold.

    The sets are train, validation and test. KEY=VALUE changes a setting, e.g.
    folds=10.
    """
    from depmm.config import load_split_config
    from depmm.corpora.splits import write_split
    from depmm.data.experiment_data import experiment_folds

    settings, target = load_split_config(config, overrides)
    folds = experiment_folds(manifest, target, settings)
    write_split(folds, out)
    n_subjects = len(folds[["corpus", "subject"]].drop_duplicates())
    echo(
        f"{out}: {n_subjects} subjects, {folds['fold'].nunique()} folds. Next: depmm "
        f'cross-validate CONFIG "split={{kind: file, file: {out}}}"'
    )


@app.command()
def extract(
    manifest: ManifestFolder,
    root: RecordingsFolder,
    out: Annotated[str, typer.Option(help="folder or URL of the store")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...", help="settings to change, e.g. face.frames_per_second=10"
        ),
    ] = None,
    config: Annotated[
        str | None, typer.Option(help="take the extract: section of this config")
    ] = None,
    landmarker: Landmarker = None,
    workers: Workers = None,
    allow_pickle: AllowPickle = False,
    shard: ShardOption = None,
) -> None:
    """Decode and align every session once.

    Exits with 1 if anything cannot be read. An interrupted extraction
    continues. A session is extracted again if its steps or the contents of
    its files have changed. KEY=VALUE changes an extraction setting, e.g.
    face.frames_per_second=10.
    """
    from depmm.config import load_extract_config
    from depmm.corpora.manifest import read_manifest
    from depmm.shards import find_shard, parse_shard
    from depmm.store.extract import extract as extract_sessions
    from depmm.store.extraction_lists import list_failures, list_warnings

    if allow_pickle:
        echo(PICKLE_WARNING, err=True)
    settings = load_extract_config(config, overrides)
    part = find_shard() if shard is None else parse_shard(shard)
    try:
        report = extract_sessions(
            read_manifest(manifest), root, out, settings, landmarker, workers,
            allow_pickle=allow_pickle, shard=part,
        )  # fmt: skip
    except ValueError as error:
        if part.rank == 0:
            raise
        # a launcher would end the other processes; the first one tells the exit status
        echo(f"error: {error}", err=True)
        return
    echo(
        f"{out}: {report.extracted} sessions extracted, {report.skipped} extracted before, "
        f"{report.lost} lost; {len(report.failures)} failures, {len(report.warnings)} warnings"
    )
    for line in list_failures(report.failures):
        echo(line)
    tables = "" if part.count == 1 else f" (until the whole is extracted: *.{part.name}.parquet)"
    if len(report.failures):
        echo(f"all failures: {out}/failures.parquet{tables}", err=True)
    for line in list_warnings(report.warnings):
        echo(line)
    if len(report.warnings):
        echo(f"all warnings: {out}/warnings.parquet{tables}", err=True)
    for process in report.unfinished:
        echo(f"  {process}. Run the same command again: it continues.", err=True)
    if part.rank == 0 and (len(report.failures) or report.unfinished):
        raise typer.Exit(1)
