"""Choices of the participant among the speakers of recordings, in a CSV file.

A choice holds for the file that was listened to and for its turns. If either has changed, the name
of a cluster may mean another voice, and the choice is not used.
"""

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from depmm.files.writing import write_text
from depmm.steps.table import StepsError
from depmm.steps.turns import Turn

COLUMNS = ("recording", "participant", "recording_sha256", "turns_sha256")
MAX_BYTES = 16 * 2**20
_DIGEST_LETTERS = 16  # of 64; the files of one study are told apart


@dataclass(frozen=True)
class Choice:
    """Which speaker of a recording is the participant.

    Attributes
    ----------
    recording : str
        Path of the recording without its suffix.
    participant : str
        Name of the speaker, for example ``speaker_2``.
    recording_sha256, turns_sha256 : str
        First 16 letters of the digests of the file and of its turns.
    """

    recording: str
    participant: str
    recording_sha256: str
    turns_sha256: str


def choices_path(out: Path) -> Path:
    """Return the path of the choices that are kept beside a table of steps.

    Parameters
    ----------
    out : Path
        The table, for example ``turns.csv``.

    Returns
    -------
    Path
        For example ``turns.participants.csv``.
    """
    return out.with_name(f"{out.stem}.participants.csv")


def recording_digest(path: Path) -> str:
    """Compute the digest of a file.

    Parameters
    ----------
    path : Path
        The recording.

    Returns
    -------
    str
        16 hexadecimal letters.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:_DIGEST_LETTERS]


def turns_digest(turns: Sequence[Turn]) -> str:
    """Compute the digest of turns: times, rounded to 10 ms, and speakers.

    Parameters
    ----------
    turns : sequence of Turn
        The turns.

    Returns
    -------
    str
        16 hexadecimal letters.
    """
    lines = [f"{turn.start_s:.2f} {turn.end_s:.2f} {turn.speaker}" for turn in turns]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:_DIGEST_LETTERS]


Choices = dict[tuple[str, str], Choice]
"""Choices by recording and digest of its file; ``a.wav`` and ``a.mp4`` have one name."""


def read_choices(path: Path) -> Choices:
    """Read choices.

    Parameters
    ----------
    path : Path
        A CSV file that the listening page or ``depmm steps`` wrote.

    Returns
    -------
    dict of tuple of (str, str) to Choice
        Choices by recording and digest of the file.

    Raises
    ------
    StepsError
        If the file does not exist, is not such a file, or has two choices for one recording.
    """
    rows = csv.DictReader(io.StringIO(_read(path)))
    if tuple(rows.fieldnames or ()) != COLUMNS:
        raise StepsError(
            f"{path}: not a file of choices: the columns are "
            f"{', '.join(rows.fieldnames or ()) or 'missing'}, expected {', '.join(COLUMNS)}.",
            file=path,
            setting="participant",
            remedy="Give the file that the listening page downloads.",
        )
    choices: Choices = {}
    for row in rows:
        choice = Choice(**{name: (row[name] or "").strip() for name in COLUMNS})
        if choices.setdefault((choice.recording, choice.recording_sha256), choice) != choice:
            raise StepsError(
                f"{path}, line {rows.line_num}: {choice.recording} has two choices.",
                file=path,
                line=rows.line_num,
                column="recording",
                value=choice.recording,
                remedy="Remove one of them.",
            )
    return choices


def _read(path: Path) -> str:
    remedy = "Give the file that the listening page downloads."
    if not path.is_file():
        raise StepsError(f"{path}: no such file.", file=path, setting="participant", remedy=remedy)
    if path.stat().st_size > MAX_BYTES:
        raise StepsError(
            f"{path}: too large for a file of choices.", file=path, setting="participant",
            remedy=remedy,
        )  # fmt: skip
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise StepsError(
            f"{path}: not text in UTF-8.", file=path, setting="participant", remedy=remedy
        ) from None


def write_choices(choices: Iterable[Choice], path: Path) -> None:
    """Write choices, sorted by recording; without a choice the file is removed.

    Parameters
    ----------
    choices : iterable of Choice
        The choices.
    path : Path
        The CSV file.
    """
    ordered = sorted(choices, key=lambda choice: choice.recording)
    if not ordered:
        path.unlink(missing_ok=True)
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(choice) for choice in ordered)
    write_text(path, text.getvalue())


def check_choice(
    choices: Mapping[tuple[str, str], Choice], recording: str, digest: str, turns: Sequence[Turn]
) -> tuple[str | None, str | None]:
    """Find the participant of a recording among the choices.

    Parameters
    ----------
    choices : mapping of tuple of (str, str) to Choice
        Choices by recording and digest of the file.
    recording : str
        Path of the recording without its suffix.
    digest : str
        Digest of its file.
    turns : sequence of Turn
        Its turns.

    Returns
    -------
    participant : str or None
        Name of the speaker; None without a valid choice.
    reason : str or None
        Why a choice is not used.
    """
    choice = choices.get((recording, digest))
    if choice is None:
        if any(name == recording for name, _ in choices):
            return None, "the recording has changed since its participant was chosen"
        return None, None
    if choice.turns_sha256 != turns_digest(turns):
        return None, "the turns have changed since the participant was chosen"
    if choice.participant not in {turn.speaker for turn in turns}:
        return None, f"the chosen participant {choice.participant!r} does not speak"
    return choice.participant, None
