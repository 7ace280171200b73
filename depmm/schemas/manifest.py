"""Tables of a manifest and of splits: sessions, steps, features, split and folds.

The tables of a manifest are joined by (corpus, subject, session); a subject is (corpus, subject).
Paths are relative to the corpus root, which is given at run time.
"""

from depmm.schemas.table import Column, TableSchema

SUBJECT_KEY = ["corpus", "subject"]
SESSION_KEY = [*SUBJECT_KEY, "session"]
STEP_KEY = [*SESSION_KEY, "step"]

SPLITS = ("train", "validation", "test")
GENDERS = ("female", "male")
VALENCES = ("negative", "neutral", "positive")

CORPUS = Column("corpus", "str", "Id of the corpus")
SUBJECT = Column("subject", "str", "Id of the subject, unique within the corpus")
SESSION = Column("session", "str", "Id of the session, unique within the subject")
_STEP = Column("step", "int64", "Index of the step in its session, from 0")
_SPLIT = Column("split", "str", "``train``, ``validation`` or ``test``")

SESSIONS = TableSchema(
    "sessions.parquet",
    "One session: a recording occasion of a subject, with its score and label.",
    (
        CORPUS,
        SUBJECT,
        SESSION,
        Column("instrument", "str", "Questionnaire of score and label", nullable=True),
        Column("score", "float64", "Measured score", unit="points", nullable=True),
        Column("label", "int64", "Class, 1 is depressed", nullable=True),
        Column(
            "cut_off",
            "float64",
            "Lowest score with label 1, as stated in the spec",
            unit="points",
            nullable=True,
        ),
        Column(
            "original_label",
            "int64",
            "Class as distributed with the corpus, if ``label`` is computed from the score",
            nullable=True,
        ),
        Column("split", "str", "Official split, as in ``SPLITS``", nullable=True),
        Column("gender", "str", "``female`` or ``male``", nullable=True),
        Column("age", "float64", "Age of the subject", unit="years", nullable=True),
    ),
    extra_columns=True,  # text columns of the data spec
)
STEPS = TableSchema(
    "steps.parquet",
    "One step: an ordered part of a session, such as a word, a turn or a window.",
    (
        CORPUS,
        SUBJECT,
        SESSION,
        _STEP,
        Column("start_s", "float64", "Start, from the start of the recording", unit="s"),
        Column("end_s", "float64", "End; missing for the end of the file", unit="s", nullable=True),
        Column(
            "previous_end_s",
            "float64",
            "End of the last turn of another speaker before this step, if no step or left-out row "
            "of the step table starts between them; only with ``other_turns`` in the spec",
            unit="s",
            nullable=True,
            required=False,
        ),
        Column("text", "str", "Words spoken", nullable=True),
        Column("valence", "str", "``negative``, ``neutral`` or ``positive``", nullable=True),
        Column("task", "str", "What the participant did", nullable=True),
        Column("audio", "str", "Path of the file with the sound", nullable=True),
        Column("audio_track", "int64", "Index of the sound track, from 0", nullable=True),
        Column("audio_channel", "int64", "Index of the channel of the track", nullable=True),
        Column("face", "str", "Path of the video of the face", nullable=True),
        Column("face_aligned", "bool", "Whether frames are aligned square crops of the face"),
    ),
)
FEATURES = TableSchema(
    "features.parquet",
    "One stream of a step: features per frame that a corpus ships in place of a recording.",
    (
        CORPUS,
        SUBJECT,
        SESSION,
        _STEP,
        Column("name", "str", "Name of the stream"),
        Column("modality", "str", "Modality that the features were computed from"),
        Column("path", "str", "Path of the file"),
        Column(
            "reader", "str", "How the file is read, a ``StreamConfig`` as JSON", few_values=True
        ),
    ),
)
PSEUDO_SUBJECTS = TableSchema(
    "pseudo_subjects.parquet",
    "One session and the cluster of similar voices to which it belongs.",
    (
        CORPUS,
        SUBJECT,
        SESSION,
        Column("pseudo_subject", "str", "Id of the cluster, unique within the corpus"),
    ),
)
SPLIT = TableSchema("split.csv", "One subject and its split.", (CORPUS, SUBJECT, _SPLIT))
FOLDS = TableSchema(
    "folds.csv",
    "One subject in one fold, and its split.",
    (CORPUS, SUBJECT, Column("fold", "int64", "Index of the fold, from 0"), _SPLIT),
)
