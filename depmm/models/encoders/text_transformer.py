"""Pre-trained text encoders on the text of each step, such as XLM-R or sentence transformers.

Network, weights and tokenizer are those of the transformers library. The vector of a step is the
mean over its tokens, special tokens included, as in Sentence-BERT (Reimers and Gurevych, Sec. 3). A
text that is longer than the network can read is divided into windows of that length, and the mean
is over the tokens of all windows: nothing is cut.

References
----------
Devlin et al., "BERT", NAACL 2019, arXiv:1810.04805.
Reimers and Gurevych, "Sentence-BERT", EMNLP 2019, arXiv:1908.10084.
Conneau et al., "Unsupervised cross-lingual representation learning at scale" (XLM-R), ACL 2020,
arXiv:1911.02116.
"""

from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from depmm.models.encoders.adaptation import Adaptation
from depmm.models.encoders.pretrained import PretrainedEncoder
from depmm.models.encoders.pretrained_source import build_network, describe_network, read_config
from depmm.models.encoders.text_tokens import TextTokenizer, describe_tokenizer
from depmm.models.errors import ModelError
from depmm.models.host import Lengths, host_lengths, host_mask, scatter_valid, to_device
from depmm.models.masking import length_mask

WINDOWS_AT_ONCE = 32  # of similar length per forward pass; limits the memory of long sessions


class TextTransformer(PretrainedEncoder):
    """Encode the text of each step with a pre-trained text encoder.

    Parameters
    ----------
    source : str
        As in ``PretrainedEncoder``.
    adaptation : {"frozen", "lora", "full"}
        As in ``PretrainedEncoder``.
    lora : dict
        As in ``PretrainedEncoder``.
    layer : int or None
        As in ``PretrainedEncoder``; -1 for the last hidden state.
    embed_dim : int
        As in ``PretrainedEncoder``.
    dropout : float
        As in ``PretrainedEncoder``.
    architecture : dict
        As in ``PretrainedEncoder``.

    Raises
    ------
    ModelError
        As in ``PretrainedEncoder``, or if the tokenizer cannot be built.
    """

    kind: ClassVar[str] = "text_transformer"

    def __init__(
        self,
        source: str,
        adaptation: Adaptation,
        lora: dict[str, Any],
        layer: int | None,
        embed_dim: int,
        dropout: float,
        architecture: dict[str, Any],
    ) -> None:
        super().__init__(source, adaptation, lora, layer, embed_dim, dropout, architecture)
        self.tokenizer = TextTokenizer(**architecture["processor"])

    @classmethod
    def describe(cls, source: str) -> dict[str, Any]:
        """Describe a pre-trained text model, so that it can be built without its files.

        Parameters
        ----------
        source : str
            Local folder, or name on the hub.

        Returns
        -------
        dict
            As ``describe_network`` returns it; ``processor`` has the parameters of
            ``TextTokenizer``.

        Raises
        ------
        ModelError
            If the files cannot be read, or the model cannot be used.
        """
        config = read_config(source, cls.kind, part="text_config")

        def example(_: Any) -> dict[str, Tensor]:
            ids = torch.ones(1, 8, dtype=torch.long)
            return {"input_ids": ids, "attention_mask": ids}

        described = describe_network(source, cls.kind, config, {}, example)
        with torch.device("meta"):
            offset = _position_offset(build_network(described))
        return described | {"processor": describe_tokenizer(source, config, offset)}

    def pool(self, x: Tensor, lengths: ArrayLike) -> Tensor:
        """Average the hidden states over the tokens of each step.

        Parameters
        ----------
        x : Tensor, shape (N, T), uint8
            UTF-8 bytes, on the CPU.
        lengths : array_like of int, shape (N,)
            Valid bytes, at least 1, on the host.

        Returns
        -------
        Tensor, shape (N, K)
            One hidden state, or all of them concatenated, on the device of the network.
        """
        device = next(self.backbone.parameters()).device
        steps = [self.tokenizer.split(text) for text in read_texts(x, lengths)]
        windows = [window for step in steps for window in step]
        n_tokens = np.array([len(window) for window in windows])
        order = n_tokens.argsort(kind="stable")
        parts = np.split(order, range(WINDOWS_AT_ONCE, len(order), WINDOWS_AT_ONCE))
        sums = torch.cat([self._sum_tokens([windows[i] for i in part], device) for part in parts])
        sums = sums[to_device(order.argsort(), device)]
        n_windows = np.array([len(step) for step in steps])
        of_step = host_mask(n_windows, int(n_windows.max()))
        total = np.add.reduceat(n_tokens, n_windows.cumsum() - n_windows)
        return scatter_valid(sums, of_step).sum(dim=1) / to_device(total, device).unsqueeze(-1)

    def _sum_tokens(self, windows: list[NDArray[np.int64]], device: torch.device) -> Tensor:
        """Sum the hidden states of windows over their tokens, (M, K) in float32."""
        n_tokens: Lengths = np.array([len(window) for window in windows])
        ids = np.full((len(windows), int(n_tokens.max())), self.tokenizer.pad_id)
        for row, window in enumerate(windows):
            ids[row, : len(window)] = window
        n_known = cast(Any, self.backbone).get_input_embeddings().num_embeddings
        if ids.max() >= n_known:  # on a GPU, the process could not go on
            raise ModelError(
                f"text_transformer: the tokenizer gives the token {ids.max()}, but the network has "
                f"{n_known}. Use a run that was not changed.",
                setting="architecture.processor.tokenizer",
                value=int(ids.max()),
            )
        # always a mask: without one, transformers reads the tokens to warn of padding
        mask = length_mask(to_device(n_tokens, device), ids.shape[1])
        output = self.backbone(
            input_ids=to_device(ids, device), attention_mask=mask.long(), output_hidden_states=True
        )
        outside = ~mask.unsqueeze(-1)
        states = [state.float().masked_fill(outside, 0.0) for state in self.chosen_states(output)]
        return torch.cat([state.sum(dim=1) for state in states], dim=-1)


def read_texts(x: Tensor, lengths: ArrayLike) -> list[str]:
    """Decode the text of each step.

    Parameters
    ----------
    x : Tensor, shape (N, T), uint8
        UTF-8 bytes, on the CPU.
    lengths : array_like of int, shape (N,)
        Valid bytes of each step.

    Returns
    -------
    list of str, length N
        The texts; bytes that are not UTF-8 become the replacement character.
    """
    rows = x.numpy()
    return [
        row[:length].tobytes().decode("utf-8", errors="replace")
        for row, length in zip(rows, host_lengths(lengths).tolist(), strict=True)
    ]


def _position_offset(network: torch.nn.Module) -> int:
    """Return the first position of a text: RoBERTa counts from the index of its padding on."""
    for name, module in network.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, torch.nn.Embedding):
            return 0 if module.padding_idx is None else module.padding_idx + 1
    return 0
