"""Schemas of the tables that ``depmm explain`` writes into a run folder."""

from depmm.schemas.manifest import CORPUS, SESSION, SUBJECT
from depmm.schemas.runs import MEASURE_COLUMNS
from depmm.schemas.table import Column, TableSchema

# values of the column reference of steps
SESSION_MEAN = "session mean"
TRAINING_WORD = "training word"
TRAINING_INDEX = "training step index"
TRAINING_STEPS = "training steps"
MIN_TRAINING_SUBJECTS = 3  # of a mean; fewer would be noisy and reveal the subjects

PREDICTION_KEY = (
    CORPUS,
    SUBJECT,
    SESSION,
    Column("split", "str", "Split of the session: train, validation or test"),
    Column("fold", "int64", "Fold of the model"),
    Column("seed", "int64", "Seed of the model"),
    Column("label", "int64", "Class of the session; missing for severity targets", nullable=True),
)
STEP = (
    Column("step", "int64", "Index of the step in the session"),
    Column("word", "str", "Text of the step in the manifest", nullable=True),
    Column("valence", "str", "Valence of the word: negative, neutral or positive", nullable=True),
)

ATTRIBUTIONS = TableSchema(
    "attributions.parquet",
    "One step of a session, with its attribution by each method.",
    (
        *PREDICTION_KEY,
        Column("y_prob", "float64", "Predicted probability of label 1", required=False),
        Column("score_pred", "float64", "Predicted score", required=False),
        *STEP,
        Column(
            "reference",
            "str",
            "What replaces the step: the mean of the training subjects' same word (training word), "
            "of their steps of the same index (training step index) or of all their steps "
            "(training steps), or the mean of the session (session mean). Modalities with the mean "
            f"of all steps, because fewer than {MIN_TRAINING_SUBJECTS} subjects have them, are "
            f"named, as in {TRAINING_WORD}; face: {TRAINING_STEPS}",
        ),
        Column(
            "occlusion",
            "float64",
            "Logit with the step minus logit with its reference instead",
            nullable=True,
        ),
    ),
    # occlusion_<modality>; selected and selected_<encoder>; <method>, <method>_<modality> and its
    # quality (shapley_error, integrated_gradients_gap)
    extra_columns=True,
)

SESSION_ATTRIBUTIONS = TableSchema(
    "session_attributions.parquet",
    "One session, with the attribution of all of its steps together.",
    (
        *PREDICTION_KEY,
        Column("reference", "str", "What replaces removed steps: training or session"),
        Column("logit", "float64", "Logit of the session"),
        Column("reference_logit", "float64", "Logit with all steps replaced by their references"),
        Column("all_steps", "float64", "Logit minus the logit with all steps replaced"),
    ),
    extra_columns=True,  # all_steps_<modality>: that modality alone is replaced
)

ATTENTION = TableSchema(
    "attention.parquet",
    "One step in one head of one attention layer.",
    (
        *PREDICTION_KEY,
        Column(
            "encoder",
            "str",
            "Encoder of the fusion: multimodal, a modality, or <source>_to_<target> if the steps "
            "of a modality attend to another",
        ),
        Column("block", "int64", "Index of the block (in the release model: stack) in the encoder"),
        Column("layer", "int64", "Index of the layer in the block"),
        Column("head", "int64", "Index of the attention head"),
        *STEP,
        Column(
            "selected",
            "bool",
            "Whether the query selection of the encoder contains the step; true without selection",
        ),
        Column(
            "shared_selected",
            "bool",
            "Whether the shared query selection contains the step; missing without a shared one",
            nullable=True,
        ),
        Column(
            "sparsity",
            "float64",
            "Sparsity measurement M of the step's query (Informer); missing without selection",
            nullable=True,
        ),
        Column(
            "attention_received",
            "float64",
            "Share of the attention of all attending queries that the step receives as a key",
        ),
        Column(
            "confidence",
            "float64",
            "Weight of the selection of the encoder; missing without a shared one",
            nullable=True,
        ),
        Column("gate", "float64", "Gate probability, or fixed weight, of the encoder's branch"),
    ),
)

BRANCHES = TableSchema(
    "branches.parquet",
    "One branch of the fusion in one session. With attention sharing, the branch of a modality "
    "also depends on the other modality, through the shared query selection; modalities.parquet "
    "attributes to modalities.",
    (
        *PREDICTION_KEY,
        Column("branch", "str", "Name of the branch: multimodal, a modality, or cross"),
        Column(
            "logit",
            "float64",
            "Logit of the branch alone; missing if its modality is missing",
            nullable=True,
        ),
        Column(
            "gate",
            "float64",
            "Gate probability, or fixed weight, of the branch; mean gate of a gated multimodal "
            "unit; 1 without gates",
        ),
        Column("present", "bool", "Whether the session has the modality of the branch"),
    ),
)

MODALITIES = TableSchema(
    "modalities.parquet",
    "One modality that a session has, with its attribution by masks.",
    (
        *PREDICTION_KEY,
        Column("modality", "str", "Name of the modality"),
        Column("shapley", "float64", "Shapley value of the modality, in units of the logit"),
    ),
)

FAITHFULNESS = TableSchema(
    "faithfulness.parquet",
    "One order in which the steps of a session are removed and inserted.",
    (
        *PREDICTION_KEY,
        Column("method", "str", "Attribution that determines the order, or random"),
        Column("order", "int64", "Index of the random order; 0 for an attribution"),
        Column("deletion", "float64", "Area under the deletion curve; small is faithful"),
        Column("insertion", "float64", "Area under the insertion curve; large is faithful"),
        Column(
            "logit",
            "float64",
            "Logit of the complete session, signed so that the predicted class is positive",
        ),
    ),
)

REGION_ATTRIBUTIONS = TableSchema(
    "region_attributions.parquet",
    "One region of the face, or frequency band of the voice, in one step.",
    (
        *PREDICTION_KEY,
        *STEP,
        Column("modality", "str", "Name of the modality"),
        Column("region", "str", "Region of the face, third of an aligned crop, or frequency band"),
        Column(
            "share",
            "float64",
            "Share of the step's Grad-CAM maps in the region; missing if the maps are zero",
            nullable=True,
        ),
        Column("area", "float64", "Share that a uniform map would have in the region"),
        Column("peak", "float64", "Largest value of the maps before they are scaled to 1"),
    ),
)

REGION_OCCLUSION = TableSchema(
    "region_occlusion.parquet",
    "One region of the face in one step, replaced by the mean colour of each crop.",
    (
        *PREDICTION_KEY,
        *STEP,
        Column("modality", "str", "Name of the modality"),
        Column("region", "str", "Region of the face, or third of an aligned crop"),
        Column("occlusion", "float64", "Logit with the region minus the logit without it"),
        Column("area", "float64", "Share of the pixels of the step's crops in the region"),
    ),
)

_MODEL = (
    Column("fold", "int64", "Fold of the model"),
    Column("seed", "int64", "Seed of the model"),
)

MEASURE_WEIGHTS = TableSchema(
    "measure_weights.parquet",
    "One input of a linear classical model.",
    (
        *_MODEL,
        *MEASURE_COLUMNS,
        Column(
            "weight",
            "float64",
            "Change of the logit, or of the score in points, per standard deviation of the input "
            "over the training rows; positive: towards label 1, or a higher score",
        ),
    ),
)

MEASURE_IMPORTANCE = TableSchema(
    "measure_importance.parquet",
    "A group of measures of a classical model, or all measures of a modality, with its permutation "
    "importance.",
    (
        *_MODEL,
        Column("split", "str", "Split of the explained sessions: train, validation or test"),
        Column("modality", "str", "Modality of the measures"),
        Column("set", "str", "Set of the measures; missing for a whole modality", nullable=True),
        Column("group", "str", "Group of the measures; missing for a whole modality",
               nullable=True),
        Column("inputs", "int64", "Number of inputs that are permuted together"),
        Column("metric", "str", "auroc, or rmse for scores"),
        Column("value", "float64", "The metric of the explained sessions; missing if undefined",
               nullable=True),
        Column(
            "importance",
            "float64",
            "Decrease of the AUROC, or increase of the RMSE, by the permutation; mean over the "
            "permutations",
            nullable=True,
        ),
        Column("importance_std", "float64", "Standard deviation over the permutations",
               nullable=True),
    ),
)  # fmt: skip

CLASSICAL_TABLES = ("measure_weights", "measure_importance")
"""Tables that only classical models have."""

EXPLANATIONS: dict[str, TableSchema] = {
    schema.file.removesuffix(".parquet"): schema
    for schema in (
        ATTRIBUTIONS,
        SESSION_ATTRIBUTIONS,
        MODALITIES,
        BRANCHES,
        ATTENTION,
        FAITHFULNESS,
        REGION_ATTRIBUTIONS,
        REGION_OCCLUSION,
        MEASURE_WEIGHTS,
        MEASURE_IMPORTANCE,
    )
}
"""The tables of an explained run, by their name in SQL queries."""
