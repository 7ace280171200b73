"""Forced alignment by a CTC model of the transformers library, for any language.

References
----------
L. Kürzinger et al., "CTC-segmentation of large corpora for German end-to-end speech recognition",
SPECOM 2020, section 2; V. Pratap et al., "Scaling speech technology to 1,000+ languages", JMLR
25(97), 2024, section 3.1. :func:`align_tokens` is the Viterbi search of
``torchaudio.functional.forced_align``, which is part of an extension that torchaudio lacks where
only the CPU version of torch is installed.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from depmm.config import SAMPLE_RATE
from depmm.files.checksums import read_text
from depmm.models.encoders.pretrained_source import read_config, unreadable
from depmm.steps.forced_alignment import WordTime
from depmm.steps.table import StepsError

_DELIMITER = "|"  # token between two words in the vocabulary of wav2vec2 models


class CtcAligner:
    """Align words by the letters of a CTC model, for example wav2vec2.

    Parameters
    ----------
    folder : Path
        The model: config.json, model.safetensors, preprocessor_config.json and vocab.json. No code
        in it is run.

    Raises
    ------
    StepsError
        If the folder contains no such model, or a vocabulary of several languages.
    """

    def __init__(self, folder: Path) -> None:
        import torch
        from transformers import AutoModelForCTC
        from transformers.utils import logging

        if not folder.is_dir():
            raise StepsError(
                f"{folder}: not a folder.", file=folder, remedy="Give the folder of a CTC model."
            )
        config = read_config(str(folder), "--model")
        self._indices = _read_vocabulary(folder)
        self._blank = config.pad_token_id or 0
        self._normalize = _reads_normalized(folder)
        verbosity = logging.get_verbosity()
        logging.set_verbosity_error()
        try:
            self._network = AutoModelForCTC.from_pretrained(
                folder, config=config, dtype=torch.float32, use_safetensors=True,
                local_files_only=True, trust_remote_code=False,
            ).eval()  # fmt: skip
        except (OSError, ValueError, RuntimeError) as error:
            raise unreadable(str(folder), "--model", error) from None
        finally:
            logging.set_verbosity(verbosity)

    def find_unknown(self, word: str) -> str | None:
        """Tell why a word cannot be aligned.

        Parameters
        ----------
        word : str
            The word.

        Returns
        -------
        str or None
            The reason if a letter is not in the vocabulary of the model.
        """
        missing = [letter for letter in word if self._index(letter) is None]
        if not missing:
            return None
        return f"{missing[0]!r} is not a letter of the model. Write the word as it is spoken."

    def _index(self, letter: str) -> int | None:
        # models were trained on upper-case or lower-case letters
        forms = (letter, letter.lower(), letter.upper())
        return next((self._indices[form] for form in forms if form in self._indices), None)

    def emissions(self, samples: np.ndarray) -> np.ndarray:
        """Compute the log probabilities of the tokens in every frame.

        Parameters
        ----------
        samples : ndarray of float32, shape (T,)
            Samples at 16 kHz.

        Returns
        -------
        ndarray of float32, shape (F, V)
            Log probabilities.
        """
        import torch

        if self._normalize:
            samples = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
        with torch.inference_mode():
            logits = self._network(torch.from_numpy(samples)[None]).logits[0]
            result: np.ndarray = logits.log_softmax(dim=-1).numpy()
        return result

    def align(self, samples: np.ndarray, words: Sequence[str]) -> list[WordTime] | None:
        """Align words with the sound in which they are spoken.

        Parameters
        ----------
        samples : ndarray of float32, shape (T,)
            Samples at 16 kHz.
        words : sequence of str
            Words of letters of the model.

        Returns
        -------
        list of WordTime or None
            One per word; None if the sound is too short. The confidence is the mean probability of
            the letters of a word.
        """
        tokens, owners = [], []
        for number, word in enumerate(words):
            if number and _DELIMITER in self._indices:
                tokens.append(self._indices[_DELIMITER])
                owners.append(-1)
            indices = [self._index(letter) for letter in word]
            tokens += [index for index in indices if index is not None]
            owners += [number] * len(indices)
        emissions = self.emissions(samples)
        spans = align_tokens(emissions, tokens, self._blank)
        if spans is None:
            return None
        frame_s = len(samples) / SAMPLE_RATE / len(emissions)
        times = []
        for number in range(len(words)):
            own = [(tokens[i], *spans[i]) for i, owner in enumerate(owners) if owner == number]
            scores = np.concatenate([np.exp(emissions[a:b, token]) for token, a, b in own])
            times.append(
                WordTime(own[0][1] * frame_s, own[-1][2] * frame_s, float(scores.mean().clip(0, 1)))
            )
        return times


def align_tokens(
    log_probabilities: np.ndarray, tokens: Sequence[int], blank: int
) -> list[tuple[int, int]] | None:
    """Find the most probable frames of each token of a sequence.

    Parameters
    ----------
    log_probabilities : ndarray, shape (F, V)
        Log probabilities of the tokens in every frame.
    tokens : sequence of int
        The tokens in order, without blanks; at least one.
    blank : int
        Index of the blank.

    Returns
    -------
    list of tuple of (int, int) or None
        First frame and end of each token; None if there are too few frames.

    References
    ----------
    A. Graves et al., "Connectionist temporal classification", ICML 2006, section 4.1 (states), with
    the maximum in place of the sum in equation 6.
    """
    n_frames, n_states = len(log_probabilities), 2 * len(tokens) + 1
    states = np.full(n_states, blank)
    states[1::2] = tokens
    # a blank between two different tokens may be left out
    skips = np.zeros(n_states, bool)
    skips[2:] = (states[2:] != blank) & (states[2:] != states[:-2])
    score = np.full(n_states, -np.inf)
    score[:2] = log_probabilities[0, states[:2]]
    moves = np.zeros((n_frames, n_states), np.int8)
    for frame in range(1, n_frames):
        options = np.full((3, n_states), -np.inf)
        options[0] = score
        options[1, 1:] = score[:-1]
        options[2, 2:] = np.where(skips[2:], score[:-2], -np.inf)
        moves[frame] = options.argmax(axis=0)
        score = options.max(axis=0) + log_probabilities[frame, states]
    state = n_states - 1 if score[-1] >= score[-2] else n_states - 2
    if not np.isfinite(score[state]):
        return None
    path = np.empty(n_frames, np.int64)
    for frame in range(n_frames - 1, -1, -1):
        path[frame] = state
        state -= int(moves[frame, state])
    frames = [np.flatnonzero(path == 2 * index + 1) for index in range(len(tokens))]
    return [(int(own[0]), int(own[-1]) + 1) for own in frames]


def _read_vocabulary(folder: Path) -> dict[str, int]:
    path = folder / "vocab.json"
    if not path.is_file():
        raise StepsError(
            f"{path}: missing.", file=path, remedy="Copy vocab.json of the tokenizer of the model."
        )
    try:
        content = json.loads(read_text(path))
    except ValueError as error:
        raise StepsError(f"{path}: not JSON ({error}).", file=path) from None
    if not isinstance(content, dict) or not all(isinstance(v, int) for v in content.values()):
        raise StepsError(
            f"{path}: not one vocabulary of tokens and indices.",
            file=path,
            remedy="Of a model for several languages (MMS), save the tokenizer with the language: "
            'AutoProcessor.from_pretrained(name, target_lang="deu").tokenizer, and the model.',
        )
    return content


def _reads_normalized(folder: Path) -> bool:
    """Tell whether the model reads sound of mean 0 and variance 1."""
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        return True
    return bool(json.loads(read_text(path)).get("do_normalize", True))
