"""Attribution methods and references: their names in tables and options, and their meaning."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Method:
    """A method that attributes a prediction to the steps of a session.

    Attributes
    ----------
    name : str
        Column of ``attributions.parquet`` and value of ``depmm explain --method``.
    title : str
        Name of the method in pages.
    meaning : str
        Definition of a value, without a full stop.
    """

    name: str
    title: str
    meaning: str


OCCLUSION = Method(
    "occlusion", "Occlusion", "the logit with the step minus the logit with its reference instead"
)
PERMUTATION = Method(
    "permutation",
    "Permutation",
    "the logit with the step minus the mean logit with another step of the session in its place",
)
INTEGRATED_GRADIENTS = Method(
    "integrated_gradients",
    "Integrated gradients",
    "the integral of the logit's gradient on the straight path from the reference to the step",
)
SHAPLEY = Method("shapley", "Shapley value", "the step's Shapley value, in units of the logit")

ON_REQUEST = (PERMUTATION, INTEGRATED_GRADIENTS, SHAPLEY)
"""Methods that are computed on request; occlusion is always computed."""

STEP_METHODS = (SHAPLEY, OCCLUSION, PERMUTATION, INTEGRATED_GRADIENTS)
"""All methods; words are ranked by the first one that was computed. None of them finds planted
words best in all designs (table ``planted_words`` of ``experiments/README.md``)."""

SELECTED = "selected"
"""Column of the query selection of the attention; it is unsigned, unlike the methods."""

GRAD_CAM = "grad_cam"
"""Method that attributes to regions of face and voice, not to steps."""

REGION_OCCLUSION = "region_occlusion"
"""Method that replaces regions of the face by a colour, for any encoder of crops."""

SIGNAL_METHODS = (GRAD_CAM, REGION_OCCLUSION)
"""Methods that need signals instead of precomputed embeddings."""

REQUESTABLE = (*(method.name for method in ON_REQUEST), *SIGNAL_METHODS)
"""The values of ``depmm explain --method``."""

SESSION, TRAINING = "session", "training"
"""Values of ``depmm explain --reference``: what replaces a removed step; see ``removal``."""
