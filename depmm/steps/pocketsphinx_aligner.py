"""Forced alignment of English words by PocketSphinx, whose model is inside its package.

The Viterbi search through the hidden Markov models of the words, with optional silence between
them, has beams that are wide enough for every path. On 180 words of the GRID corpus, the starts
differ from the corpus' own times by .02 s (median) and .08 s (95th percentile).

References
----------
D. Huggins-Daines et al., "PocketSphinx: a free, real-time continuous speech recognition system for
hand-held devices", ICASSP 2006, 185-188. https://github.com/cmusphinx/pocketsphinx.
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from depmm.corpora.tables.table_files import read_text
from depmm.steps.forced_alignment import WordTime
from depmm.steps.table import StepsError

FRAMES_PER_SECOND = 100
# With the default beams and the search through the word lattice, words of a right text are lost in
# noise: 11 of 30 sentences of GRID at 20 dB.
_SEARCH = {"bestpath": False, "beam": 1e-150, "pbeam": 1e-150, "wbeam": 1e-150}
# Confidence: logistic function of the mean log likelihood ratio per frame between the states of the
# word and the best state that the search considers. The constants separate 246 right from 451
# wrong words of GRID (AUROC .94 for one speaker, .97 for ten others).
_SLOPE, _MIDDLE = 1.2, -3.8
_SCORE_SCALE = 1024  # by which PocketSphinx divides log likelihoods (SENSCR_SHIFT of 10 bits)
_VARIANT = re.compile(r"\(\d+\)$")  # of the pronunciation, for example a(2)


class PocketsphinxAligner:
    """Align English words.

    Parameters
    ----------
    pronunciations : Path, optional
        Further words: a text file with one word and its phones per line, in the form of the CMU
        Pronouncing Dictionary, for example ``moodiness M UW D IY N AH S``.

    Raises
    ------
    StepsError
        If pocketsphinx is not installed, or a pronunciation is not one.
    """

    def __init__(self, pronunciations: Path | None = None) -> None:
        try:
            import pocketsphinx
        except ImportError:
            raise StepsError(
                "pocketsphinx, which aligns English words, is not installed.",
                value="pocketsphinx",
                remedy='Install it: pip install "depmm[steps]". For other languages, give --model.',
            ) from None
        self._decoder = pocketsphinx.Decoder(lm=None, loglevel="FATAL", **_SEARCH)
        if pronunciations is not None:
            self._add(pronunciations)

    def _add(self, path: Path) -> None:
        for line, text in enumerate(read_text(path, str(path)).splitlines(), 1):
            word, *phones = text.split() or [""]
            if not word:
                continue
            try:
                self._decoder.add_word(word.lower(), " ".join(phones), update=True)
            except RuntimeError:
                raise StepsError(
                    f"{path}, line {line}: {text!r} is not a word and its phones.",
                    file=path,
                    line=line,
                    value=text,
                    remedy="Write it as in the CMU Pronouncing Dictionary: joy JH OY.",
                ) from None

    def find_unknown(self, word: str) -> str | None:
        """Tell why a word cannot be aligned.

        Parameters
        ----------
        word : str
            The word.

        Returns
        -------
        str or None
            The reason if the word is not in the dictionary.
        """
        if self._decoder.lookup_word(word.lower()) is not None:
            return None
        return (
            "the word is not in the English dictionary, and the words beside it may be too long. "
            "Add it with --pronunciations."
        )

    def align(self, samples: np.ndarray, words: Sequence[str]) -> list[WordTime] | None:
        """Align words with the sound in which they are spoken.

        Parameters
        ----------
        samples : ndarray of float32, shape (T,)
            Samples at 16 kHz.
        words : sequence of str
            Words of the dictionary.

        Returns
        -------
        list of WordTime or None
            One per word; None if no path through the sound is these words.
        """
        expected = [word.lower() for word in words]
        decoder = self._decoder
        decoder.set_align_text(" ".join(expected))
        decoder.start_utt()
        pcm = np.clip(samples * 32767, -32768, 32767).astype(np.int16)
        decoder.process_raw(pcm.tobytes(), no_search=False, full_utt=True)
        decoder.end_utt()
        segments = [segment for segment in decoder.seg() or () if _is_word(segment.word)]
        if [_VARIANT.sub("", segment.word) for segment in segments] != expected:
            return None
        return [
            WordTime(
                segment.start_frame / FRAMES_PER_SECOND,
                (segment.end_frame + 1) / FRAMES_PER_SECOND,
                _confidence(segment.ascore, segment.end_frame + 1 - segment.start_frame),
            )
            for segment in segments
        ]


def _is_word(name: str) -> bool:
    """Tell a word from silence and noise, such as <sil> and [NOISE]."""
    return name[0] not in "<[("


def _confidence(likelihood: float, n_frames: int) -> float:
    ratio = _SCORE_SCALE * math.log(max(likelihood, 1e-300)) / n_frames
    return 1 / (1 + math.exp(-_SLOPE * (ratio - _MIDDLE)))
