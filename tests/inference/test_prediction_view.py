"""What a prediction page shows of a recording: parts that the model reads, and its regions."""

from dataclasses import replace
from html import escape

import numpy as np
import pandas as pd
import pytest
from browser import BROWSER, browse

from depmm.inference.prediction_page import render_prediction_page
from depmm.inference.prediction_view import largest_steps
from depmm.interpret.attribution.face_regions import REGIONS, THIRDS


@pytest.fixture(scope="module")
def predicted(predictor, corpus, tmp_path_factory):
    """Predict the first two words of a recording."""
    folder = tmp_path_factory.mktemp("view")
    steps = corpus.manifest.steps
    rows = steps[steps["session"] == steps["session"].iloc[0]].iloc[:2]
    rows[["start_s", "end_s", "text", "valence"]].to_csv(folder / "steps.csv", index=False)
    file = corpus.recordings / rows["face"].iloc[0]
    return predictor.predict(file, steps=folder / "steps.csv", aligned=True, view=True)


def test_the_parts_of_the_sound_that_the_model_reads_are_marked(predicted):
    view = predicted.view
    steps = predicted.steps
    limit = 0.5  # data.max_audio_s of the run
    for span, step in zip(view.sound_read, steps.itertuples(), strict=True):
        length = min(step.end_s - step.start_s, limit)
        assert span.end_s - span.start_s == pytest.approx(length, abs=2e-3)
        middle = (step.start_s + step.end_s) / 2
        assert (span.start_s + span.end_s) / 2 == pytest.approx(middle, abs=2e-3)
    read = sum(span.end_s - span.start_s for span in view.sound_read)
    not_read = sum(span.end_s - span.start_s for span in view.recording.places["Sound not read"])
    assert read + not_read == pytest.approx(predicted.duration_s, abs=0.2)
    assert predicted.used_signal["audio"].used == pytest.approx(read, abs=0.03)


def test_only_crops_that_the_model_reads_are_shown(predicted):
    view = predicted.view
    shown = [picture for picture in view.recording.pictures if picture.jpeg is not None]
    assert len(shown) == 2  # data.frames_per_step is 1
    assert {step: len(crops) for step, crops in view.crops.items()} == {0: 1, 1: 1}
    for step, (crop,) in view.crops.items():
        row = predicted.steps.iloc[step]
        assert row["start_s"] <= crop.start_s <= row["end_s"]
        assert crop.jpeg.startswith(b"\xff\xd8")


def test_the_regions_of_aligned_faces_are_thirds_and_sum_to_one(predicted):
    regions = predicted.view.regions
    assert regions["region"].tolist() == list(THIRDS)
    assert regions["share"].sum() == pytest.approx(1, abs=1e-5)
    assert regions["area"].sum() == pytest.approx(1, abs=1e-5)


def test_a_run_without_faces_shows_sound_alone(audio_predictor, recording):
    file, steps = recording("S001_1")
    view = audio_predictor.predict(file, steps=steps, view=True).view
    assert view.recording.pictures == []
    assert (view.crops, view.regions) == ({}, None)
    assert np.nanmax(view.recording.peaks) > 0


def test_an_error_of_the_view_is_a_warning_of_the_prediction(
    audio_predictor, recording, monkeypatch
):
    def fail(*_args):
        raise RuntimeError("out of memory")

    monkeypatch.setattr("depmm.inference.prediction_view.measure_regions", fail)
    monkeypatch.setattr("depmm.inference.prediction_view.view_recording", fail)
    file, steps = recording("S001_1")
    expected = audio_predictor.predict(file, steps=steps)
    prediction = audio_predictor.predict(file, steps=steps, view=True)
    assert expected.view is prediction.view is None
    assert prediction.result == expected.result
    added = prediction.warnings[len(expected.warnings) :]
    assert [warning.name for warning in added] == ["no_region_map", "no_view"]
    page = render_prediction_page(prediction.to_dict(), prediction.view)
    assert all(escape(warning.message) in page for warning in added)


def test_the_largest_attributions_are_listed():
    attribution = np.array([0.1, np.nan, -3.0, 2.0])
    assert largest_steps(attribution) == [2, 3, 0]
    assert len(largest_steps(np.ones(1000))) == 24


INSPECTOR = """<!DOCTYPE html><meta charset="utf-8"><title>inspector</title>
{frames}
<pre id="result"></pre>
<script>
addEventListener("load", () => {{
  const result = [...document.querySelectorAll("iframe")].map(frame => {{
    const page = frame.contentDocument;
    const wide = [...page.querySelectorAll("main *")].filter(part => !part.closest("svg, .frame")
      && part.getBoundingClientRect().right > page.documentElement.clientWidth + 1);
    return {{
      wide: wide.map(part => part.outerHTML.slice(0, 90)),
      broken: [...page.images].filter(image => !image.naturalWidth).length,
      images: page.images.length,
      rows: [...page.querySelectorAll(".timeline .name")].map(part => part.textContent),
      unnamed: page.querySelectorAll("img:not([alt]), svg:not([aria-label])").length,
    }};
  }});
  document.getElementById("result").textContent = JSON.stringify(result);
}});
</script>"""


@pytest.mark.skipif(BROWSER is None, reason="chromium is not installed")
def test_the_page_fits_a_phone_and_names_all_pictures(predicted, tmp_path):
    regions = pd.DataFrame({"region": REGIONS, "share": 1 / 7, "area": 0.1})
    with_face = replace(predicted.view, regions=regions)
    content = predicted.to_dict()
    frames = "".join(
        f'<iframe srcdoc="{escape(render_prediction_page(content, view))}" width="{width}" '
        'height="900" style="border:0"></iframe>'
        for view in (predicted.view, with_face)
        for width in (390, 1200)
    )
    path = tmp_path / "inspector.html"
    path.write_text(INSPECTOR.format(frames=frames), encoding="utf-8")
    found, log = browse(path, tmp_path / "profile")
    assert "CONSOLE" not in log, log
    for frame in found:
        assert (frame["wide"], frame["broken"], frame["unnamed"]) == ([], 0, 0)
        assert frame["images"] == 4
        assert frame["rows"][:5] == ["Face", "Sound", "Speech", "Steps", "Attribution"]
