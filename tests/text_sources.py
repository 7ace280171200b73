"""Tiny random text encoders with their tokenizers, in the layout of published ones."""

from pathlib import Path

import torch
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

TEXTS = [
    "I have been feeling tired lately, and I don't sleep well.",
    "Yes.",
    "My daughter visited us last week; we went to the sea together and ate ice cream.",
    "Ich weiß nicht, 我不知道!",
]
# large initial weights, so that attention and position affect the output
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "initializer_range": 0.3,
    "vocab_size": 300,
}
SPECIAL = {
    "bert": ("[PAD]", "[UNK]", "[CLS]", "[SEP]"),
    "roberta": ("<s>", "<pad>", "</s>", "<unk>"),
}


def train_tokenizer(family: str) -> PreTrainedTokenizerFast:
    """Train a tokenizer of word pieces (bert) or byte pairs (roberta)."""
    if family == "bert":
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=[*SPECIAL["bert"]])
        names = {"pad_token": "[PAD]", "unk_token": "[UNK]"}
        names |= {"cls_token": "[CLS]", "sep_token": "[SEP]"}
        first, last = "[CLS]", "[SEP]"
    else:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=290, special_tokens=[*SPECIAL["roberta"]], initial_alphabet=alphabet
        )
        names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
        names |= {"cls_token": "<s>", "sep_token": "</s>", "unk_token": "<unk>"}
        first, last = "<s>", "</s>"
    tokenizer.train_from_iterator(TEXTS, trainer)
    ids = [(name, tokenizer.token_to_id(name)) for name in (first, last)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}", special_tokens=ids
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def write_text_source(
    folder: Path, family: str = "bert", max_length: int = 32, seed: int = 0
) -> str:
    """Write a model in the layout of the hub; roberta has two more positions than tokens."""
    torch.manual_seed(seed)
    kind = "bert" if family in ("bert", "distilbert", "modernbert", "deberta-v2") else "roberta"
    tokenizer = train_tokenizer(kind)
    tokenizer.model_max_length = max_length
    offset = 2 if kind == "roberta" else 0
    sizes = dict(SIZES)
    if family == "distilbert":
        sizes = {"dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 32, "vocab_size": 300}
        sizes |= {"initializer_range": 0.3}
    config = AutoConfig.for_model(
        family,
        max_position_embeddings=max_length + offset,
        pad_token_id=tokenizer.pad_token_id,
        **sizes,
    )
    AutoModel.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
