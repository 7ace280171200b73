"""Command that finds the steps of recordings."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from depmm.cli.application import app, echo

SPEECH, WINDOWS = "Options of --by speech", "Options of --by windows"


@app.command()
def steps(
    source: Annotated[
        Path,
        typer.Argument(metavar="SOURCE", help="folder of recordings, or of a manifest with --root"),
    ],
    by: Annotated[
        Literal["speech", "windows"],
        typer.Option(
            help="speech: one step for each segment of voice activity; windows: windows of equal "
            "length"
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="TABLE", help="CSV file with one row per step")],
    root: Annotated[
        Path | None, typer.Option(help="with a manifest: folder of its recordings")
    ] = None,
    detector: Annotated[
        Literal["silero", "energy"] | None,
        typer.Option(
            help="default: silero if the package silero-vad is installed, otherwise energy",
            rich_help_panel=SPEECH,
        ),
    ] = None,
    min_speech: Annotated[
        float, typer.Option(min=0, help="shortest segment in s", rich_help_panel=SPEECH)
    ] = 0.25,
    min_pause: Annotated[
        float,
        typer.Option(
            min=0, help="shortest pause in s that separates two steps", rich_help_panel=SPEECH
        ),
    ] = 0.3,
    margin: Annotated[
        float,
        typer.Option(min=0, help="s added before and after a segment", rich_help_panel=SPEECH),
    ] = 0.05,
    window: Annotated[
        float | None, typer.Option(min=0.1, help="length in s", rich_help_panel=WINDOWS)
    ] = None,
    hop: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            help="from the start of a window to the next in s; default: their length",
            rich_help_panel=WINDOWS,
        ),
    ] = None,
) -> None:
    """Find the steps of recordings, and write the table that a data spec reads.

    A recording that cannot be read is a row of TABLE.problems.csv; the exit
    status is then 1. Prints the lines of a spec that read the table.
    """
    from functools import partial

    from depmm.corpora.corpus_facts import Windows
    from depmm.media.sound.speech_segments import SegmentRules
    from depmm.steps.recordings import FindSteps, find_recordings, find_steps
    from depmm.steps.speech import choose_detector, find_speech
    from depmm.steps.table import check_output, problems_path, spec_lines, write_steps
    from depmm.steps.windows import find_windows

    check_output(out)
    folder, recordings, problems = find_recordings(source, root)
    method: FindSteps
    match by:
        case "speech":
            detect, note = choose_detector(detector)
            if note:
                echo(note, err=True)
            rules = SegmentRules(min_speech, min_pause, margin)
            method = partial(find_speech, detector=detect, rules=rules)
        case "windows":
            if window is None:
                raise typer.BadParameter("--by windows needs it", param_hint="--window")
            method = partial(find_windows, windows=Windows(length_s=window, hop_s=hop))
    found = find_steps(recordings, method)
    found.problems[:0] = problems
    columns = write_steps(found.steps, found.problems, out)
    echo(f"{out}: {found.summary()}")
    echo(f"The lines of a spec that read it:\n\n{spec_lines(out, folder, columns)}")
    if found.problems:
        for problem in found.problems[:5]:
            of_word = f" {problem.text!r}" if problem.text else ""
            echo(f"{problem.path}{of_word}: {problem.problem}", err=True)
        echo(f"{len(found.problems)} problems: see {problems_path(out)}", err=True)
        raise typer.Exit(1)
