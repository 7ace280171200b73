"""Commands that train, evaluate and apply models."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from depmm.cli.application import (
    ConfigName,
    Landmarker,
    Overrides,
    ShardOption,
    UnitName,
    Workers,
    app,
    describe_error,
    describe_os_error,
    echo,
    echo_data,
    echo_table,
    parse_seeds,
)


class ChecklistName(StrEnum):
    """Reporting checklists of ``depmm evaluate``."""

    tripod_ai = "tripod-ai"
    reforms = "reforms"


class SchemaKind(StrEnum):
    """Files that ``depmm schema`` describes."""

    config = "config"
    spec = "spec"


@app.command()
def configs(
    name: Annotated[
        str | None, typer.Argument(help="print this config; default: list all configs")
    ] = None,
) -> None:
    """List the configs of depmm, or print one."""
    from depmm.config import find_config, list_configs

    if name is not None:
        echo_data(find_config(name).read_text(encoding="utf-8"))
        return
    echo_table(list_configs())


@app.command()
def schema(
    kind: Annotated[SchemaKind, typer.Argument(help="config, or spec for data specs")],
) -> None:
    """Print the JSON Schema of configs or of data specs.

    Editors complete and check settings with it.
    """
    from json import dumps

    from depmm.config import config_json_schema
    from depmm.corpora.spec_schema import json_schema

    if kind is SchemaKind.config:
        echo_data(dumps(config_json_schema(), indent=1) + "\n")
    else:
        echo_data(json_schema())


@app.command()
def train(config: ConfigName, overrides: Overrides = None) -> None:
    """Train one model.

    accelerate launch -m depmm train CONFIG trains it in several processes.
    """
    from depmm.training.experiment import train as train_model

    train_model(config, overrides)


@app.command()
def precompute(
    config: ConfigName,
    overrides: Overrides = None,
    shard: ShardOption = None,
    workers: Workers = None,
) -> None:
    """Compute the embeddings and measures that training needs.

    Training computes them too; this command shares the work between processes
    and computers, and continues if interrupted.
    """
    from depmm.shards import find_shard, parse_shard
    from depmm.training.precompute import precompute as compute

    part = find_shard() if shard is None else parse_shard(shard)
    report = compute(config, overrides, part, workers)
    stored = ", ".join(report.stored) or "nothing to compute before the training"
    echo(f"part {part}, {report.n_sessions} sessions: {stored}")


@app.command()
def cross_validate(
    config: ConfigName,
    overrides: Overrides = None,
    seeds: Annotated[
        str, typer.Option(help="comma-separated seeds; the folds stay the same")
    ] = "0",
) -> None:
    """Train and test every fold of every seed.

    Finished folds are kept.
    """
    from depmm.training.cross_validation import cross_validate as run_folds

    run_folds(config, overrides, seeds=parse_seeds(seeds))


@app.command()
def evaluate(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...", help="run folder, or table of predictions; several with --pool"
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="folder of the report; required with --pool")
    ] = None,
    unit: UnitName = "session",
    pool: Annotated[
        bool,
        typer.Option(
            "--pool",
            help="evaluate runs of different tasks or valences (data.steps) together, with metrics "
            "by task and valence",
        ),
    ] = False,
    checklist: Annotated[
        list[ChecklistName] | None,
        typer.Option(
            help="reporting checklist that is filled in from the run and written beside the "
            "report; repeat for several"
        ),
    ] = None,
) -> None:
    """Write the report of a run, with intervals and baselines."""
    from depmm.reporting import evaluate as run_evaluation
    from depmm.reporting import summary_lines

    names = [name.value for name in checklist or ()]
    content = run_evaluation(runs, out, unit, pool, names)
    for line in summary_lines(content):
        echo(line)
    folder = out or (runs[0] if runs[0].is_dir() else runs[0].parent)
    echo(f"{folder}/report.html")
    for name in names:
        echo(f"{folder}/checklist_{name.replace('-', '_')}.html")


@app.command()
def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="two or more run folders, or tables of predictions"),
    ],
    out: Annotated[Path, typer.Option(help="folder of the report and of the tables for a paper")],
    unit: UnitName = "session",
) -> None:
    """Compare runs and other programs on the same test sessions."""
    from depmm.reporting import summary_lines
    from depmm.run_comparison import compare as compare_runs

    for line in summary_lines(compare_runs(runs, out, unit)):
        echo(line)
    for name in ("report.html", "tables.tex", "tables.md", "tables.html"):
        echo(f"{out / name}")


@app.command()
def combine(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...", help="two or more run folders, or tables of predictions, on one split"
        ),
    ],
    out: Annotated[Path, typer.Option(help="folder of the combination, for depmm evaluate")],
) -> None:
    """Add the logits of finished runs, without training.

    Predicted severities are averaged.
    """
    from depmm.runs.combination import combine as combine_runs

    combined = combine_runs(runs, out)
    echo(f"{out}: {len(combined.predictions)} predictions combined")
    for name, count in combined.missing.items():
        if count:
            echo(f"  {count} of them without {name}")
    for note in combined.notes:
        echo(f"  {note}")
    if combined.clipped:
        echo(f"  {combined.clipped} probabilities of 0 or 1 were limited to have a logit")


@app.command()
def predict(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="folder of a run, cross-validation or export")
    ],
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE... [KEY=VALUE]...",
            help="video or audio file(s); data.manifest=FOLDER and data.store=FOLDER for a moved "
            "run of an early version",
        ),
    ],
    steps: Annotated[
        Path | None,
        typer.Option(
            help="CSV with the steps: start_s,end_s[,text,valence], or a table of depmm steps"
        ),
    ] = None,
    window: Annotated[
        float | None,
        typer.Option(
            help="windows of this length in s; default: the windows of the training data, or their "
            "median step"
        ),
    ] = None,
    aligned: Annotated[
        bool,
        typer.Option("--aligned", help="the frames are aligned face crops; do not detect faces"),
    ] = False,
    landmarker: Landmarker = None,
    out: Annotated[
        Path | None, typer.Option(help="folder for NAME.json and NAME.html of each file")
    ] = None,
) -> None:
    """Predict new recordings; not a diagnosis.

    Predictions are calibrated, with warnings about the recording.
    Exits with 1 if a recording cannot be predicted.
    """
    from depmm.inference.prediction_page import check_outputs, write_prediction
    from depmm.inference.prediction_text import prediction_text
    from depmm.inference.predictor import Predictor
    from depmm.inference.step_table import names_recordings
    from depmm.runs.moved import split_locations

    files, overrides = split_locations(files)

    if steps is not None and window is not None:
        raise typer.BadParameter("give either --steps or --window", param_hint="--steps")
    if steps is not None and not steps.is_file():
        raise typer.BadParameter(f"{steps} does not exist: check the path", param_hint="--steps")
    if steps is not None and len(files) > 1 and not names_recordings(steps):
        raise typer.BadParameter(
            f"{steps} has no column path; give it with exactly one FILE", param_hint="--steps"
        )
    if window is not None and not window > 0:
        raise typer.BadParameter(
            f"{window:g} is not a length: give more than 0 seconds", param_hint="--window"
        )
    if out is not None:
        check_outputs(files, out)
    predictor = Predictor(run, overrides=overrides)
    failed = 0
    for file in files:
        try:
            prediction = predictor.predict(
                file, steps, window, aligned, landmarker, isolate=len(files) > 1,
                view=out is not None,
            )  # fmt: skip
            page = None if out is None else write_prediction(prediction, file, out)
        except (ValueError, OSError) as error:
            text = describe_os_error(error) if isinstance(error, OSError) else describe_error(error)
            echo(f"error: {text}", err=True)
            failed += 1
            continue
        for line in prediction_text(prediction.to_dict()):
            echo(line)
        if page is not None:
            echo(f"  {page}")
    if failed:
        echo(f"{failed} of {len(files)} recordings could not be predicted", err=True)
        raise typer.Exit(1)


@app.command()
def doctor() -> None:
    """Check libraries, face model and devices.

    Exits with 1 if a needed one is missing.
    """
    from depmm.doctor import check_environment, format_checks

    checks = check_environment()
    for line in format_checks(checks):
        echo(line)
    if any(check.status == "missing" for check in checks):
        raise typer.Exit(1)
