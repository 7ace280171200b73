"""The methods of ``depmm steps``, with the settings of the command."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from depmm.corpora.corpus_facts import Windows
from depmm.media.sound.speech_segments import SegmentRules
from depmm.steps.recordings import FindSteps
from depmm.steps.speech import choose_detector, find_speech
from depmm.steps.table import StepProblem, StepsError
from depmm.steps.windows import find_windows

if TYPE_CHECKING:
    from depmm.steps.forced_alignment import Aligner


@dataclass(frozen=True)
class Method:
    """A method, and what it has to say.

    Attributes
    ----------
    find : callable
        Finds the steps of a recording.
    warnings : tuple of str
        What is not as requested, before the recordings are read.
    notes : callable
        Returns what was measured, after the recordings were read.
    unused : callable
        Returns the rows of the given tables that belong to no recording.
    """

    find: FindSteps
    warnings: tuple[str, ...] = ()
    notes: Callable[[], Iterable[str]] = tuple
    unused: Callable[[], Iterable[StepProblem]] = tuple


def by_speech(detector: str | None, rules: SegmentRules) -> Method:
    """Find segments of voice activity.

    Parameters
    ----------
    detector : {"silero", "energy"}, optional
        By default Silero VAD if it is installed.
    rules : SegmentRules
        Shortest segments and pauses, and margins.

    Returns
    -------
    Method
        The method.
    """
    detect, warning = choose_detector(detector)
    return Method(partial(find_speech, detector=detect, rules=rules), (warning,) if warning else ())


def by_windows(windows: Windows) -> Method:
    """Cut recordings into windows.

    Parameters
    ----------
    windows : Windows
        Length and hop.

    Returns
    -------
    Method
        The method.
    """
    return Method(partial(find_windows, windows=windows))


def by_words(
    words: Path | None,
    extent: Literal["onset", "speech"],
    offset: str,
    transcripts: Path | None,
    pronunciations: Path | None,
    model: Path | None,
    detector: str | None,
    rules: SegmentRules,
    recordings: Collection[str],
) -> Method:
    """Find words: of a list with onsets, or of transcripts.

    Parameters
    ----------
    words : Path or None
        The word list.
    extent : {"onset", "speech"}
        What the step of a listed word is.
    offset : str
        Seconds that are added to the onsets, or ``auto``.
    transcripts : Path or None
        Table or folder of transcripts.
    pronunciations : Path or None
        Further words of the English dictionary.
    model : Path or None
        Folder of a CTC model.
    detector : {"silero", "energy"}, optional
        Detects the speech of listed words.
    rules : SegmentRules
        Shortest speech and margins of listed words.
    recordings : collection of str
        Paths of the recordings.

    Returns
    -------
    Method
        The method.

    Raises
    ------
    StepsError
        If not one of ``words`` and ``transcripts`` is given, or a table or model cannot be used.
    """
    if (words is None) == (transcripts is None):
        raise StepsError(
            "--by words needs a word list or transcripts.",
            setting="words",
            remedy="Give either --words LIST or --transcripts TABLE.",
        )
    if words is not None:
        return _by_list(words, extent, offset, detector, rules, recordings)
    assert transcripts is not None
    from depmm.steps.forced_alignment import align_words
    from depmm.steps.word_tables import read_transcripts

    entries = read_transcripts(transcripts, recordings)
    aligner = build_aligner(model, pronunciations)
    return Method(partial(align_words, transcripts=entries, aligner=aligner), unused=entries.unused)


def build_aligner(model: Path | None, pronunciations: Path | None) -> "Aligner":
    """Build what aligns words with sound.

    Parameters
    ----------
    model : Path or None
        Folder of a CTC model; None for pocketsphinx (English).
    pronunciations : Path or None
        Further words of the English dictionary.

    Returns
    -------
    Aligner
        The aligner.

    Raises
    ------
    StepsError
        If pocketsphinx is not installed, or the model or a pronunciation cannot be used.
    """
    if model is None:
        from depmm.steps.pocketsphinx_aligner import PocketsphinxAligner

        return PocketsphinxAligner(pronunciations)
    from depmm.steps.ctc_aligner import CtcAligner

    return CtcAligner(model)


def _by_list(
    path: Path,
    extent: Literal["onset", "speech"],
    offset: str,
    detector: str | None,
    rules: SegmentRules,
    recordings: Collection[str],
) -> Method:
    from depmm.steps.word_onsets import WordTiming, find_listed_words
    from depmm.steps.word_tables import read_word_list

    entries = read_word_list(path, recordings)
    timing = WordTiming(extent, _offset_s(offset), rules)
    detect, warning = choose_detector(detector)
    return Method(
        partial(find_listed_words, words=entries, detector=detect, timing=timing),
        (warning,) if warning else (),
        lambda: [timing.summary()],
        entries.unused,
    )


def _offset_s(text: str) -> float | None:
    if text == "auto":
        return None
    try:
        return float(text)
    except ValueError:
        raise StepsError(
            f"--offset is {text!r}, not a number of seconds.",
            setting="offset",
            value=text,
            remedy="Give seconds, or auto.",
        ) from None
