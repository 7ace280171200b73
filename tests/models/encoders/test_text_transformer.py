"""Text transformers: equal to the transformers library for single texts, for any batch."""

import contextlib
import json
import shutil

import pytest
import torch
from model_builders import text_inputs
from text_sources import TEXTS, write_text_source
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

from depmm.config import ModelConfig
from depmm.models.encoders import text_transformer
from depmm.models.encoders.text_tokens import TextTokenizer
from depmm.models.encoders.text_transformer import TextTransformer
from depmm.models.errors import ModelError
from depmm.models.model import DepressionModel, build_model

FAMILIES = ["bert", "roberta", "xlm-roberta", "mpnet", "distilbert", "deberta-v2", "modernbert"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_text_source(tmp_path_factory.mktemp("bert"))


def encoder_of(source: str, layer: int | None = -1, **settings) -> TextTransformer:
    torch.manual_seed(1)
    arguments = {"adaptation": "frozen", "lora": {}, "embed_dim": 6, "dropout": 0.0, **settings}
    architecture = TextTransformer.describe(source)
    encoder = TextTransformer(source, layer=layer, architecture=architecture, **arguments)
    encoder.load_pretrained()
    return encoder.eval()


def encode(encoder: TextTransformer, texts: list[str]) -> Tensor:
    inputs = text_inputs([texts])
    return encoder.precompute(inputs.values[0], inputs.lengths[0])


def by_hand(source: str, text: str) -> list[Tensor]:
    """Average each hidden state over the tokens of a text that the network can read."""
    tokens = AutoTokenizer.from_pretrained(source)(text, return_tensors="pt")
    network = AutoModel.from_pretrained(source).eval()
    with torch.no_grad():
        output = network(input_ids=tokens["input_ids"], output_hidden_states=True)
    return [state[0].mean(0) for state in (*output.hidden_states[:-1], output.last_hidden_state)]


@pytest.mark.parametrize("family", FAMILIES)
def test_each_step_equals_transformers_and_a_saved_model_needs_no_source(family, tmp_path):
    source = write_text_source(tmp_path / "source", family, max_length=96)
    encoder = encoder_of(source, layer=None)
    together = encode(encoder, TEXTS)
    assert together.shape == (len(TEXTS), encoder.precompute_dim) == (4, 4 * 16)
    for row, text in enumerate(TEXTS):
        expected = torch.cat(by_hand(source, text))
        torch.testing.assert_close(together[row], expected, rtol=0, atol=1e-4)
    text = {"kind": "text_transformer", "source": source, "embed_dim": 8}
    model = build_model(ModelConfig(encoders={"text": text}, fusion={"kind": "mean_pool"})).eval()
    inputs = {"text": text_inputs([TEXTS[:3], TEXTS[3:]])}
    expected = model(inputs).logits
    model.save_pretrained(tmp_path / "run")
    shutil.rmtree(source)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "config.json",
        "model.safetensors",
    }
    loaded = DepressionModel.from_pretrained(tmp_path / "run")
    torch.testing.assert_close(loaded(inputs).logits, expected, rtol=0, atol=1e-5)


def test_batch_and_padding_do_not_change_the_output(source, monkeypatch):
    encoder = encoder_of(source)
    whole = encode(encoder, TEXTS)
    monkeypatch.setattr(text_transformer, "WINDOWS_AT_ONCE", 1)
    order = [2, 0, 3, 1]
    parts = encode(encoder, [TEXTS[i] for i in order])
    torch.testing.assert_close(parts, whole[order], rtol=0, atol=1e-4)
    differ = (whole[:, None] - whole).abs().amax(dim=-1)
    assert (differ + torch.eye(4) > 1e-2).all()


def test_a_long_text_is_the_mean_over_the_tokens_of_its_windows(tmp_path):
    source = write_text_source(tmp_path, "roberta", max_length=10)
    encoder = encoder_of(source)
    assert encoder.architecture["processor"]["max_length"] == 10
    text = " ".join(TEXTS)
    tokenizer, network = AutoTokenizer.from_pretrained(source), AutoModel.from_pretrained(source)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    first, last = tokenizer.bos_token_id, tokenizer.eos_token_id
    windows = [[first, *ids[i : i + 8], last] for i in range(0, len(ids), 8)]
    assert len(windows) > 5
    with torch.no_grad():
        states = [
            network.eval()(input_ids=torch.tensor([window])).last_hidden_state[0]
            for window in windows
        ]
    expected = torch.cat(states).mean(dim=0)
    torch.testing.assert_close(encode(encoder, ["Yes.", text])[1], expected, rtol=0, atol=1e-4)


def test_the_limit_of_a_sentence_transformer_is_used(tmp_path):
    source = write_text_source(tmp_path, max_length=32)
    assert TextTransformer.describe(source)["processor"]["max_length"] == 32
    (tmp_path / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 12}))
    assert TextTransformer.describe(source)["processor"]["max_length"] == 12


def test_text_that_is_not_utf8_and_text_without_tokens_are_encoded(source):
    encoder = encoder_of(source)
    broken = torch.tensor([[0x59, 0x65, 0x73, 0xC3, 0x28]], dtype=torch.uint8)
    assert encoder.precompute(broken, [5]).isfinite().all()
    assert encode(encoder, [" ", "\u200b"]).isfinite().all()


def test_gradients_reach_a_fine_tuned_network(source):
    encoder = encoder_of(source, adaptation="full").train()
    encode(encoder, TEXTS).square().sum().backward()
    gradient = encoder.backbone.embeddings.word_embeddings.weight.grad
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 0


def refusal(source: str) -> ModelError:
    with pytest.raises(ModelError) as info:
        TextTransformer.describe(source)
    assert info.value.setting == "source"
    return info.value


def test_a_source_without_tokenizer_is_refused(tmp_path):
    source = write_text_source(tmp_path)
    for path in tmp_path.glob("tokenizer*"):
        path.unlink()
    assert refusal(source).value == source


def test_a_tokenizer_with_more_tokens_than_the_network_is_refused(tmp_path):
    source = write_text_source(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"vocab_size": 50}))
    assert refusal(source).value > 50


def test_code_in_the_folder_of_a_tokenizer_is_not_run(tmp_path):
    source = write_text_source(tmp_path)
    (tmp_path / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    path = tmp_path / "tokenizer_config.json"
    values = json.loads(path.read_text()) | {"auto_map": {"AutoTokenizer": ["own.Own", None]}}
    path.write_text(json.dumps(values | {"tokenizer_class": "Own"}))
    with contextlib.suppress(ModelError):
        TextTransformer.describe(source)
    assert not (tmp_path / "ran").exists()


def test_a_damaged_tokenizer_of_a_saved_model_is_refused():
    with pytest.raises(ModelError) as info:
        TextTokenizer('{"model": {}}', 8, 0)
    assert info.value.setting == "architecture.processor.tokenizer"
