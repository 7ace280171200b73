"""The command line: each command is one stage of the way from recordings to words.

Exit status: 0 done; 1 done, but something was found (audit errors, failed recordings); 2 it could
not be done (the message says why); 130 interrupted.
"""

import logging
import sys
from pathlib import Path
from typing import Annotated, Literal, TextIO

import typer

app = typer.Typer(
    help="Recognise depression from face and voice. Research software, not a diagnostic device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...")]
AllowPickle = Annotated[
    bool, typer.Option("--allow-pickle", help="run code inside .npy files that need it")
]
PICKLE_WARNING = "warning: a pickled file can run any code; trust its makers"


class _StandardOutput(logging.StreamHandler[TextIO]):
    """Writes to the standard output of the moment, which notebooks and tests replace."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stdout
        super().emit(record)


def show_progress() -> None:
    """Write the log of depmm to standard output."""
    logger = logging.getLogger("depmm")
    if not logger.handlers:
        logger.addHandler(_StandardOutput(sys.stdout))
    logger.setLevel(logging.INFO)


def main() -> None:
    """Run the command line; a user's mistake is a message, not a traceback."""
    show_progress()
    try:
        app()
    except SystemExit as end:  # what typer makes of Ctrl-C
        if end.code == 130:
            typer.echo(
                "interrupted; what was finished is kept, run the same command again", err=True
            )
        raise
    except (ValueError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(help="new folder of the corpus")],
    subjects: Annotated[int | None, typer.Option(help="people; 48, with --spec 12")] = None,
    steps: Annotated[
        int | None, typer.Option(help="words: 12 a person; with --spec 2 or 3 a recording")
    ] = None,
    seed: Annotated[int, typer.Option(help="same seed, same bytes")] = 0,
    effect: Annotated[float, typer.Option(help="size of the planted effect")] = 1.0,
    workers: Annotated[int | None, typer.Option(help="processes")] = None,
    words: Annotated[
        Path | None, typer.Option(help="CSV: word,valence,rating,language; default: English")
    ] = None,
    spec: Annotated[Path | None, typer.Option(help="layout: data_specs/<corpus>.yaml")] = None,
    confound: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="with --spec, a confound, e.g. gender=0.9"),
    ] = None,
) -> None:
    """Make a corpus of talking faces with planted, known effects (truth.json)."""
    if spec is not None:
        if words is not None:
            raise ValueError("--words does not go with --spec: name the list under words: there")
        _simulate_layout(out, spec, subjects, steps, seed, effect, workers, confound or [])
        return
    if confound:
        raise ValueError(f"--confound {confound[0]} needs --spec: the layout that carries it")
    from depmm.simulation.word_reading import simulate_word_reading

    subjects, steps = 48 if subjects is None else subjects, 12 if steps is None else steps
    truth = simulate_word_reading(
        out, subjects=subjects, steps=steps, seed=seed, effect=effect, workers=workers, words=words
    )
    planted = {group: ", ".join(chosen) for group, chosen in truth["planted_words"].items()}
    typer.echo(f"{out}: {subjects} people, {steps} words, effect {effect}; planted {planted}")


def _simulate_layout(
    out: Path,
    spec: Path,
    subjects: int | None,
    words: int | None,
    seed: int,
    effect: float,
    workers: int | None,
    confound: list[str],
) -> None:
    import os

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
        workers=workers or os.cpu_count() or 1,
        confounds=parse_confounds(confound),
    )
    typer.echo(
        f"{out}: {truth['n_subjects']} subjects, {len(truth['sessions'])} sessions in the "
        f"layout of {truth['spec']}, effect {effect}"
    )
    for name, planted in truth["confounds"].items():
        affected = planted["affected"]
        several = (
            ", ".join(f"{n} {group}" for group, n in affected.items())
            if isinstance(affected, dict)
            else f"{len(affected)} affected"
        )
        typer.echo(f"confound {name} = {planted['value']:g}: {planted['meaning']}; {several}")


@app.command()
def index(
    spec: Annotated[Path, typer.Argument(help="data_specs/<corpus>.yaml")],
    root: Annotated[Path, typer.Argument(help="folder of the recordings")],
    out: Annotated[Path, typer.Option(help="folder of the manifest")],
    allow_pickle: AllowPickle = False,
) -> None:
    """Find the recordings of a corpus: sessions.parquet, steps.parquet, index.json."""
    from functools import partial

    from depmm.corpora.index import index_corpus
    from depmm.corpora.manifest import write_manifest
    from depmm.corpora.spec import load_spec
    from depmm.media.duration import duration_s

    if allow_pickle:
        typer.echo(PICKLE_WARNING, err=True)
    measure = partial(duration_s, allow_pickle=allow_pickle)
    manifest, report = index_corpus(load_spec(spec), root, measure)
    write_manifest(manifest, out)
    (out / "index.json").write_text(report.to_json(), encoding="utf-8")
    typer.echo(report.summary())
    if not report.complete:
        raise typer.Exit(1)


@app.command()
def audit(
    manifests: Annotated[
        list[Path], typer.Argument(help="folder of the manifest; several: may they test each other")
    ],
    root: Annotated[
        list[Path] | None,
        typer.Option(help="folder of the recordings, one for each manifest: look at them too"),
    ] = None,
    allow: Annotated[
        list[str] | None, typer.Option(help="accept findings of this name; runs record it")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="folder of the report of several")] = None,
) -> None:
    """Look for what would make results invalid: audit.json, audit.html; status 1 if there is."""
    from rich.console import Console
    from rich.progress import track

    from depmm.audit.audit import audit_manifest, format_audit, read_index_report, write_audit
    from depmm.audit.findings import AuditInput
    from depmm.audit.recording_statistics import compute_recording_statistics
    from depmm.corpora.manifest import concat_manifests, read_manifest
    from depmm.media.borders import measure_recording

    if len(manifests) > 1 and out is None:
        raise ValueError("several manifests have one report: give its folder with --out FOLDER")
    if root and len(root) != len(manifests):
        raise ValueError(
            f"--root is given {len(root)} times for {len(manifests)} manifests: give it once for "
            "each, in the same order"
        )
    tables = [read_manifest(folder) for folder in manifests]
    files = None
    if root:
        console = Console(stderr=True)
        files = compute_recording_statistics(
            list(zip(tables, root, strict=True)),
            measure_recording,
            lambda names: track(names, "look at recordings", console=console),
        )
    reports = [read_index_report(folder) for folder in manifests]
    whole = concat_manifests(tables) if len(tables) > 1 else tables[0]
    evidence = AuditInput(whole, files, tuple(report for report in reports if report))
    result = audit_manifest(evidence, allow or ())
    folder = out or manifests[0]
    write_audit(result, folder, manifests)
    typer.echo(format_audit(result))
    typer.echo(f"{folder}/audit.html")
    if not result.passed:
        raise typer.Exit(1)


@app.command()
def split(
    manifest: Annotated[Path, typer.Argument(help="folder of the manifest")],
    out: Annotated[Path, typer.Option(help="file of the folds (.csv)")],
    overrides: Overrides = None,
    config: Annotated[
        Path | None, typer.Option(help="take its split: and target: sections")
    ] = None,
) -> None:
    """Write who is in train, validation and test of every fold; KEY=VALUE e.g. folds=10."""
    from depmm.config import load_split_config
    from depmm.corpora.splits import write_split
    from depmm.data.experiment_data import experiment_folds

    settings, task = load_split_config(config, overrides)
    folds = experiment_folds(manifest, task, settings)
    write_split(folds, out)
    people = len(folds[["corpus", "subject"]].drop_duplicates())
    typer.echo(
        f"{out}: {people} people, {folds['fold'].nunique()} folds; next: cross-validate with "
        f"split={{kind: file, file: {out}}}"
    )


@app.command()
def extract(
    manifest: Annotated[Path, typer.Argument(help="folder of the manifest")],
    root: Annotated[Path, typer.Argument(help="folder of the recordings")],
    out: Annotated[str, typer.Option(help="folder or URL of the store")],
    overrides: Overrides = None,
    config: Annotated[Path | None, typer.Option(help="take its extract: section")] = None,
    landmarker: Annotated[Path | None, typer.Option(help="MediaPipe face model")] = None,
    workers: Annotated[int | None, typer.Option(help="processes")] = None,
    allow_pickle: AllowPickle = False,
) -> None:
    """Decode, align and store every session once; KEY=VALUE e.g. face.frames_per_second=10."""
    from depmm.config import load_extract_config
    from depmm.corpora.manifest import read_manifest
    from depmm.store.extract import extract as run

    if allow_pickle:
        typer.echo(PICKLE_WARNING, err=True)
    settings = load_extract_config(config, overrides)
    report = run(
        read_manifest(manifest), root, out, settings, landmarker, workers,
        show_progress=True, allow_pickle=allow_pickle,
    )  # fmt: skip
    typer.echo(
        f"{out}: {report.extracted} sessions extracted, {report.skipped} were there, "
        f"{report.lost} lost; {len(report.failures)} failures"
    )
    if len(report.failures):
        for failure in report.failures.head(10).itertuples():
            typer.echo(
                f"  {failure.subject}/{failure.session} {failure.stage}: {failure.file}: "
                f"{failure.cause} {failure.remedy}"
            )
        typer.echo(f"all of them: {out}/failures.parquet", err=True)
        raise typer.Exit(1)


@app.command()
def train(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="YAML file, or name of a config such as demo")
    ],
    overrides: Overrides = None,
) -> None:
    """Train a network in this process (several: accelerate launch experiments/train_fusion.py)."""
    from depmm.training.experiment import train as run

    run(config, overrides)


@app.command()
def evaluate(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="folder of a run, or a table of predictions"),
    ],
    out: Annotated[
        Path | None, typer.Option(help="folder of the report; needed for several runs")
    ] = None,
    unit: Annotated[
        Literal["session", "subject"],
        typer.Option(help="subject: the mean of each subject's sessions"),
    ] = "session",
) -> None:
    """Write report.html, metrics.json and tables: every number with its interval and its baseline.

    Several runs are compared on the same subjects. A trained model gets a card, README.md.
    """
    from depmm.reporting import evaluate as run_evaluation
    from depmm.reporting import summary_lines

    content = run_evaluation(runs, out, unit)
    for line in summary_lines(content):
        typer.echo(line)
    folder = out or (runs[0] if runs[0].is_dir() else runs[0].parent)
    typer.echo(f"{folder}/report.html")


@app.command()
def explain(
    run: Annotated[Path, typer.Argument(help="folder of a run")],
    split: Annotated[str, typer.Option(help="whose sessions: train, validation, test")] = "test",
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            help="beside occlusion: permutation, integrated_gradients, shapley; grad_cam: regions "
            "in faces and spectrograms",
        ),
    ] = None,
    html: Annotated[bool, typer.Option("--html", help="also a page to walk through them")] = False,
) -> None:
    """Record attention, gates and what each step contributes: attributions.parquet and more."""
    from transformers.utils import logging

    from depmm.interpret.attribution.explain import explain as explain_run

    logging.disable_progress_bar()  # weights load in an instant
    report = explain_run(run, split, methods or [], html)
    for name, rows in report.rows.items():
        typer.echo(f"{run}/{name}.parquet: {rows} rows of {split} sessions")
    for name, reason in report.absent.items():
        typer.echo(f"no {name}.parquet: {reason}")
    if report.page is not None:
        typer.echo(f"{report.page}: contains subject ids; handle it like the recordings")


@app.command()
def ask(
    run: Annotated[Path, typer.Argument(help="folder of an explained run")],
    question: Annotated[str | None, typer.Argument(help="one of those above")] = None,
    options: Overrides = None,
    sql: Annotated[str | None, typer.Option(help="one SELECT over the run's tables")] = None,
    form: Annotated[
        Literal["table", "csv", "json", "figure"] | None,
        typer.Option("--format", help="default: by the ending of --out, else table"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help=".txt, .csv, .json, .svg or .png")] = None,
) -> None:
    """Ask which words separate the groups, and more; KEY=VALUE e.g. top=20 valence=negative.

    Questions: words-by-label, words-by-valence, words-by-encoder, agreement, stability,
    session SUBJECT, gates, regions, misclassified. Without a question: what each takes.
    """
    from depmm.interpret.query.ask import ask as answer_question
    from depmm.interpret.query.ask import described, parse_options
    from depmm.interpret.query.output import as_text, choose_format, write_answer
    from depmm.interpret.query.sql import sql as answer_sql

    if question is not None and sql is not None:
        raise ValueError(f"{question} and --sql are two questions: ask one")
    chosen = choose_format(form, out, run)
    if question is not None:
        answer = answer_question(run, question, **parse_options(question, options or []))
    elif sql is not None:
        answer = answer_sql(run, sql)
    else:
        raise ValueError(f"no question: ask one of these, or --sql TEXT\n{described()}")
    notes = answer.attrs.get("notes", [])
    if out is None:
        typer.echo(as_text(answer, chosen), nl=False)
    else:
        notes = [*notes, *write_answer(answer, chosen, out)]
        typer.echo(f"{out}: {len(answer)} rows")
    for note in notes:
        typer.echo(note, err=True)


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="folder of a run, or of a cross-validation")],
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="video or sound")],
    steps: Annotated[
        Path | None, typer.Option(help="CSV of the steps of one FILE: start_s,end_s[,text,valence]")
    ] = None,
    window: Annotated[
        float | None,
        typer.Option(help="or windows of so many seconds; default: the usual step of training"),
    ] = None,
    aligned: Annotated[
        bool, typer.Option("--aligned", help="the frames are aligned faces: search for none")
    ] = False,
    landmarker: Annotated[Path | None, typer.Option(help="MediaPipe face model")] = None,
    out: Annotated[Path | None, typer.Option(help="folder of <FILE>.json and <FILE>.html")] = None,
) -> None:
    """Predict for new recordings, with how far to trust it. Research only: not a diagnosis."""
    from depmm.inference.prediction_page import check_outputs, write_prediction
    from depmm.inference.prediction_text import prediction_text
    from depmm.inference.predictor import Predictor

    if steps is not None and (window is not None or len(files) > 1):
        raise ValueError("--steps is the table of one FILE: give one FILE, and no --window.")
    if out is not None:
        check_outputs(files, out)
    predictor = Predictor(run)
    failed = 0
    for file in files:
        try:
            prediction = predictor.predict(file, steps, window, aligned, landmarker)
        except (ValueError, OSError) as error:
            typer.echo(f"error: {error}", err=True)
            failed += 1
            continue
        for line in prediction_text(prediction.to_dict()):
            typer.echo(line)
        if out is not None:
            typer.echo(f"  {write_prediction(prediction, file, out)}")
    if failed:
        typer.echo(f"{failed} of {len(files)} recordings could not be predicted", err=True)
        raise typer.Exit(1)


@app.command()
def doctor() -> None:
    """Check what this machine has: libraries, face model, devices."""
    from depmm.doctor import report

    lines, healthy = report()
    for line in lines:
        typer.echo(line)
    if not healthy:
        raise typer.Exit(1)
