"""Description of a prediction in sentences, for the terminal and for the page.

The functions take the JSON values of a prediction (``Prediction.to_dict``) or a part of them.
"""

from collections.abc import Sequence
from typing import Any

from depmm.errors import count_of

PREDICTION_SETS = {
    (): "empty (the recording differs from those of the validation subjects)",
    (0,): "negative",
    (1,): "positive",
    (0, 1): "negative and positive (no label can be excluded)",
}


def prediction_text(content: dict[str, Any]) -> list[str]:
    """Describe a prediction in lines of text.

    Parameters
    ----------
    content : dict of str to object
        The JSON values of a prediction.

    Returns
    -------
    list of str
        The lines; every line but the first is indented.
    """
    recording, result, model = content["recording"], content["prediction"], content["model"]
    binary = "probability" in result
    lines = [f"{recording['file']}: {recording_text(recording)}"]
    lines += [f"  {used['text']}" for used in recording["used_signal"].values()]
    if binary:
        lines.append(
            f"  probability {result['probability']:.2f} of {model['target']} "
            f"({calibration_text(result)})"
        )
        lines.append(f"  {probability_interval_text(result)}")
    else:
        lines.append(f"  {model['target']} {result['score_pred']:.1f} {score_range_text(result)}")
    lines.append(f"  {conformal_text(result)}")
    if (spread := spread_text(result)) is not None:
        lines.append(f"  {spread}")
    if content["top_steps"]:
        target = "the positive class" if binary else "a higher score"
        relative = reference_text(content["attribution_reference"])
        lines.append(f"  steps with the largest attribution, {relative} (+: towards {target})")
    for index in content["top_steps"]:
        step = content["steps"][index]
        lines.append(
            f"    {step['start_s']:8.2f} to {step['end_s']:.2f} s  {step['attribution']:+.3f}"
            f"  {step['text'] or ''}".rstrip()
        )
    lines += [
        f"  warning: {warning['message']}"
        for warning in content["warnings"]
        if warning["name"] != "part_of_recording"  # said above
    ]
    return [*lines, f"  {model_text(model)}", f"  {content['statement']}"]


def reference_text(reference: str) -> str:
    """Describe what the attributions of steps are relative to.

    Parameters
    ----------
    reference : {"training", "session"}
        The value of ``attribution_reference``.

    Returns
    -------
    str
        A phrase without a full stop.
    """
    if reference == "session":
        return "relative to the other steps of the recording"
    return "relative to the mean step of the training subjects"


def recording_text(recording: dict[str, Any]) -> str:
    """Describe length, modalities and steps of a recording.

    Parameters
    ----------
    recording : dict of str to object
        The value of ``recording``.

    Returns
    -------
    str
        A phrase without a full stop.
    """
    return (
        f"{recording['duration_s']:.1f} s of {' and '.join(recording['modalities'])}, "
        f"{count_of(recording['n_steps'], 'step')} ({recording['segmentation']})"
    )


def calibration_text(result: dict[str, Any]) -> str:
    """Describe how a probability is calibrated.

    Parameters
    ----------
    result : dict of str to object
        The value of ``prediction`` of a binary target.

    Returns
    -------
    str
        A phrase without a full stop.
    """
    calibration = result["calibration"]
    if "unavailable" in calibration:
        return f"not calibrated: {calibration['unavailable']}"
    return (
        f"{result['uncalibrated_probability']:.2f} before calibration; slope "
        f"{_range(calibration['slopes'])} and intercept {_range(calibration['intercepts'])}, "
        "fitted on "
        f"{count_of(calibration['validation_subjects'], 'validation subject')}"
    )


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"


def probability_interval_text(result: dict[str, Any]) -> str:
    """Describe the Venn-Abers interval of a probability.

    Parameters
    ----------
    result : dict of str to object
        The value of ``prediction`` of a binary target.

    Returns
    -------
    str
        A phrase without a full stop.
    """
    interval = result["interval"]
    if "unavailable" in interval:
        return f"no interval of the probability: {interval['unavailable']}"
    return (
        f"interval of the probability {interval['low']:.2f} to {interval['high']:.2f} (Venn-Abers, "
        f"{count_of(interval['validation_subjects'], 'validation subject')})"
    )


def conformal_text(result: dict[str, Any]) -> str:
    """Describe the conformal prediction set of a class or the conformal interval of a score.

    Parameters
    ----------
    result : dict of str to object
        The value of ``prediction``.

    Returns
    -------
    str
        A phrase without a full stop.
    """
    if "probability" in result:
        prediction_set = result["prediction_set"]
        if "unavailable" in prediction_set:
            return f"no conformal prediction set: {prediction_set['unavailable']}"
        negative, positive = prediction_set["validation_subjects"].values()
        return (
            f"{_percent(prediction_set['coverage'])} conformal prediction set: "
            f"{PREDICTION_SETS[tuple(prediction_set['labels'])]}; fitted on {negative} negative "
            f"and {positive} positive validation subjects"
        )
    interval = result["interval"]
    if "unavailable" in interval:
        return f"no conformal interval: {interval['unavailable']}"
    return (
        f"{_percent(interval['coverage'])} conformal interval {interval['low']:.1f} to "
        f"{interval['high']:.1f}, fitted on "
        f"{count_of(interval['validation_subjects'], 'validation subject')}"
    )


def spread_text(result: dict[str, Any]) -> str | None:
    """Describe the variation between models and under sampled fusion gates.

    Parameters
    ----------
    result : dict of str to object
        The value of ``prediction``.

    Returns
    -------
    str or None
        A phrase without a full stop; None for one model without gates.
    """
    parts = []
    if len(result["models"]) > 1:
        key, digits = ("calibrated", 2) if "probability" in result else ("score_pred", 1)
        values = sorted(model[key] for model in result["models"])
        parts.append(
            f"mean of {len(values)} models of a cross-validation, whose predictions range from "
            f"{values[0]:.{digits}f} to {values[-1]:.{digits}f}"
        )
    if result["gate_std"] is not None:
        parts.append(f"standard deviation under sampled fusion gates {result['gate_std']:.3f}")
    return "; ".join(parts) or None


def score_range_text(result: dict[str, Any]) -> str:
    """Describe the range and the severity level of a score.

    Parameters
    ----------
    result : dict of str to object
        The value of ``prediction`` of a severity target.

    Returns
    -------
    str
        A phrase without a full stop.
    """
    lowest, highest = result["range"]
    text = f"on a scale from {lowest:g} to {highest:g}"
    if not lowest <= result["score_pred"] <= highest:  # possible with a linear output
        text += " (the prediction is outside of it)"
    level = result["severity_level"]
    if level is None:
        return text
    upper = "and above" if level["high"] is None else f"to below {level['high']:g}"
    return f"{text}, severity level {level['low']:g} {upper}"


def model_text(model: dict[str, Any]) -> str:
    """Describe training subjects and test metrics of a run.

    Parameters
    ----------
    model : dict of str to object
        The value of ``model``.

    Returns
    -------
    str
        One or two sentences.
    """
    fewest, most = model["training_subjects"]
    n_subjects = count_of(most, "subject")
    if fewest != most:
        n_subjects = f"{fewest} to {n_subjects}"
    several = model["n_models"] > 1
    models = f"{model['n_models']} models, each trained" if several else "one model, trained"
    corpora = ", ".join(model["corpora"]) or "an unknown corpus"
    text = f"Run {model['name']}: {models} on {n_subjects} of {corpora}."
    if model["test_metrics"] is None:
        return f"{text} The run has not been evaluated; run depmm evaluate first."
    metrics = model["test_metrics"]
    values = ", ".join(_metric(entry, metrics["confidence"]) for entry in metrics["metrics"])
    each = ", each tested with a model that was not trained on them" if several else ""
    noun = "subject" if several else "test subject"
    return f"{text} Measured on {count_of(metrics['subjects'], noun)}{each}: {values}."


def _metric(entry: dict[str, Any], confidence: float) -> str:
    if entry["value"] is None:
        return f"{entry['label']} undefined"
    parts = []
    if entry["ci_low"] is not None:
        parts.append(
            f"{_percent(confidence)} confidence interval {entry['ci_low']:.2f} to "
            f"{entry['ci_high']:.2f}"
        )
    if entry["baseline"] is not None:
        parts.append(f"baseline {entry['baseline']:.2f}")
    text = f"{entry['label']} {entry['value']:.2f}"
    return f"{text} ({', '.join(parts)})" if parts else text


def _percent(share: float) -> str:
    return f"{100 * share:g} %"
