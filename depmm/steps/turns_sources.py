"""Sources of turns: two channels, a transcript, or the voices of a recording."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from depmm.media.sound.audio import decode_audio
from depmm.media.sound.speech_segments import SegmentRules, apply_rules
from depmm.media.sound.voice_activity import frame_levels
from depmm.steps.forced_alignment import Aligner
from depmm.steps.recordings import Recording
from depmm.steps.speech import Detector, read_speech
from depmm.steps.table import StepProblem, StepsError
from depmm.steps.turns import Turn
from depmm.steps.turns_alignment import align_rows
from depmm.steps.turns_channels import find_channel_turns
from depmm.steps.turns_clusters import cluster_turns, cluster_windows
from depmm.steps.turns_embeddings import (
    SpeakerEncoderEmbedding,
    SpectralStatistics,
    TransformersEmbedding,
    VoiceEmbedding,
    cut_windows,
    embed_windows,
)
from depmm.steps.turns_transcript import (
    TranscriptRow,
    find_transcript,
    read_transcript,
    transcript_turns,
)


@dataclass(frozen=True)
class FoundTurns:
    """The turns of a recording.

    Attributes
    ----------
    turns : list of Turn
        In the order of time, with the names of speakers or clusters.
    duration_s : float
        Length of the recording in seconds.
    note : str
        A sentence about how well the speakers are told apart.
    problems : list of StepProblem
        Rows of a transcript that are no turns.
    """

    turns: list[Turn]
    duration_s: float
    note: str
    problems: list[StepProblem]


TurnSource = Callable[[Recording], FoundTurns]
"""Finds the turns of one recording."""


def choose_embedding(folder: Path | None = None) -> tuple[VoiceEmbedding, str | None]:
    """Return the embedding of voices that is on this computer.

    Parameters
    ----------
    folder : Path, optional
        Folder of a transformers model with an x-vector head. By default the speaker encoder of
        ``depmm download identity``, or without it statistics of MFCC and pitch.

    Returns
    -------
    embedding : VoiceEmbedding
        The embedding.
    warning : str or None
        A warning if there is no speaker model.

    Raises
    ------
    StepsError
        If the folder contains no such model.
    MediaError
        If the weights of the speaker encoder are damaged.
    """
    if folder is not None:
        return TransformersEmbedding(folder), None
    if SpeakerEncoderEmbedding.is_available():
        return SpeakerEncoderEmbedding(), None
    return SpectralStatistics(), (
        "warning: no speaker model is on this computer: voices are compared by MFCC and pitch, "
        "which often fails if voices are emotional. Run depmm download identity once, or give "
        "--speaker-model."
    )


def channel_source(detector: Detector) -> TurnSource:
    """Return the source for recordings with a channel for each speaker.

    Parameters
    ----------
    detector : callable
        Detector of speech.

    Returns
    -------
    callable
        The source; the speakers are ``channel_0`` and ``channel_1``.
    """

    def find(recording: Recording) -> FoundTurns:
        levels, speech = [], []
        duration_s = 0.0
        for channel in (0, 1):
            of_channel = Recording(recording.path, recording.file, recording.track, channel)
            found = read_speech(of_channel, detector)
            duration_s = max(duration_s, found.duration_s)
            speech.append(apply_rules(found.segments, SegmentRules(margin_s=0.0)))
            blocks = decode_audio(recording.file, track=recording.track, channel=channel)
            levels.append(frame_levels(blocks))
        channels = find_channel_turns(levels, speech)
        note = (
            f"The levels of the channels differ by {channels.separation_db:.0f} dB between the "
            f"speakers; both speak during {channels.overlap_s:.1f} s."
        )
        return FoundTurns(channels.turns, duration_s, note, [])

    return find


def voice_source(detector: Detector, embedding: VoiceEmbedding) -> TurnSource:
    """Return the source that clusters the voices of a recording.

    Parameters
    ----------
    detector : callable
        Detector of speech.
    embedding : VoiceEmbedding
        Embedding of voices.

    Returns
    -------
    callable
        The source; the speakers are ``speaker_1`` and ``speaker_2``.
    """

    def find(recording: Recording) -> FoundTurns:
        found = read_speech(recording, detector)
        speech = apply_rules(found.segments, SegmentRules(min_pause_s=0.1, margin_s=0.0))
        windows = cut_windows(speech)
        clusters = None
        if len(windows):
            blocks = decode_audio(recording.file, track=recording.track, channel=recording.channel)
            embeddings = embed_windows(blocks, windows, embedding)
            clusters = cluster_windows(embeddings, windows)
        if clusters is None:
            raise StepsError("The recording contains no speech.", remedy="Listen to it.")
        note = f"Mean silhouette of the voices {clusters.separation:.2f} ({embedding.name})."
        turns = cluster_turns(clusters, windows, speech)
        return FoundTurns(turns, found.duration_s, note, [])

    return find


def transcript_source(
    detector: Detector, pattern: str, build_aligner: Callable[[], Aligner]
) -> TurnSource:
    """Return the source that reads a transcript of each recording.

    Parameters
    ----------
    detector : callable
        Detector of speech, for transcripts without end times.
    pattern : str
        Pattern of the transcript, see :func:`depmm.steps.turns_transcript.find_transcript`.
    build_aligner : callable
        Builds what aligns the words of transcripts without times.

    Returns
    -------
    callable
        The source; the speakers have the names in the transcript.
    """
    aligner = cache(build_aligner)

    def find(recording: Recording) -> FoundTurns:
        path = find_transcript(recording.file, pattern)
        rows = read_transcript(path)
        if not rows:
            raise StepsError(
                f"{path.name}: no row with a speaker.", file=path, remedy="Correct the transcript."
            )
        if all(row.start_s is None for row in rows):
            aligned = align_rows(recording, rows, aligner())
            problems = _describe_rows(recording, path, aligned.unused)
            note = f"Speakers and words of a transcript with {len(rows)} rows, aligned."
            return FoundTurns(aligned.turns, aligned.duration_s, note, problems)
        found = read_speech(recording, detector)
        turns, unused = transcript_turns(rows, found.duration_s, found.segments)
        note = f"Speakers and times of a transcript with {len(rows)} rows."
        if n_ends := sum(row.end_s is None for row in rows):
            note += f" {n_ends} of them end with the last speech before the next row."
        return FoundTurns(turns, found.duration_s, note, _describe_rows(recording, path, unused))

    return find


def _describe_rows(
    recording: Recording, path: Path, unused: list[tuple[TranscriptRow, str]]
) -> list[StepProblem]:
    return [
        StepProblem(recording.path, f"{path.name}, line {row.line}: {reason}.", row.text or None)
        for row, reason in unused
    ]
