"""Files of a prediction: ``<recording>.json`` and an HTML page, ``<recording>.html``."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from depmm.evaluation.reports.rendering import to_json_values
from depmm.files.writing import write_text
from depmm.inference.errors import InferenceError
from depmm.inference.prediction import SCHEMA, Prediction
from depmm.inference.prediction_text import (
    calibration_text,
    conformal_text,
    model_text,
    probability_interval_text,
    recording_text,
    reference_text,
    score_range_text,
    spread_text,
)
from depmm.inference.prediction_view import PredictionView, largest_steps
from depmm.interpret.attribution.face_drawing import draw_face
from depmm.pages.templates import templates
from depmm.pages.timeline import Span, Timeline, jpeg_uri

SAME_DURATION_S = 0.01  # by which the lengths of two predictions of a recording may differ
_SHARES = ("share", "area")
# warning -> row of the drawing that shows where it occurs
_PLACES = {
    "few_faces": "No face",
    "clipping": "Clipped",
    "digital_silence": "Silent",
    "steps_without_audio": "Steps without audio",
    "steps_without_face": "Steps without face",
}
GENERATOR = '<meta name="generator" content="depmm predict">'  # marks pages of this module


def render_prediction_page(
    content: dict[str, Any], view: PredictionView | None = None, back: str | None = None
) -> str:
    """Render a prediction as HTML.

    Parameters
    ----------
    content : dict of str to object
        The JSON values of a prediction, see ``Prediction.to_dict``.
    view : PredictionView, optional
        What the models read of the recording; without it, the page shows steps and attributions.
    back : str, optional
        Link to the page where another recording is chosen.

    Returns
    -------
    str
        A self-contained page; all text is escaped.
    """
    result = content["prediction"]
    binary = "probability" in result
    details = [conformal_text(result), spread_text(result)]
    if binary:
        details.insert(0, probability_interval_text(result))
    attribution = [step["attribution"] for step in content["steps"]]
    template = templates("depmm.inference").get_template("prediction_page.html.jinja")
    return template.render(
        c=content,
        title=content["recording"]["file"],
        generator=GENERATOR,
        back=back,
        recording=recording_text(content["recording"]),
        subtitle=calibration_text(result) if binary else score_range_text(result),
        details=[text[0].upper() + text[1:] for text in details if text],
        model=model_text(content["model"]),
        relative=reference_text(content["attribution_reference"]),
        timeline=_draw(content, view).render(f"{content['recording']['file']} over time"),
        places=set() if view is None else set(view.recording.places),
        place_of=_PLACES,
        largest=largest_steps(np.array(attribution, float)),
        crops=_encode_crops(view),
        has_pictures=view is not None and bool(view.recording.pictures),
        has_text=any(step["text"] for step in content["steps"]),
        has_valence=any(step["valence"] for step in content["steps"]),
        has_sound=view is not None and view.recording.peaks is not None,
        n_steps=len(content["steps"]),
        regions=None if view is None or view.regions is None else _describe_regions(view.regions),
    )


def _draw(content: dict[str, Any], view: PredictionView | None) -> Timeline:
    """Draw the recording with the attributions of its steps on the same axis."""
    steps = content["steps"]
    duration_s = content["recording"]["duration_s"]
    spans = [
        Span(
            step["start_s"],
            duration_s if step["end_s"] is None else step["end_s"],
            step["text"] or f"step {step['step']}",
            step["attribution"],
        )
        for step in steps
    ]
    timeline = Timeline(duration_s)
    if view is not None:
        recording = view.recording
        if recording.pictures:
            timeline.add_pictures("Face", recording.pictures)
        if recording.peaks is not None:
            timeline.add_waveform(recording.peaks, recording.speech)
            timeline.add_spans("Speech", recording.speech, "speech")
    timeline.add_spans("Steps", spans, "step")
    timeline.add_bars("Attribution", spans)
    for name, places in ({} if view is None else view.recording.places).items():
        timeline.add_spans(name, places, "problem")
    return timeline


def _encode_crops(view: PredictionView | None) -> dict[int, list[tuple[str, str]]]:
    """Return address and alternative text of the crops of each step."""
    return {
        step: [(jpeg_uri(picture.jpeg), picture.text) for picture in pictures if picture.jpeg]
        for step, pictures in ({} if view is None else view.crops).items()
    }


def _describe_regions(regions: pd.DataFrame) -> dict[str, Any]:
    """Return the drawing and the rows of the region map, the largest ratio first."""
    table = regions.assign(ratio=regions["share"] / regions["area"].where(regions["area"] > 0))
    table = table.sort_values("ratio", ascending=False, na_position="last")
    shares, areas = (dict(zip(table["region"], table[name], strict=True)) for name in _SHARES)
    label = "; ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items())
    drawing = draw_face(shares, areas, f"share of the regions in the maps: {label}")
    return {"drawing": drawing, "rows": to_json_values(table.to_dict("records"))}


def check_outputs(files: Sequence[Path], folder: Path) -> None:
    """Check that the output files can be written and that no unrelated file is overwritten.

    Parameters
    ----------
    files : sequence of Path
        The recordings.
    folder : Path
        Output folder of :func:`write_prediction`; it need not exist.

    Raises
    ------
    InferenceError
        If ``folder`` is a file, two recordings have the same output, or an output exists that is
        not a prediction.
    """
    if folder.exists() and not folder.is_dir():
        raise InferenceError(
            f"--out {folder} is a file.", file=folder, remedy="Give the folder of the results."
        )
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not os.access(existing, os.W_OK):
        raise InferenceError(
            f"--out {folder}: permission denied.",
            file=folder,
            remedy=f"Change the permissions of {existing}, or give another folder.",
        )
    outputs: dict[str, Path] = {}
    for file in files:
        if (other := outputs.setdefault(file.stem, file)) != file or files.count(file) > 1:
            raise InferenceError(
                f"{other} and {file} have the same output file, {folder / file.stem}.json.",
                file=file,
                remedy="Predict them one by one, each with another --out.",
            )
        for path, mark in _outputs(file, folder):
            if path.exists() and mark not in _head(path):
                raise InferenceError(
                    f"{path} exists and is not a prediction of depmm; it is not overwritten.",
                    file=path,
                    remedy="Give another --out.",
                )


def write_prediction(prediction: Prediction, file: Path, folder: Path) -> Path:
    """Write the JSON file and the page of a prediction.

    Parameters
    ----------
    prediction : Prediction
        The prediction.
    file : Path
        The recording; its name without the suffix names the files.
    folder : Path
        Output folder, created if it does not exist.

    Returns
    -------
    Path
        Path of the page.

    Raises
    ------
    InferenceError
        If the folder has the prediction of a recording with another suffix or length.
    """
    content = prediction.to_dict()
    folder.mkdir(parents=True, exist_ok=True)
    (data, _), (page, _) = _outputs(file, folder)
    _check_same_recording(content["recording"], data)
    write_text(data, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    write_text(page, render_prediction_page(content, prediction.view))
    return page


def _check_same_recording(recording: dict[str, Any], data: Path) -> None:
    """Check that a prediction replaces only one of the same recording."""
    try:
        before = json.loads(data.read_text(encoding="utf-8"))["recording"]
        same = before["file"] == recording["file"]
        same = same and abs(before["duration_s"] - recording["duration_s"]) < SAME_DURATION_S
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # none, an earlier one, or damaged
        return
    if not same:
        raise InferenceError(
            f"{data} is the prediction of another recording, {before['file']} of "
            f"{before['duration_s']:.2f} s; it is not overwritten.",
            file=data,
            remedy="Give another --out.",
        )


def _outputs(file: Path, folder: Path) -> list[tuple[Path, str]]:
    """Return the JSON file and the page of a recording, with the text that marks each."""
    return [(folder / f"{file.stem}.json", SCHEMA), (folder / f"{file.stem}.html", GENERATOR)]


def _head(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return file.read(400).decode("utf-8", errors="replace")
