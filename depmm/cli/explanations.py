"""Commands for explanations of a run: attributions, and questions about them."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from depmm.cli.application import RunFolder, app, echo, echo_data

Locations = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="data.manifest=FOLDER and data.store=FOLDER of a run whose data were moved",
    ),
]


@app.command()
def explain(
    run: RunFolder,
    locations: Locations = None,
    split: Annotated[
        Literal["train", "validation", "test"], typer.Option(help="sessions of this split")
    ] = "test",
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            help="in addition to occlusion: permutation, integrated_gradients, shapley, grad_cam "
            "(regions of faces and spectrograms), region_occlusion (regions of faces); may be "
            "repeated",
        ),
    ] = None,
    reference: Annotated[
        Literal["training", "session"],
        typer.Option(
            help="what replaces removed steps: the training subjects' mean of the same word, or "
            "the mean of the session (attributions are then relative to it)"
        ),
    ] = "training",
    html: Annotated[bool, typer.Option("--html", help="also write explorer.html")] = False,
) -> None:
    """Compute attributions of steps and modalities.

    Attention and gates are recorded.
    """
    from transformers.utils import logging

    from depmm.interpret.attribution.explain import explain as explain_run

    logging.disable_progress_bar()  # loading takes milliseconds
    report = explain_run(run, split, methods or [], html, reference, locations)
    for name, rows in report.rows.items():
        echo(f"{run}/{name}.parquet: {rows} rows of {split} sessions")
    for name, reason in report.absent.items():
        echo(f"no {name}.parquet: {reason}")
    if report.page is not None:
        echo(f"{report.page}: contains subject ids; handle it like the recordings")


@app.command()
def probe(
    run: RunFolder,
    nuisance: Annotated[
        list[str],
        typer.Option(help="column of the sessions, e.g. gender, corpus, device; may be repeated"),
    ],
    locations: Locations = None,
    split: Annotated[
        str, typer.Option(help="tested subjects: test, validation, or both with a comma")
    ] = "test",
) -> None:
    """Measure which nuisances a fused embedding reveals.

    A nuisance is a variable of the sessions, such as gender. Writes how well
    other subjects' values can be read from the fused embedding of a session.
    """
    from transformers.utils import logging

    from depmm.interpret.probe import probe as probe_run

    logging.disable_progress_bar()
    splits = [name.strip() for name in split.split(",")]
    if unknown := sorted(set(splits) - {"test", "validation"}):
        raise typer.BadParameter(
            f"{unknown[0]!r}: give test, validation, or test,validation", param_hint="--split"
        )
    content = probe_run(run, nuisance, splits, locations)
    for name in nuisance:
        entry = content["nuisance"][name]
        how = "cross-validated" if entry["protocol"] == "within" else "fitted on training subjects"
        linear, other = (
            f"{part['balanced_accuracy']:.3f} [{part['ci_low']:.3f}, {part['ci_high']:.3f}]"
            for part in (entry, entry["nonlinear"])
        )
        echo(
            f"{name}: balanced accuracy {linear} linear, {other} non-linear, "
            f"chance {entry['chance']:.3f} ({entry['subjects']} subjects, {how})"
        )
    echo(f"{run}/probe.json; depmm evaluate {run} shows it in the report")


@app.command()
def ask(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="folder of a run with the output of explain")
    ],
    question: Annotated[
        str | None, typer.Argument(metavar="[QUESTION]", help="one of the questions above")
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="options of the question, e.g. top=10"),
    ] = None,
    sql: Annotated[
        str | None, typer.Option(help="one SELECT statement over the tables of the run")
    ] = None,
    form: Annotated[
        Literal["table", "csv", "json", "figure"] | None,
        typer.Option("--format", help="default: by the suffix of --out, or table"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="output file: .txt, .csv, .json, .svg or .png")
    ] = None,
) -> None:
    """Ask a run a question, e.g. which words separate the labels.

    Questions: words-by-label, words-by-valence, words-by-encoder,
    agreement, stability, session SUBJECT, modalities, gates, regions,
    misclassified, measures, measure-weights (the last two of classical
    models). Their options are KEY=VALUE. Without a question, lists the
    options of each.
    """
    from depmm.interpret.query.ask import ask as answer_question
    from depmm.interpret.query.ask import describe_questions, parse_options
    from depmm.interpret.query.output import choose_format, format_result, write_result
    from depmm.interpret.query.sql import run_sql

    if question is not None and sql is not None:
        raise typer.BadParameter("give either a question or --sql", param_hint="--sql")
    chosen = choose_format(form, out, run)
    if question is not None:
        result = answer_question(run, question, **parse_options(question, options or []))
    elif sql is not None:
        result = run_sql(run, sql)
    else:
        raise ValueError(
            f"no question given. Questions, with their options:\n{describe_questions()}"
        )
    notes = result.attrs.get("notes", [])
    if out is None:
        text = format_result(result, chosen)
        if chosen == "table":
            echo(text, nl=False)
        else:
            echo_data(text)
    else:
        notes = [*notes, *write_result(result, chosen, out)]
        echo(f"{out}: {len(result)} rows")
    for note in notes:
        echo(note, err=True)
