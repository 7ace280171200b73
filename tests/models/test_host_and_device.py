"""A forward pass, the loss and the gradients ask the device nothing, for every kind of model."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from host_questions import count_questions, train_without_values
from model_builders import ENCODERS, FUSIONS, encoder_of, inputs_of, model_of
from speech_sources import write_family
from text_sources import write_text_source
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException
from vision_sources import write_vision_source

from depmm.inputs import Inputs
from depmm.models.encoders import text_transformer
from depmm.models.encoders.encoder import Encoder
from depmm.models.model import DepressionModel

SPEECH = [
    ("hubert", "full", True),
    ("hubert", "frozen", False),
    ("wavlm", "lora", False),
    ("w2v_bert", "lora", False),
    ("whisper", "full", False),
]
VISION = {"dinov2": "image_transformer", "videomae": "video_transformer"}


def complete_inputs_of(encoder: str) -> dict[str, Inputs]:
    """Make every step as long as the padded one, so that no mask is needed."""
    return {
        name: replace(part, lengths=np.full_like(part.lengths, part.values.shape[2]))
        for name, part in inputs_of(encoder).items()
    }


def check(model: DepressionModel, encoder: str, complete: bool, monkeypatch) -> None:
    """Check a model in training and in evaluation mode."""
    inputs = complete_inputs_of(encoder) if complete else inputs_of(encoder)
    for training in (True, False):
        assert not count_questions(model.train(training), inputs)
        # the patches end with the context
        with monkeypatch.context() as patch:
            logits = train_without_values(model, inputs, patch)
        assert logits.shape == (2, 1)
        assert logits.is_meta


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("encoder", sorted(set(ENCODERS) - {"speech_transformer"}))
def test_encoders_do_not_wait_for_the_device(encoder, complete, monkeypatch):
    check(model_of(encoder, "mean_pool"), encoder, complete, monkeypatch)


@pytest.mark.parametrize(("family", "adaptation", "complete"), SPEECH)
def test_speech_transformers_do_not_wait_for_the_device(
    family, adaptation, complete, tmp_path, monkeypatch
):
    settings = {"source": write_family(tmp_path, family), "adaptation": adaptation}
    model = model_of("speech_transformer", "mean_pool", **settings)
    check(model, "speech_transformer", complete, monkeypatch)


@pytest.mark.parametrize("family", VISION)
def test_vision_transformers_do_not_wait_for_the_device(family, tmp_path, monkeypatch):
    clips = {"num_frames": 2} if family == "videomae" else {}
    source = write_vision_source(tmp_path, family, num_hidden_layers=1, **clips)
    model = model_of(VISION[family], "mean_pool", source=source, adaptation="full")
    check(model, VISION[family], False, monkeypatch)


def test_text_transformers_do_not_wait_for_the_device(tmp_path, monkeypatch):
    source = write_text_source(tmp_path, "xlm-roberta")
    model = model_of("text_transformer", "mean_pool", source=source, adaptation="full")
    inputs = inputs_of("text_transformer")
    assert not count_questions(model, inputs)
    # tensors without values contain no text
    monkeypatch.setattr(text_transformer, "read_texts", lambda x, lengths: ["I am fine."] * len(x))
    assert train_without_values(model, inputs, monkeypatch).is_meta


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_fusions_do_not_wait_for_the_device(fusion, complete, monkeypatch):
    check(model_of("mfcc_cnn", fusion), "mfcc_cnn", complete, monkeypatch)


class AsksTheDevice(Encoder):
    """An encoder that reads a value or a shape from the device."""

    embed_dim = 8

    def __init__(self, question) -> None:
        super().__init__()
        self.question = question
        self.dense = torch.nn.Linear(1, 8)

    def forward(self, x: Tensor, lengths) -> Tensor:
        """Encode the mean of each step."""
        self.question(x)
        return self.dense(x.mean(dim=1, keepdim=True))


@pytest.mark.parametrize(
    ("question", "error"),
    [
        (lambda x: x.sum().item(), DataDependentOutputException),
        (lambda x: bool((x > 0).all()), DataDependentOutputException),
        (lambda x: int(x.argmax().cpu()), DataDependentOutputException),
        (lambda x: x[x > 0], DynamicOutputShapeException),
        (lambda x: (x > 0).nonzero(), DynamicOutputShapeException),
        (lambda x: x + torch.arange(x.shape[1]), RuntimeError),  # on another device
    ],
)
def test_an_encoder_that_asks_the_device_is_detected(question, error, monkeypatch):
    model, inputs = model_of("mfcc_cnn", "mean_pool"), inputs_of("mfcc_cnn")
    model.encoders["audio"] = encoder = AsksTheDevice(question)
    assert encoder.embed_dim == encoder_of("mfcc_cnn", **ENCODERS["mfcc_cnn"]).embed_dim
    if error is not RuntimeError:
        assert sum(count_questions(model, inputs).values()) == 1
    with pytest.raises(error):
        train_without_values(model, inputs, monkeypatch)
