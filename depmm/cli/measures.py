"""The command for measures of voice and face."""

from pathlib import Path
from typing import Annotated

import typer

from depmm.cli.application import ManifestFolder, Workers, app, echo


@app.command()
def measures(
    manifest: ManifestFolder,
    store: Annotated[str, typer.Argument(metavar="STORE", help="folder or URL of the store")],
    out: Annotated[Path, typer.Option(help="folder of the tables and the page")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...", help="settings to change, e.g. target.column=score"
        ),
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="voice, face, timing or egemaps; may be repeated; default: all that the store "
            "has signals for, without egemaps",
        ),
    ] = None,
    config: Annotated[
        str | None, typer.Option(help="take the target: and extract: sections of this config")
    ] = None,
    workers: Workers = None,
) -> None:
    """Measure voice and face, and compare them with the target.

    Writes the tables measures, sessions, steps and codebook, and the page
    measures.html. Exits with 1 if sessions are not in the store. KEY=VALUE
    changes a setting, e.g. target.column=score target.kind=severity or
    extract.face.frames_per_second=25.
    """
    from depmm.config import load_measures_config
    from depmm.cores import available_cores
    from depmm.corpora.manifest import read_manifest
    from depmm.evaluation.reports.measures_page import (
        compare_with_target,
        read_targets,
        write_measures_page,
    )
    from depmm.measures.tables import check_output, collect_measures, write_tables
    from depmm.store.sessions import SessionStore

    check_output(out)
    settings = load_measures_config(config, overrides)
    content = read_manifest(manifest)
    targets = read_targets(content, settings.target, manifest)  # an error before the computation
    sessions = SessionStore(store, settings.extract)
    n_workers = workers or available_cores()
    # a process of its own starts slowly
    tables = collect_measures(content, sessions, sets or (), n_workers if n_workers > 1 else 0)
    compared = compare_with_target(tables, content, targets)
    n_rows = write_tables(tables, content, compared.targets, out)
    write_measures_page(tables, compared, manifest, out)
    for note in (*tables.notes, *compared.notes):
        echo(note)
    echo(
        f"{out}: {len(tables.measures)} measures of {len(tables.steps)} steps of "
        f"{len(tables.sessions)} sessions, {n_rows} rows; {compared.verdict}"
    )
    echo(f"{out}/measures.html; the tables contain subject ids: handle them like the recordings")
    if tables.not_stored:
        corpus, subject, session = tables.not_stored[0]
        echo(
            f"{len(tables.not_stored)} sessions are not in the store, for example "
            f"{corpus}/{subject}/{session}: see {store}/failures.parquet",
            err=True,
        )
        raise typer.Exit(1)
