"""JSON values of a prediction with texts that must be escaped, for tests of texts and pages."""

from typing import Any

from depmm.inference.prediction import STATEMENT


def prediction_content(result: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Build a prediction of two steps.

    Parameters
    ----------
    result : dict of str to object
        The value of ``prediction``.
    **changes
        Other values of the content.

    Returns
    -------
    dict of str to object
        As ``Prediction.to_dict`` returns.
    """
    text = "<script>alert(1)</script>"
    step = {"start_s": 0.0, "end_s": 1.0, "text": text, "valence": None, "attribution": -0.5}
    return {
        "statement": STATEMENT,
        "recording": {
            "file": f"{text}.wav", "duration_s": 2.0, "modalities": ["audio"], "n_steps": 2,
            "segmentation": text,
            "used_signal": {"audio": {"text": text}},
        },
        "model": {
            "name": text, "n_models": 1, "kind": "binary", "target": text, "instrument": None,
            "corpora": [text], "training_subjects": [1, 1], "test_metrics": None,
        },
        "prediction": result,
        "steps": [step | {"step": 0}, step | {"step": 1, "start_s": 1.0, "attribution": None}],
        "attribution_reference": "training",
        "top_steps": [0],
        "warnings": [{"name": "x", "message": text}],
        **changes,
    }  # fmt: skip
