"""Files of a prediction: ``<recording>.json`` and an HTML page, ``<recording>.html``."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
from depmm.pages.templates import templates

GENERATOR = '<meta name="generator" content="depmm predict">'  # marks pages of this module


def render_prediction_page(content: dict[str, Any]) -> str:
    """Render a prediction as HTML.

    Parameters
    ----------
    content : dict of str to object
        The JSON values of a prediction, see ``Prediction.to_dict``.

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
    template = templates("depmm.inference").get_template("prediction_page.html.jinja")
    return template.render(
        c=content,
        title=content["recording"]["file"],
        generator=GENERATOR,
        recording=recording_text(content["recording"]),
        subtitle=calibration_text(result) if binary else score_range_text(result),
        details=[text[0].upper() + text[1:] for text in details if text],
        model=model_text(content["model"]),
        relative=reference_text(content["attribution_reference"]),
    )


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
    """
    content = prediction.to_dict()
    folder.mkdir(parents=True, exist_ok=True)
    (data, _), (page, _) = _outputs(file, folder)
    write_text(data, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    write_text(page, render_prediction_page(content))
    return page


def _outputs(file: Path, folder: Path) -> list[tuple[Path, str]]:
    """Return the JSON file and the page of a recording, with the text that marks each."""
    return [(folder / f"{file.stem}.json", SCHEMA), (folder / f"{file.stem}.html", GENERATOR)]


def _head(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return file.read(400).decode("utf-8", errors="replace")
