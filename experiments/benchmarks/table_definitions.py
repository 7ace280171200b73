"""Tables of experiments/README.md that ``tables.py`` measures: rows, settings and tested pairs.

Rows, settings and pairs of a table were fixed before this table was measured. Some of its rows had
been measured on the same corpus before; the page says so.
"""

from dataclasses import dataclass

DRAWN = "0,1,2"  # seeds of trainings with random draws


@dataclass(frozen=True)
class Row:
    """A config with settings that differ.

    Attributes
    ----------
    config : str
        Name of a shipped config.
    settings : tuple of str
        Settings that differ, as ``key=value``.
    seeds : str
        Seeds, separated by commas; one where nothing is drawn.
    label : str or None
        Name of the row; by default that of the config.
    """

    config: str
    settings: tuple[str, ...] = ()
    seeds: str = "0"
    label: str | None = None

    @property
    def name(self) -> str:
        """Name of the run and of the row."""
        return self.label or self.config


@dataclass(frozen=True)
class Table:
    """Rows on the same folds, and the pairs that are compared.

    Attributes
    ----------
    corpus : str
        Key of :data:`CORPORA`.
    rows : tuple of Row
        The rows.
    pairs : tuple of (str, str)
        Names of the rows whose difference is tested, first minus second.
    notes : str
        What a reader has to know; ``{subjects}`` and ``{sessions}`` are replaced.
    metrics : tuple of str
        Metrics of the columns; the rows are sorted by the last one.
    draws : str or None
        Seeds of folds or corpus, shown where no training is drawn.
    """

    corpus: str
    rows: tuple[Row, ...]
    pairs: tuple[tuple[str, str], ...]
    notes: str
    metrics: tuple[str, ...] = ("balanced_accuracy", "auroc")
    draws: str | None = None


# commands of depmm that write stores/NAME; {recordings} is the folder of --NAME
CORPORA: dict[str, tuple[str, ...]] = {
    "emodb": (
        "index emodb {recordings} --out corpora/emodb/manifest",
        "extract corpora/emodb/manifest {recordings} --out stores/emodb",
    ),
    "ravdess": (
        "index ravdess {recordings} --out corpora/ravdess/manifest",
        "extract corpora/ravdess/manifest {recordings} --out stores/ravdess",
    ),
    "demo": (
        "simulate corpora/demo/recordings --subjects 96 --steps 12 --seed 0 --effect 1.25",
        "index ewre_simulated corpora/demo/recordings --out corpora/demo/manifest",
        "extract corpora/demo/manifest corpora/demo/recordings --out stores/demo --config demo",
    ),
    "ewre": (
        "simulate corpora/ewre/recordings --spec ewre --subjects 96",
        "index ewre corpora/ewre/recordings --out corpora/ewre/manifest",
        "extract corpora/ewre/manifest corpora/ewre/recordings --out stores/ewre",
    ),
}
CLASSICAL = (
    "classical_svm",
    "classical_k_nearest",
    "classical_gaussian_process",
    "classical_adaboost",
)
# five partitions of RAVDESS into folds, and their seed on the page
PARTITIONS, PARTITIONS_DRAWN = ("split.seed=21", "split.repeats=5"), "Folds: seed 21"
LEAVE_ONE_OUT = ("split={kind: leave_one_subject_out}",)
LEAVE_ONE_ACTOR_OUT = ("split={kind: leave_one_subject_out, validation: 0.3}",)
# target, corpus and preparation of ravdess_sad, for the configs of Emo-DB
ON_RAVDESS = (
    "target.positive=[sad]",
    "target.negative=[neutral,calm,happy]",
    "split.validation=0.3",
    "data.manifest=corpora/ravdess/manifest",
    "data.store=stores/ravdess",
    "data.remove_silence=true",
)
FIXED_RATE = ("training.phases=[]", "training.epochs=10", "model.encoders.audio.channels=16")
SHORT = (
    "training.epochs=30",
    "training.batch_size=16",
    "training.learning_rate=5.0e-4",
    "training.patience=8",
)
RANDOM_TRANSFORMER = "random_wav2vec2"
RANDOM_SOURCE = (
    f"model.encoders.audio.source=sources/{RANDOM_TRANSFORMER}",
    "model.encoders.audio.license=none",
    "model.encoders.audio.pretrained_on=[]",
)

EMODB = (
    "Sad and angry against neutral: {subjects} speakers, {sessions} utterances. No setting was "
    "chosen on these results."
)
ALONE = (
    " Duration and number of steps of the session alone, and gender and age alone, are logistic "
    "regressions on the same folds; the last column is the difference to duration and steps."
)
RAVDESS = (
    "Sad against neutral, calm and happy: {subjects} actors, {sessions} sessions of about seven "
    "utterances."
)
DEMO = (
    "The corpus of `make demo`, seed 0, with its official split: {subjects} test subjects. Voice "
    "and face have independent additive effects."
)
PLACES = ("inside_blocks", "after_modules", "none")

TABLES = {
    "emodb_five_folds": Table(
        "emodb",
        (
            *(Row(name) for name in CLASSICAL),
            Row("classical_voice"),
            Row("classical_svm_nested"),
            Row("emodb_negative", seeds=DRAWN),
            Row("spectrogram_cnn", seeds=DRAWN),
        ),
        (
            ("classical_svm_nested", "classical_svm"),
            ("classical_voice", "classical_svm"),
            ("emodb_negative", "classical_svm"),
            ("spectrogram_cnn", "classical_svm"),
        ),
        EMODB + " `classical_svm_nested` chooses C and the number of MFCC in each fold, on three "
        "inner folds of its training and validation speakers." + ALONE,
    ),
    "emodb_leave_one_out": Table(
        "emodb",
        (
            *(Row(name, LEAVE_ONE_OUT) for name in CLASSICAL),
            Row("classical_voice", LEAVE_ONE_OUT),
            Row("classical_svm_nested", LEAVE_ONE_OUT),
            Row("emodb_negative", LEAVE_ONE_OUT, DRAWN),
        ),
        (
            ("classical_svm_nested", "classical_svm"),
            ("classical_voice", "classical_svm"),
            ("emodb_negative", "classical_svm"),
        ),
        EMODB + ALONE,
    ),
    "emodb_attention_place": Table(
        "emodb",
        tuple(
            Row(
                "attention_resnet_18",
                (f"model.encoders.audio.attention={place}", *FIXED_RATE),
                DRAWN,
                place,
            )
            for place in PLACES
        ),
        tuple((PLACES[a], PLACES[b]) for a, b in ((0, 2), (1, 2), (0, 1))),
        EMODB + ALONE,
    ),
    "emodb_emoaudionet": Table(
        "emodb",
        (Row("emoaudionet_mfcc", SHORT, DRAWN), Row("classical_svm")),
        (("emoaudionet_mfcc", "classical_svm"),),
        EMODB + " Epochs, batch size and learning rate of `emoaudionet_mfcc` are those of "
        "`emoaudionet_small`, because the 500 epochs of the paper need a GPU." + ALONE,
    ),
    "emodb_random_transformer": Table(
        "emodb",
        (
            Row("speech_transformer_emodb", RANDOM_SOURCE, DRAWN, RANDOM_TRANSFORMER),
            Row("classical_svm"),
        ),
        ((RANDOM_TRANSFORMER, "classical_svm"),),
        EMODB + f" `{RANDOM_TRANSFORMER}` is a wav2vec 2.0 with four layers of 64 units and random "
        "weights, which are not trained." + ALONE,
    ),
    "ravdess_five_folds": Table(
        "ravdess",
        (
            *(Row(name, ON_RAVDESS) for name in CLASSICAL),
            *(Row(f"ravdess_sad_{name}") for name in ("mfcc_pitch", "egemaps", "measures")),
            Row("ravdess_sad", seeds=DRAWN),
            Row("ravdess_sad_voice", seeds=DRAWN),
        ),
        (
            ("ravdess_sad", "classical_svm"),
            ("ravdess_sad", "ravdess_sad_mfcc_pitch"),
            ("ravdess_sad_voice", "ravdess_sad"),
        ),
        RAVDESS + " **Chosen on these actors:** learning rate, epochs and width of `ravdess_sad` "
        "were chosen on validation actors of a split with another seed; `ravdess_sad_voice` has "
        "the same settings. The measures of `ravdess_sad_egemaps` and the candidates of "
        "`ravdess_sad_measures`, which chooses among them in each fold, were chosen after about 85 "
        "settings had been looked at on the folds of `split.seed` 0 to 2, of which these are one. "
        "No row that begins with `ravdess_sad` is free of such choices, except "
        "`ravdess_sad_mfcc_pitch`." + ALONE,
    ),
    "ravdess_leave_one_out": Table(
        "ravdess",
        (
            *(Row(name, ON_RAVDESS + LEAVE_ONE_ACTOR_OUT) for name in CLASSICAL),
            *(
                Row(f"ravdess_sad_{name}", LEAVE_ONE_ACTOR_OUT)
                for name in ("mfcc_pitch", "egemaps")
            ),
            Row("ravdess_sad", LEAVE_ONE_ACTOR_OUT, DRAWN),
        ),
        (("ravdess_sad", "classical_svm"), ("ravdess_sad", "ravdess_sad_mfcc_pitch")),
        RAVDESS + " **Chosen on these actors**, as in the table `ravdess_five_folds`: "
        "`ravdess_sad` and `ravdess_sad_egemaps`." + ALONE,
    ),
    "ravdess_measures": Table(
        "ravdess",
        tuple(
            Row(f"ravdess_sad_{name}", PARTITIONS) for name in ("mfcc_pitch", "egemaps", "nested")
        ),
        (
            ("ravdess_sad_egemaps", "ravdess_sad_mfcc_pitch"),
            ("ravdess_sad_nested", "ravdess_sad_mfcc_pitch"),
        ),
        RAVDESS + " Five partitions into five folds. **Chosen on these actors:** eGeMAPS "
        "(`ravdess_sad_egemaps`), on the folds of another partition. `ravdess_sad_nested` chooses "
        "between MFCC with pitch, the voice measures and eGeMAPS in each fold, on its training and "
        "validation actors; that eGeMAPS are a candidate was decided on all of these actors."
        + ALONE,
        draws=PARTITIONS_DRAWN,
    ),
    "demo_measures": Table(
        "demo",
        tuple(
            Row("classical_demo", (f"classical.measures.audio=[{name}]",), label=name)
            for name in ("voice", "timing", "egemaps")
        ),
        (),
        DEMO + " `classical_demo` with three sets of measures of the voice." + ALONE,
        draws="Corpus: seed 0",
    ),
    "demo_severity": Table(
        "demo",
        (Row("demo_severity", seeds=DRAWN), Row("classical_demo_severity")),
        (("demo_severity", "classical_demo_severity"),),
        DEMO + " The target is the BDI-II score.",
        ("rmse", "ccc"),
    ),
    "ewre_release": Table(
        "ewre",
        (Row("dep_former_release", ("training.epochs=5",), DRAWN),),
        (),
        "The released layout of EWRE with {subjects} simulated subjects, five folds, 5 epochs. The "
        "planted effect is one standard deviation: the table shows that the model learns from "
        "these arrays, and nothing about depressed subjects.",
    ),
}
