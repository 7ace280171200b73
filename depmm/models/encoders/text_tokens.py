"""Tokenizers of pre-trained text encoders, as text in the config of a saved model.

A fast tokenizer of transformers is fully described by its ``tokenizer.json``. This JSON is kept in
the architecture of the encoder, so that a run carries its tokenizer without further files, network
access, pickle or code; the library tokenizers, which transformers depends on, parses it.
"""

import json
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from depmm.models.encoders.pretrained_source import unreadable
from depmm.models.errors import ModelError

# a limit of more tokens is the placeholder of tokenizers without a limit
LONGEST = 100_000
# to compare the tokenizer with that of transformers
PROBE = "I don't know... Ich weiß nicht, 我不知道! 3.5 µg"


def describe_tokenizer(source: str, config: Any, position_offset: int) -> dict[str, Any]:
    """Read the tokenizer of a pre-trained model.

    Parameters
    ----------
    source : str
        Local folder, or name on the hub.
    config : PreTrainedConfig
        Config of the network.
    position_offset : int
        Positions of the network that are not used.

    Returns
    -------
    dict
        ``tokenizer``, the text of its ``tokenizer.json``; ``max_length``, the largest number of
        tokens that the network reads, special tokens included; ``pad_id``, the token of padding.

    Raises
    ------
    ModelError
        If the tokenizer cannot be read, or is not one of the library tokenizers.
    """
    from transformers import AutoTokenizer  # here because of depmm.auto_classes

    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError, ImportError) as error:
        raise unreadable(source, "text_transformer", error) from None
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            f"text_transformer: the tokenizer of {source} is not one of the library tokenizers, so "
            "that it cannot be saved with a run. Choose a model with a tokenizer.json.",
            setting="source",
            value=type(tokenizer).__name__,
        )
    vocabulary = set(tokenizer.get_vocab().values())
    # without its files, transformers builds a tokenizer of special tokens only
    if not vocabulary - set(tokenizer.all_special_ids):
        raise unreadable(source, "text_transformer", OSError("the tokenizer has no vocabulary"))
    if max(vocabulary) >= (n_tokens := getattr(config, "vocab_size", max(vocabulary) + 1)):
        raise ModelError(
            f"text_transformer: the tokenizer of {source} has the token {max(vocabulary)}, but its "
            f"network has {n_tokens} tokens. Give the tokenizer of the model.",
            setting="source",
            value=max(vocabulary),
        )
    limits = [tokenizer.model_max_length, _sentence_limit(source)]
    if (positions := getattr(config, "max_position_embeddings", None)) is not None:
        limits.append(positions - position_offset)
    numbers = [limit for limit in limits if isinstance(limit, int | float)]
    known = [int(limit) for limit in numbers if 2 < limit < LONGEST]
    candidates = (tokenizer.pad_token_id, getattr(config, "pad_token_id", None), 0)
    described = {
        "tokenizer": tokenizer.backend_tokenizer.to_str(),
        "max_length": min(known, default=512),
        "pad_id": int(next(value for value in candidates if value is not None)),
    }
    whole = TextTokenizer(**described | {"max_length": LONGEST})
    found = whole.split(PROBE)[0].tolist()
    if (expected := tokenizer(PROBE, verbose=False)["input_ids"]) != found:
        raise ModelError(
            f"text_transformer: the tokenizer of {source} adds steps of its own to its "
            "tokenizer.json, so that it cannot be saved with a run. Choose another model.",
            setting="source",
            value=(expected, found),
        )
    return described


def _sentence_limit(source: str) -> object:
    """Read the number of tokens for which a model of sentence-transformers was trained."""
    from transformers.utils import cached_file

    name = "sentence_bert_config.json"
    try:
        path = cached_file(source, name, _raise_exceptions_for_missing_entries=False)
        if path is None:
            return None
        with open(path, encoding="utf-8") as file:
            limit: object = json.load(file).get("max_seq_length")
            return limit
    except (OSError, ValueError, AttributeError) as error:
        raise unreadable(source, "text_transformer", error) from None


class TextTokenizer:
    """Split texts into windows of token indices.

    Parameters
    ----------
    tokenizer : str
        Text of a ``tokenizer.json``.
    max_length : int
        Largest number of tokens of a window, special tokens included.
    pad_id : int
        Token of padding.

    Raises
    ------
    ModelError
        If the text is not that of a tokenizer, or the numbers cannot be used with it.
    """

    def __init__(self, tokenizer: str, max_length: int, pad_id: int) -> None:
        from tokenizers import Tokenizer

        try:
            self.tokenizer = Tokenizer.from_str(tokenizer)
            self.tokenizer.no_padding()
            n_special = self.tokenizer.num_special_tokens_to_add(False)
            if type(max_length) is not int or max_length <= n_special:
                raise ValueError(f"windows of {max_length!r:.20} tokens")
            if type(pad_id) is not int or pad_id < 0:
                raise ValueError(f"the token of padding is {pad_id!r:.20}")
            self.tokenizer.enable_truncation(max_length)  # the rest is in ``overflowing``
        except BaseException as error:
            _refuse(error, "cannot be built", tokenizer)
        self.pad_id = pad_id

    def split(self, text: str) -> list[NDArray[np.int64]]:
        """Tokenize a text.

        Parameters
        ----------
        text : str
            The text.

        Returns
        -------
        list of ndarray of int64
            One window of tokens, with special tokens; several if the text is longer than the
            network reads.

        Raises
        ------
        ModelError
            If the tokenizer fails, as that of a changed run can.
        """
        try:
            encoding = self.tokenizer.encode(text)
        except BaseException as error:
            _refuse(error, "cannot read a text", None)
        windows = [encoding, *encoding.overflowing]
        ids = [np.array(window.ids, dtype=np.int64) for window in windows if window.ids]
        return ids or [np.array([self.pad_id], dtype=np.int64)]


def _refuse(error: BaseException, problem: str, value: str | None) -> NoReturn:
    """Raise the error of a tokenizer; an interrupt is raised as it is."""
    # the library raises Exception itself, and a panic of its code, which is not an Exception
    if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
        raise error
    raise ModelError(
        f"text_transformer: the tokenizer {problem} ({str(error)[:200]}). Give the source "
        "again, or remove architecture from the config.",
        setting="architecture.processor.tokenizer",
        value=None if value is None else value[:80],
    ) from None
