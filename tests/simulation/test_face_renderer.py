"""The rendered frames of simulated faces."""

import numpy as np

from depmm.config import CROP_SIZE
from depmm.simulation.face import Motion, sample_face
from depmm.simulation.face_renderer import FaceRenderer


def test_frames_show_the_motion_and_never_the_edge_of_the_drawing() -> None:
    face = sample_face(np.random.default_rng(4), "male")
    renderer = FaceRenderer(face, np.random.default_rng(4))
    still = dict.fromkeys(Motion.__dataclass_fields__, np.zeros(2))

    def difference(**changes: float) -> np.ndarray:
        motion = Motion(**(still | {name: np.array([0, value]) for name, value in changes.items()}))
        first, second = (renderer.render(motion, k).astype(int) for k in (0, 1))
        assert second.shape == (CROP_SIZE, CROP_SIZE, 3)
        assert second.max(axis=2).min() > 0  # outside of the drawing, pixels are black
        return np.abs(second - first).sum(axis=2)

    mouth, blink, brow = difference(mouth=20.0), difference(blink=1.0), difference(brow=10.0)
    assert mouth[140:].sum() == mouth.sum() > 0
    assert blink[75:125].sum() == blink.sum() > 0
    assert brow[40:100].sum() == brow.sum() > 0
    renderer_still = renderer.render(Motion(**still), 0)
    skin = renderer_still[130:150, 80:90].reshape(-1, 3).mean(axis=0)  # a cheek
    np.testing.assert_allclose(skin / skin[0], np.array(face.skin) / face.skin[0], atol=0.1)
    shift = Motion(**(still | {"x": np.full(2, 6.0), "y": np.full(2, -3.0)}))
    shifted = renderer.render(shift, 0)  # to the right and up
    np.testing.assert_array_equal(shifted[:-3, 6:], renderer_still[3:, :-6])
    for sign in (-1, 1):
        corner = difference(x=8.0 * sign, y=14.0 * sign, roll=0.05)
        assert corner.sum() > mouth.sum()
