"""Command that finds the steps of recordings."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from depmm.cli.application import app, echo

SPEECH, WORDS, TURNS, WINDOWS = (
    f"Options of --by {name}" for name in ("speech", "words", "turns", "windows")
)


@app.command()
def steps(
    source: Annotated[
        Path,
        typer.Argument(metavar="SOURCE", help="folder of recordings, or of a manifest with --root"),
    ],
    by: Annotated[
        Literal["speech", "words", "turns", "windows"],
        typer.Option(
            help="speech: segments of voice activity; words: the words of a list or transcript; "
            "turns: the turns of two speakers; windows: windows of equal length"
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="TABLE", help="CSV file with one row per step")],
    root: Annotated[
        Path | None, typer.Option(help="with a manifest: folder of its recordings")
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(help="also write an HTML page with waveforms, steps and confidences"),
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
    words: Annotated[
        Path | None,
        typer.Option(
            help="CSV of the words that were shown: text, onset_s, and optionally path, end_s",
            rich_help_panel=WORDS,
        ),
    ] = None,
    extent: Annotated[
        Literal["onset", "speech"],
        typer.Option(
            help="with --words: a step reaches from its onset to the next, or is the speech "
            "between them",
            rich_help_panel=WORDS,
        ),
    ] = "onset",
    offset: Annotated[
        str,
        typer.Option(
            help="with --words: s that are added to the onsets, or auto to estimate them for each "
            "recording from its speech",
            rich_help_panel=WORDS,
        ),
    ] = "0",
    transcripts: Annotated[
        Path | None,
        typer.Option(
            help="CSV with path, text, and optionally start_s, end_s; or a folder with one text "
            "file per recording: words are aligned with the sound. --by turns: pattern in the "
            "folder of each recording, e.g. '{stem}.tsv'",
            rich_help_panel=WORDS,
        ),
    ] = None,
    pronunciations: Annotated[
        Path | None,
        typer.Option(
            help="with --transcripts: further English words and their phones, as in the CMU "
            "Pronouncing Dictionary",
            rich_help_panel=WORDS,
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            help="with --transcripts: folder of a CTC model such as wav2vec2, for other languages; "
            "default: pocketsphinx (English)",
            rich_help_panel=WORDS,
        ),
    ] = None,
    speakers: Annotated[
        Literal["channels", "transcript", "voices"] | None,
        typer.Option(
            help="what tells the speakers apart: a channel for each, a transcript, or their voices",
            rich_help_panel=TURNS,
        ),
    ] = None,
    participant: Annotated[
        str | None,
        typer.Option(
            help="CSV file that the listening page downloads, or the name of the participant: "
            "channel_0, channel_1, or a speaker of the transcripts",
            rich_help_panel=TURNS,
        ),
    ] = None,
    speaker_model: Annotated[
        Path | None,
        typer.Option(
            help="folder of a transformers model with an x-vector head; default: that of depmm "
            "download identity",
            rich_help_panel=TURNS,
        ),
    ] = None,
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
    """Find the steps of recordings, and write their table.

    Exits with 1 if there are problems, which TABLE.problems.csv lists, such as
    a recording that cannot be read. Prints the lines of a data spec that read
    the table.
    """
    from depmm.corpora.corpus_facts import Windows
    from depmm.media.sound.speech_segments import SegmentRules
    from depmm.steps.methods import by_speech, by_windows, by_words
    from depmm.steps.recordings import find_recordings, find_steps
    from depmm.steps.table import check_output, problems_path, spec_lines, write_steps
    from depmm.steps.turns_finder import TurnOptions, by_turns

    check_output(out)
    rules = SegmentRules(min_speech, min_pause, margin)
    folder, recordings, problems = find_recordings(source, root)
    match by:
        case "speech":
            method = by_speech(detector, rules)
        case "words":
            paths = [recording.path for recording in recordings]
            method = by_words(
                words, extent, offset, transcripts, pronunciations, model, detector, rules, paths
            )
        case "turns":
            method = by_turns(
                TurnOptions(
                    source, out, root, speakers, transcripts, participant, speaker_model,
                    detector, model, pronunciations,
                )
            )  # fmt: skip
        case "windows":
            if window is None:
                raise typer.BadParameter("--by windows needs it", param_hint="--window")
            method = by_windows(Windows(length_s=window, hop_s=hop))
    for note in method.warnings:
        echo(note, err=True)
    found = find_steps(recordings, method.find)
    found.problems[:0] = problems
    found.problems += method.unused()
    columns, kept = write_steps(found.steps, found.problems, out)
    if kept is not None:
        echo(f"{out} had other rows; it is now {kept}", err=True)
    for line in (f"{out}: {found.summary()}", *method.notes()):
        echo(line)
    if page is not None:
        from depmm.steps.page import write_page

        write_page(found, recordings, by, " ".join(["depmm", *sys.argv[1:]]), page)
        echo(f"{page}: store it like the recordings")
    echo(f"The lines of a spec that read the table:\n\n{spec_lines(out, folder, columns)}")
    if found.problems:
        for problem in found.problems[:5]:
            of_word = f" {problem.text!r}" if problem.text else ""
            echo(f"{problem.path}{of_word}: {problem.problem}", err=True)
        echo(f"all problems: see {problems_path(out)}", err=True)
        raise typer.Exit(1)
