"""Attributions to regions of the face, on simulated faces with a planted region."""

import numpy as np
import pytest
import torch
from torch import nn

from depmm.config import load_config
from depmm.inputs import Inputs
from depmm.interpret.attribution.region_occlusion import occlude_regions
from depmm.models.model import DepressionModel, build_model
from depmm.simulation.congruence import STILLNESS, THIRD, mouth_size
from depmm.simulation.face import animate, sample_face
from depmm.simulation.face_renderer import FaceRenderer
from depmm.simulation.voice import sample_voice, synthesise_speech

CROP, N_FRAMES = 56, 4
WORDS = ["triumph", "paper", "regret"]


def draw_faces(seed: int, n: int) -> tuple[Inputs, torch.Tensor]:
    """Draw faces that open the mouth wide in all words (label 1) or little (label 0)."""
    rng = np.random.default_rng(seed)
    crops, labels = [], np.arange(n) % 2
    for label in labels:
        gender = "female" if rng.uniform() < 0.5 else "male"
        utterance = synthesise_speech(
            sample_voice(rng, gender), WORDS, np.zeros(len(WORDS)), 0.04, rng
        )
        face = sample_face(rng, gender)
        renderer = FaceRenderer(face, rng)
        still = np.full(len(WORDS), STILLNESS)
        size = mouth_size(np.full(len(WORDS), 4.0 * label - 2.0))
        motion = animate(face, utterance, still, rng, size)
        for start, end in zip(utterance.start_s, utterance.end_s, strict=True):
            times = np.linspace(start, end, N_FRAMES + 2)[1:-1]
            crops += [renderer.render(motion, int(time * 25)) for time in times]
    images = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float()
    small = nn.functional.interpolate(images, (CROP, CROP), mode="area").to(torch.uint8)
    values = small.reshape(n, len(WORDS), N_FRAMES, 3, CROP, CROP)
    return Inputs(values, np.full((n, len(WORDS)), N_FRAMES)), torch.tensor(labels).float()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> DepressionModel:
    """Train the face encoder of the demo to tell the opening of the mouth."""
    overrides = ["model.fusion={kind: mean_pool}", "model.subtract_session_mean=false"]
    config = load_config("demo_fusion_face_only", overrides)
    torch.manual_seed(0)
    model = build_model(config.model).train()
    faces, labels = draw_faces(0, 24)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(25):
        optimizer.zero_grad()
        loss = model.head.loss(model({"face": faces}).logits, labels).mean()
        loss.backward()
        optimizer.step()
    return model.eval()


@pytest.mark.slow
def test_occlusion_finds_the_planted_third_of_new_faces(trained: DepressionModel) -> None:
    faces, labels = draw_faces(1, 12)
    inputs = {"face": faces}
    with torch.no_grad():
        logits = trained(inputs).logits[:, 0]
        features, masks = trained.encode(inputs)[:2]
    assert ((logits > 0) == (labels > 0)).float().mean() > 0.85
    table = occlude_regions(trained, features, masks, inputs, [None] * 12)
    size = table["occlusion"].abs().groupby(table["region"]).mean()
    assert size[THIRD] > 2 * size.drop(THIRD).max()
