"""A prediction for one recording as words for a terminal and as one self-contained page.

The content is that of ``<recording>.json``, see ``depmm.inference.predictor.predict_file``.
"""

from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

SCHEMA = "depmm prediction"  # what a JSON of ours begins with
PAGE_MARK = '<meta name="generator" content="depmm predict">'
STATEMENT = (
    "Research software, not a diagnostic device. This is what a model computes from one recording; "
    "it is no finding about the health of the subject in it, and must not be used to screen, "
    "diagnose or treat anyone."
)
SETS = {
    (): "neither label: the recording is unlike those of the validation subjects",
    (0,): "negative alone",
    (1,): "positive alone",
    (0, 1): "both labels: neither can be excluded",
}


def prediction_text(content: dict[str, Any]) -> list[str]:
    """Say a prediction in lines; every one but the first is indented."""
    recording, answer = content["recording"], content["answer"]
    lines = [
        f"{recording['file']}: {recording['duration_s']:.1f} s of "
        f"{' and '.join(recording['modalities'])}, {recording['steps']} "
        f"{'step' if recording['steps'] == 1 else 'steps'} ({recording['steps_from']})"
    ]
    if "probability" in answer:
        lines.append(
            f"  probability {answer['probability']:.2f} of {content['model']['target']} "
            f"({calibration_words(answer)})"
        )
    else:
        score = f"{answer['score_pred']:.1f}{_out_of(answer)}{_band(answer)}"
        lines.append(f"  {content['model']['target']} {score}")
    lines += [f"  {interval_words(answer)}"] if "probability" in answer else []
    lines.append(f"  {certainty_words(answer)}")
    if (spread := spread_words(answer)) is not None:
        lines.append(f"  {spread}")
    if content["top_steps"]:
        lines.append("  steps that moved it most (+: towards the positive label or higher score)")
    for number in content["top_steps"]:
        step = content["steps"][number]
        lines.append(
            f"    {step['start_s']:8.2f} to {step['end_s']:.2f} s  {step['contribution']:+.3f}"
            f"  {step['text'] or ''}".rstrip()
        )
    lines += [f"  warning: {warning['message']}" for warning in content["warnings"]]
    return [*lines, f"  {origin_words(content['model'])}", f"  {content['statement']}"]


def calibration_words(answer: dict[str, Any]) -> str:
    """How a probability was calibrated."""
    calibration = answer["calibration"]
    if "refused" in calibration:
        return f"as predicted, not calibrated: {calibration['refused']}"
    used = sorted(calibration["temperatures"])
    several = f" to {used[-1]:.2f}" if len(used) > 1 else ""
    return (
        f"{answer['as_predicted']:.2f} before calibration; temperature {used[0]:.2f}{several} "
        f"fitted on {_subjects(calibration['validation_subjects'])} of validation"
    )


def interval_words(answer: dict[str, Any]) -> str:
    """Between what a probability lies, by the subjects of validation who were answered alike."""
    found = answer["interval"]
    if "refused" in found:
        return f"no interval of the probability: {found['refused']}"
    return (
        f"calibrated interval {found['low']:.2f} to {found['high']:.2f} (Venn-Abers, on "
        f"{_subjects(found['validation_subjects'])} of validation)"
    )


def certainty_words(answer: dict[str, Any]) -> str:
    """The conformal set of labels, or the interval of a score."""
    if "probability" in answer:
        found = answer["set"]
        if "refused" in found:
            return f"no set of labels: {found['refused']}"
        subjects = " and ".join(_subjects(count) for count in found["validation_subjects"].values())
        return (
            f"{_percent(found['coverage'])} set: {SETS[tuple(found['labels'])]} "
            f"(fitted on {subjects} of validation, negative and positive)"
        )
    found = answer["interval"]
    if "refused" in found:
        return f"no interval: {found['refused']}"
    return (
        f"{_percent(found['coverage'])} interval {found['low']:.1f} to {found['high']:.1f} "
        f"(fitted on {_subjects(found['validation_subjects'])} of validation)"
    )


def spread_words(answer: dict[str, Any]) -> str | None:
    """What several models or sampled gates make of it; None with one model without gates."""
    parts = []
    if len(answer["models"]) > 1:
        binary = "probability" in answer
        name = ("calibrated" if binary else "score_pred", 2 if binary else 1)
        values = sorted(model[name[0]] for model in answer["models"])
        parts.append(
            f"mean of {len(values)} models of a cross-validation, which answer "
            f"{values[0]:.{name[1]}f} to {values[-1]:.{name[1]}f}"
        )
    if answer["gate_spread"] is not None:
        parts.append(f"standard deviation under sampled fusion gates {answer['gate_spread']:.3f}")
    return "; ".join(parts) or None


def origin_words(model: dict[str, Any]) -> str:
    """Whom the model was trained on and what was measured of it."""
    fewest, most = model["training_subjects"]
    subjects = _subjects(most) if fewest == most else f"{fewest} to {_subjects(most)}"
    several = model["models"] > 1
    words = (
        f"{model['models']} models, each trained on {subjects}"
        if several
        else f"Trained on {subjects}"
    )
    words = f"Run {model['name']}: {words} of {', '.join(model['corpora']) or 'no known corpus'}; "
    if model["measured"] is None:
        return f"{words}how well it does was not measured (depmm evaluate)."
    measured = model["measured"]
    figures = ", ".join(_figure(entry, measured["confidence"]) for entry in measured["metrics"])
    own = ", each judged by a model that had not seen them" if several else " it had not seen"
    return f"{words}measured on {_subjects(measured['subjects'])}{own}: {figures}."


def _figure(entry: dict[str, Any], confidence: float) -> str:
    if entry["value"] is None:
        return f"{entry['label']} undefined"
    words = f"{entry['label']} {entry['value']:.2f}"
    parts = []
    if entry["low"] is not None:
        parts.append(f"{_percent(confidence)} interval {entry['low']:.2f} to {entry['high']:.2f}")
    if entry["baseline"] is not None:
        parts.append(f"baseline {entry['baseline']:.2f}")
    return f"{words} ({', '.join(parts)})" if parts else words


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def _subjects(count: int) -> str:
    return "1 subject" if count == 1 else f"{count} subjects"


def _out_of(answer: dict[str, Any]) -> str:
    return f" on a scale from {answer['range'][0]:g} to {answer['range'][1]:g}"


def _band(answer: dict[str, Any]) -> str:
    band = answer["band"]
    if band is None:
        return ""
    end = "upwards" if band["high"] is None else f"to below {band['high']:g}"
    return f", in the band from {band['low']:g} {end}"


def prediction_page(content: dict[str, Any]) -> str:
    """Make the page; whatever comes from a recording or a table is escaped."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = _number
    source = files("depmm.inference").joinpath("prediction.html.jinja").read_text(encoding="utf-8")
    answer = content["answer"]
    return environment.from_string(source).render(
        c=content,
        mark=PAGE_MARK,
        interval=interval_words(answer) if "probability" in answer else None,
        certainty=certainty_words(answer),
        spread=spread_words(answer),
        origin=origin_words(content["model"]),
        detail=calibration_words(answer)
        if "probability" in answer
        else f"{_out_of(answer)}{_band(answer)}".strip(),
    )


def _number(value: float, digits: int = 2) -> str:
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")
