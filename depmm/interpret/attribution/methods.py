"""The attribution methods: their names in tables and on the command line, and what they mean."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Method:
    """A method that attributes a prediction to the steps of a session.

    Attributes
    ----------
    name : str
        Column of ``attributions.parquet`` and value of ``depmm explain --method``.
    title : str
        Name of the method for a reader.
    meaning : str
        What a value is, as the end of a sentence.
    """

    name: str
    title: str
    meaning: str


OCCLUSION = Method(
    "occlusion",
    "Occlusion",
    "the logit with the step minus the logit with the mean of the session's other steps in its "
    "place",
)
PERMUTATION = Method(
    "permutation",
    "Permutation",
    "the logit with the step minus the mean logit with another step of the session in its place",
)
INTEGRATED_GRADIENTS = Method(
    "integrated_gradients",
    "Integrated gradients",
    "the integral of the logit's gradient on the straight path from the session's mean step to "
    "this one",
)
SHAPLEY = Method("shapley", "Shapley value", "the step's Shapley value, in units of the logit")

ON_REQUEST = (PERMUTATION, INTEGRATED_GRADIENTS, SHAPLEY)
"""Methods that are computed if requested; occlusion always is."""

STEP_METHODS = (SHAPLEY, OCCLUSION, PERMUTATION, INTEGRATED_GRADIENTS)
"""All methods, the one that ranks planted words best first (``experiments/README.md``)."""

SELECTED = "selected"
"""Column of the attention's query selection, which is compared with the methods but unsigned."""

GRAD_CAM = "grad_cam"
"""Requested like a method, but it attributes to regions of the face and voice, not to steps."""

REQUESTABLE = (*(method.name for method in ON_REQUEST), GRAD_CAM)
"""The values of ``depmm explain --method``."""
