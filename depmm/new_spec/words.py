"""Words in names of files and columns that tell what they are."""

import re

SPLITS = {
    "train": "train", "training": "train", "dev": "validation", "development": "validation",
    "valid": "validation", "validation": "validation", "val": "validation", "test": "test",
    "testing": "test",
}  # fmt: skip
POSITIVE = {
    "depressed", "depression", "depressive", "mdd", "patient", "patients", "pt", "dep", "case",
    "cases", "d", "p", "depressiv", "patientin", "patienten",
}  # fmt: skip
NEGATIVE = {
    "healthy", "hc", "control", "controls", "normal", "nondepressed", "ctrl", "ct", "con", "h",
    "c", "n", "gesund", "gesunde", "kontrolle", "kontrollen", "kontrollgruppe",
}  # fmt: skip
CLASS_WORDS = {word for word in POSITIVE | NEGATIVE if len(word) > 1}
VALENCES = {
    "negative": "negative", "neg": "negative", "neutral": "neutral", "neu": "neutral",
    "positive": "positive", "pos": "positive",
}  # fmt: skip
GENDERS = {
    "f": "female", "female": "female", "w": "female", "woman": "female", "weiblich": "female",
    "m": "male", "male": "male", "man": "male", "männlich": "male",
}  # fmt: skip
VISIT = re.compile(
    r"visit|session|ses|wave|timepoint|time_point|appointment|occasion|follow|zeitpunkt|termin",
    re.I,
)
DATE = re.compile(r"date|datum|day|recorded_on|assessed", re.I)
SUBJECT = re.compile(
    r"subj|particip|patient|proband|person|speaker|actor|client|^s?id$|^pid$|_id$|^vp|^index$|^sub$"
    r"|^number$|^code$|^nr$|^no$|^s$|^p$",
    re.I,
)
TASK = re.compile(r"task|read|interview|story|free|passage|picture|answer|question|speech", re.I)
TRACKS = {
    "audio": "audio", "voice": "audio", "voic": "audio", "acoustic": "audio", "speech": "audio",
    "sound": "audio", "wav": "audio", "mfcc": "audio", "mfccs": "audio", "egemaps": "audio",
    "opensmile": "audio", "vggish": "audio", "covarep": "audio", "formant": "audio",
    "formants": "audio", "hubert": "audio", "pitch": "audio", "spectrogram": "audio",
    "face": "face", "faces": "face", "visual": "face", "video": "face", "openface": "face",
    "clnf": "face", "gaze": "face", "pose": "face", "aus": "face", "au": "face", "resnet": "face",
    "densenet": "face", "vgg": "face", "landmark": "face", "landmarks": "face", "cnn": "face",
    "gait": "gait", "imu": "imu", "eeg": "eeg", "text": "text",
}  # fmt: skip
FACE_COLUMNS = re.compile(
    r"^(?:AU\d\d_[rc]|pose_\w+|gaze_\w+|x_?\d+|X_?\d+|eye_lmk|success$|T[xyz]$)"
)
START = re.compile(r"^(?:start|begin|onset|from|t0|von)", re.I)
END = re.compile(r"^(?:end|stop|offset|to$|to_|t1|bis)", re.I)
TIME = re.compile(r"^(?:timestamp|frametime|time|t|seconds)$", re.I)
TEXT = re.compile(r"^(?:text|word|value|transcript|utterance|sentence|item)$", re.I)
NOT_FEATURES = {"frame", "face_id", "confidence", "success", "name"}
SPEAKER = re.compile(r"speaker|who|role|channel", re.I)
PARTICIPANT = re.compile(r"particip|patient|subject|client|proband|interviewee", re.I)


def track_of(names: list[str]) -> str | None:
    """Find the modality that words name.

    Parameters
    ----------
    names : list of str
        Words of a path, outermost first; the last that names a modality is used.

    Returns
    -------
    str or None
        The modality.
    """
    found = [TRACKS[name.lower()] for name in names if name.lower() in TRACKS]
    return found[-1] if found else None


def classes(values: list[str]) -> tuple[list[str], list[str]] | None:
    """Sort two or more values into the class of patients and that of controls.

    Parameters
    ----------
    values : list of str
        Different values of a column or part of a path.

    Returns
    -------
    tuple of (list of str, list of str) or None
        Values of patients and of controls; None if a value is neither.
    """

    def fold(value: str) -> str:
        return re.sub(r"[\W_]", "", value.lower())

    positive = [value for value in values if fold(value) in POSITIVE]
    negative = [value for value in values if fold(value) in NEGATIVE]
    if positive and negative and len(positive) + len(negative) == len(values) <= 4:
        return sorted(positive), sorted(negative)
    return None
