"""The steps of conversations: turns of the participant and of the other speaker.

The participant is never guessed. Without a choice, the rows have the names of the speakers or
clusters, every such recording is a problem, and a page is written, on which you listen and choose.
"""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from depmm.media.sound.audio import decode_audio
from depmm.steps.listening_page import (
    ListenedRecording,
    choose_excerpts,
    cut_excerpts,
    listening_page_path,
    write_listening_page,
)
from depmm.steps.methods import Method, build_aligner
from depmm.steps.participant_choices import (
    Choice,
    Choices,
    check_choice,
    choices_path,
    read_choices,
    recording_digest,
    turns_digest,
    write_choices,
)
from depmm.steps.recordings import Recording
from depmm.steps.speech import choose_detector
from depmm.steps.table import OTHER, PARTICIPANT, Step, StepProblem, StepsError
from depmm.steps.turns import Turn
from depmm.steps.turns_sources import (
    FoundTurns,
    TurnSource,
    channel_source,
    choose_embedding,
    transcript_source,
    voice_source,
)
from depmm.steps.turns_transcript import choose_speaker

CHOICES_FILE = "participants.csv"  # that the page downloads


@dataclass(frozen=True)
class TurnOptions:
    """Options of ``depmm steps --by turns``.

    Attributes
    ----------
    source, out : Path
        Folder of the recordings or of the manifest, and the table of steps.
    root : Path, optional
        Folder of the recordings of a manifest.
    speakers : {"channels", "transcript", "voices"}, optional
        What tells the speakers apart; required.
    transcripts : Path, optional
        Pattern of the transcripts, for ``"transcript"``.
    participant : str, optional
        See `TurnFinder`.
    speaker_model : Path, optional
        Folder of a speaker model, for ``"voices"``.
    detector : str, optional
        Detector of speech, see :func:`depmm.steps.speech.choose_detector`.
    model, pronunciations : Path, optional
        For transcripts without times, see :mod:`depmm.steps.methods`.
    """

    source: Path
    out: Path
    root: Path | None = None
    speakers: str | None = None
    transcripts: Path | None = None
    participant: str | None = None
    speaker_model: Path | None = None
    detector: str | None = None
    model: Path | None = None
    pronunciations: Path | None = None

    def next_command(self) -> str:
        """Write the command that reads the choices of the page.

        Returns
        -------
        str
            The command, for a shell.
        """
        given = {
            "--root": self.root,
            "--by": "turns",
            "--speakers": self.speakers,
            "--transcripts": self.transcripts,
            "--speaker-model": self.speaker_model,
            "--detector": self.detector,
            "--model": self.model,
            "--pronunciations": self.pronunciations,
            "--out": self.out,
            "--participant": CHOICES_FILE,
        }
        options = [text for name, value in given.items() if value for text in (name, str(value))]
        return shlex.join(["depmm", "steps", str(self.source), *options])


class TurnFinder:
    """Find the turns of recordings, and collect the recordings without a choice.

    Parameters
    ----------
    source : callable
        Finds the turns of a recording.
    options : TurnOptions
        The options. Choices of earlier runs are read from the file beside the table. The
        participant is a file of choices (``.csv``), or the name of the participant in every
        recording, such as ``Participant`` in transcripts or ``channel_0``.

    Attributes
    ----------
    undecided : list of ListenedRecording
        Recordings without a choice.

    Raises
    ------
    StepsError
        If a file of choices cannot be read.
    """

    def __init__(self, source: TurnSource, options: TurnOptions) -> None:
        self.undecided: list[ListenedRecording] = []
        self._source = source
        self._options = options
        self._out, participant = options.out, options.participant
        self._name: str | None = None
        self._digests: dict[str, set[str]] = {}
        kept = choices_path(self._out)
        self._choices: Choices = read_choices(kept) if kept.is_file() else {}
        if participant is not None and _is_file(participant):
            self._choices |= read_choices(Path(participant))
        else:
            self._name = participant

    def __call__(self, recording: Recording) -> Iterator[Step | StepProblem]:
        """Find the steps of one recording.

        Parameters
        ----------
        recording : Recording
            The recording.

        Yields
        ------
        Step or StepProblem
            Turns with the speakers ``participant`` and ``other``; without a choice, turns with the
            names of the speakers, and a problem.
        """
        found = self._source(recording)
        yield from found.problems
        name, reason = self._name, None
        digest = ""
        if name is None:
            digest, key = recording_digest(recording.file), recording_name(recording)
            self._digests.setdefault(key, set()).add(digest)
            name, reason = check_choice(self._choices, key, digest, found.turns)
        turns = found.turns
        if name is not None:
            turns = choose_speaker(turns, name, PARTICIPANT, OTHER)
        else:
            self.undecided.append(_listened(recording, found, digest, reason))
            page = listening_page_path(self._out).name
            text = f"{reason}: choose it again" if reason else "the participant is not chosen"
            yield StepProblem(recording.path, f"{text}. Open {page}, and listen.")
        for turn in turns:
            yield _step(recording, turn)

    def finish(self) -> list[str]:
        """Write the page of recordings without a choice, and keep the choices.

        Returns
        -------
        list of str
            What to do next; empty if every recording has a participant.
        """
        write_choices(filter(self._is_kept, self._choices.values()), choices_path(self._out))
        page = listening_page_path(self._out)
        if not write_listening_page(self.undecided, self._options.next_command(), page):
            return []
        return [f"{page} contains voices: open it, and choose the participants."]

    def _is_kept(self, choice: Choice) -> bool:
        """Tell whether no choice for a newer file of the same recording replaces this one."""
        newer = self._digests.get(choice.recording, set())
        return choice.recording_sha256 in newer or not any(
            (choice.recording, digest) in self._choices for digest in newer
        )


def by_turns(options: TurnOptions) -> Method:
    """Find the turns of two speakers.

    Parameters
    ----------
    options : TurnOptions
        The options.

    Returns
    -------
    Method
        The method. Its notes are asked for after the recordings were read; the page is written
        then.

    Raises
    ------
    StepsError
        If an option is missing or does not belong to ``speakers``.
    """
    _check(options)
    detector, warning = choose_detector(options.detector)
    warnings = [warning]
    match options.speakers:
        case "channels":
            source = channel_source(detector)
        case "transcript":
            aligner = partial(build_aligner, options.model, options.pronunciations)
            source = transcript_source(detector, str(options.transcripts), aligner)
        case _:
            embedding, warning = choose_embedding(options.speaker_model)
            warnings.append(warning)
            source = voice_source(detector, embedding)
    finder = TurnFinder(source, options)
    return Method(finder, tuple(text for text in warnings if text), finder.finish)


def _check(options: TurnOptions) -> None:
    if options.speakers is None:
        raise StepsError(
            "--by turns needs to know what tells the speakers apart.",
            setting="speakers",
            remedy="Give --speakers channels (a channel for each), transcript or voices.",
        )
    is_transcript, is_voices = options.speakers == "transcript", options.speakers == "voices"
    if is_transcript != (options.transcripts is not None):
        raise StepsError(
            f"--transcripts {'is missing' if is_transcript else 'is not used'} with --speakers "
            f"{options.speakers}.",
            setting="transcripts",
            remedy="Give, for example, --speakers transcript --transcripts '{stem}.tsv'.",
        )
    if options.speaker_model is not None and not is_voices:
        raise StepsError(
            f"--speaker-model is not used with --speakers {options.speakers}.",
            setting="speaker_model",
            remedy="Leave it out.",
        )
    name = options.participant
    if is_voices and name is not None and not _is_file(name):
        raise StepsError(
            f"--participant {name}: clusters of voices are numbered in each recording separately, "
            "so that one name cannot be the participant of all.",
            setting="participant",
            value=name,
            remedy="Give the CSV file that the listening page downloads.",
        )


def _is_file(participant: str) -> bool:
    return participant.lower().endswith(".csv")


def recording_name(recording: Recording) -> str:
    """Return the name of a recording on the page and in choices.

    Parameters
    ----------
    recording : Recording
        The recording.

    Returns
    -------
    str
        Its path without its suffix.
    """
    return PurePosixPath(recording.path).with_suffix("").as_posix()


def _step(recording: Recording, turn: Turn) -> Step:
    return Step(recording.path, turn.start_s, turn.end_s, turn.text, turn.speaker, turn.confidence)


def _listened(
    recording: Recording, found: FoundTurns, digest: str, reason: str | None
) -> ListenedRecording:
    excerpts = choose_excerpts(found.turns)
    blocks = decode_audio(recording.file, track=recording.track, channel=recording.channel)
    peaks, sounds = cut_excerpts(blocks, excerpts, found.duration_s)
    return ListenedRecording(
        name=recording_name(recording),
        recording_sha256=digest,
        turns_sha256=turns_digest(found.turns),
        turns=tuple(replace(turn, text=None) for turn in found.turns),
        peaks=peaks,
        duration_s=found.duration_s,
        sounds=tuple(zip(excerpts, sounds, strict=True)),
        note=found.note,
        reason=reason,
    )
