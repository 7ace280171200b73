"""Mean of the regions of the face over steps and models, by hand."""

import pandas as pd
import pytest
from removal_models import MEAN_POOL, tiny_model

from depmm.inference import region_map
from depmm.interpret.attribution.face_regions import THIRDS
from depmm.interpret.attribution.regions import COLUMNS


def test_a_step_is_weighted_by_the_peak_of_its_maps(monkeypatch):
    shares = {(0, 3.0): (1.0, 0.0, 0.0), (1, 1.0): (0.0, 0.2, 0.8), (2, 0.0): (None, None, None)}
    table = pd.DataFrame(
        [
            (0, step, "face", region, share, 1 / 3, peak)
            for (step, peak), of_step in shares.items()
            for region, share in zip(THIRDS, of_step, strict=True)
        ],
        columns=COLUMNS,
    )
    monkeypatch.setattr(region_map, "evaluation_batches", lambda *_: iter([(None, {})]))
    monkeypatch.setattr(region_map, "attribute_regions", lambda *_: table)

    class Recording:
        landmarks = staticmethod(lambda _: None)

    found = region_map.measure_regions([(tiny_model(MEAN_POOL), Recording())])
    assert found["region"].tolist() == list(THIRDS)
    assert found["share"].tolist() == pytest.approx([0.75, 0.05, 0.2])
    assert found["area"].tolist() == pytest.approx([1 / 3] * 3)
