"""Video transformers: equal to the transformers library for single clips, for any batch."""

import shutil

import numpy as np
import pytest
import torch
from model_builders import random_crops
from transformers import AutoModel
from vision_sources import write_vision_source

from depmm.config import ModelConfig
from depmm.models.encoders import video_transformer
from depmm.models.encoders.image_processing import ImageProcessing
from depmm.models.encoders.video_transformer import VideoTransformer, clip_frames
from depmm.models.errors import ModelError
from depmm.models.model import DepressionModel, build_model

FAMILIES = {
    "videomae": {"num_frames": 4, "tubelet_size": 2},
    "vivit": {"num_frames": 4, "tubelet_size": [2, 8, 8]},
    "timesformer": {"num_frames": 4},
}
LENGTHS = [6, 1, 3, 4]


def encoder_of(source: str, layer: int | None = -1) -> VideoTransformer:
    torch.manual_seed(1)
    encoder = VideoTransformer(
        source, "frozen", {}, layer, 6, 0.0, VideoTransformer.describe(source)
    )
    encoder.load_pretrained()
    return encoder.eval()


def test_clips_have_evenly_spaced_crops_or_repeat_the_last_one():
    expected = {1: [0, 0, 0, 0], 3: [0, 1, 2, 2], 4: [0, 1, 2, 3], 6: [0, 2, 3, 5]}
    expected |= {8: [1, 3, 5, 7], 400: [50, 150, 250, 350]}
    assert clip_frames(list(expected), 4).tolist() == list(expected.values())


@pytest.mark.parametrize("family", FAMILIES)
def test_each_step_equals_transformers_and_a_saved_model_needs_no_source(family, tmp_path):
    source = write_vision_source(tmp_path / "source", family, **FAMILIES[family])
    encoder = encoder_of(source, layer=None)
    crops = random_crops(4, 7, size=36 if family == "vivit" else 32)
    together = encoder.precompute(crops, LENGTHS)
    assert together.shape == (4, encoder.precompute_dim) == (4, 4 * 16)
    network = AutoModel.from_pretrained(source).eval()
    pixels = ImageProcessing(**encoder.architecture["processor"])
    for row, n in enumerate(LENGTHS):
        clip = pixels(crops[row, clip_frames([n], 4)[0]])[None]
        with torch.no_grad():
            output = network(clip, output_hidden_states=True)
        states = [*output.hidden_states[:-1], output.last_hidden_state]
        pooled = [state.mean(1) if family == "videomae" else state[:, 0] for state in states]
        torch.testing.assert_close(together[row], torch.cat(pooled, 1)[0], rtol=0, atol=1e-4)
    face = {"kind": "video_transformer", "source": source, "embed_dim": 8}
    model = build_model(ModelConfig(encoders={"face": face}, fusion={"kind": "mean_pool"})).eval()
    expected = model.encoders["face"](crops, LENGTHS)
    model.save_pretrained(tmp_path / "run")
    shutil.rmtree(source)
    loaded = DepressionModel.from_pretrained(tmp_path / "run").encoders["face"]
    torch.testing.assert_close(loaded(crops, LENGTHS), expected, rtol=0, atol=1e-5)


def test_batch_and_padding_do_not_change_the_output(tmp_path, monkeypatch):
    encoder = encoder_of(write_vision_source(tmp_path, "videomae", **FAMILIES["videomae"]))
    crops, lengths = random_crops(4, 7), np.array(LENGTHS)
    with torch.no_grad():
        whole = encoder.precompute(crops, lengths)
        monkeypatch.setattr(video_transformer, "CLIPS_AT_ONCE", 1)
        order = [2, 0, 3, 1]
        parts = encoder.precompute(crops[order], lengths[order])
        alone = [encoder.precompute(crops[i : i + 1, :n], [n]) for i, n in enumerate(lengths)]
        backwards = encoder.precompute(crops[3:, [3, 2, 1, 0]], [4])
    torch.testing.assert_close(parts, whole[order], rtol=0, atol=1e-4)
    torch.testing.assert_close(torch.cat(alone), whole, rtol=0, atol=1e-4)
    assert (backwards - whole[3:]).abs().max() > 1e-2  # the order of the crops matters


def test_a_network_of_images_is_refused(tmp_path):
    source = write_vision_source(tmp_path, "vit")
    with pytest.raises(ModelError) as info:
        VideoTransformer.describe(source)
    assert (info.value.setting, info.value.value) == ("source", "vit")
