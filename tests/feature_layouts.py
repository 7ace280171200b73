"""Small synthetic folders in the layouts of corpora that ship features, with their known flaws."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from scipy.io import savemat

SECONDS = 4
DAIC_HEADER = "Participant_ID,PHQ8_Binary,PHQ8_Score,Gender"
CLNF = {"AUs": 20, "gaze": 12, "pose": 6, "features": 136, "features3D": 204}
# id -> (label file, original class, PHQ-8, gender)
DAIC_SUBJECTS = {
    300: ("train", 0, 2, 1),
    318: ("dev", 0, 4, 0),
    373: ("test", 1, 17, 0),
    409: ("train", 0, 10, 1),
    444: ("test", 0, 7, 1),
    451: ("dev", 1, 14, 0),
}
# start, stop, speaker, words; the same for all subjects
DAIC_TURNS = [
    (0.2, 0.9, "Ellie", "how are you doing today"),
    (0.5, 0.6, "Participant", "<synch>"),
    (0.6, 0.7, "Participant", "[syncing]"),
    (1.0, 2.0, "Participant", "i'm good"),
    (2.0, 2.5, "Ellie", "that's good"),
    (2.5, 3.5, "Participant", 'he said "fine" <laughter>'),
]
DAIC_FURTHER_TURNS = {
    373: [
        (350.0, 352.0, "Participant", "before"),
        (351.0, 352.5, "Participant", "into it"),
        (419.5, 421.0, "Participant", "out of it"),
        (420.0, 421.0, "Participant", "after"),
    ],
    444: [
        (280.0, 386.5, "Participant", "across"),
        (300.0, 301.0, "Participant", "inside"),
        (387.0, 388.0, "Participant", "after"),
    ],
}


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _table(path: Path, header: Sequence[str] | None, rows: np.ndarray, sep: str = ",") -> None:
    lines = [sep.join(header)] if header else []
    lines += [sep.join(f"{x:.4f}".rstrip("0").rstrip(".") for x in row) for row in rows]
    _write(path, "\n".join(lines) + "\n")


def _save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)


def _sound(path: Path, seconds: float = SECONDS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.sin(np.arange(int(16000 * seconds)) / 20), 16000)


def _tracked(rng: np.random.Generator, width: int, rate: int, spaces: str, face_id: bool = False):
    """Return the header and rows of a face tracker without a face in frame 40."""
    frames = SECONDS * rate
    time = np.arange(frames) / rate
    success = (np.arange(frames) != 40).astype(float)
    first = [np.arange(1, frames + 1)]
    names = ["frame"]
    if face_id:
        first.append(np.zeros(frames))
        names.append("face_id")
    first += [time, 0.9 * success, success]
    names += ["timestamp", "confidence", "success"]
    values = rng.normal(size=(frames, width)) * success[:, None]
    return [names[0], *[spaces + name for name in names[1:]]], np.column_stack([*first, values])


def daic_woz(root: Path, subjects: Sequence[int] = tuple(DAIC_SUBJECTS)) -> Path:
    """Make a folder per subject: transcripts, COVAREP with -inf, CLNF with an invalid frame."""
    rng = np.random.default_rng(0)
    labels: dict[str, list[str]] = {"train": [], "dev": [], "test": []}
    for number in subjects:
        part, binary, score, gender = DAIC_SUBJECTS[number]
        labels[part].append(f"{number},{binary},{score},{gender}")
        start = root / f"{number}_P" / str(number)
        _sound(Path(f"{start}_AUDIO.wav"))
        voice = rng.normal(size=(100 * SECONDS, 74))
        voice[:, 1] = np.arange(len(voice)) % 3 > 0  # every third frame has no voice
        _table(Path(f"{start}_COVAREP.csv"), None, voice)
        text = Path(f"{start}_COVAREP.csv").read_text().splitlines()
        text[101] = ",".join([*text[101].split(",")[:73], "-inf"])
        _write(Path(f"{start}_COVAREP.csv"), "\n".join(text) + "\n")
        _table(Path(f"{start}_FORMANT.csv"), None, rng.normal(500, 9, (len(voice), 5)))
        for kind, width in CLNF.items():
            names, rows = _tracked(rng, width, 30, " ")
            names += [f" {kind}{column}" for column in range(width)]
            _table(Path(f"{start}_CLNF_{kind}.txt"), names, rows)
        Path(f"{start}_CLNF_hog.bin").write_bytes(b"hog")
        turns = sorted([*DAIC_TURNS, *DAIC_FURTHER_TURNS.get(number, [])])
        if number == 451:  # the interviewer was not transcribed
            turns = [turn for turn in turns if turn[2] != "Ellie"]
        lines = ["start_time\tstop_time\tspeaker\tvalue"]
        lines += ["\t".join(map(str, turn)) for turn in turns]
        _write(Path(f"{start}_TRANSCRIPT.csv"), "\n".join(lines) + "\n")
    items = ",PHQ8_NoInterest,PHQ8_Depressed"
    for part in ("train", "dev"):
        rows = [DAIC_HEADER + items, *[f"{row},0,1" for row in labels[part]]]
        _write(root / f"{part}_split_Depression_AVEC2017.csv", "\n".join(rows) + "\n")
    header = DAIC_HEADER.replace("PHQ8", "PHQ")
    _write(root / "full_test_split.csv", "\n".join([header, *labels["test"]]) + "\n")
    _write(root / "test_split_Depression_AVEC2017.csv", "participant_ID,Gender\n373,0\n444,1\n")
    return root


def edaic(root: Path) -> Path:
    """Make a subject of DAIC-WOZ, one whose class contradicts the score, and a new one."""
    rng = np.random.default_rng(1)
    header = "Participant_ID,Gender,PHQ_Binary,PHQ_Score,PCL-C (PTSD),PTSD Severity"
    subjects = {
        300: ("dev", "male", 0, 2),
        320: ("train", "female", 0, 11),
        600: ("test", "female", 1, 12),
    }
    for number, (part, gender, binary, score) in subjects.items():
        _write(
            root / f"labels/{part}_split.csv",
            f"{header}\n{number},{gender},{binary},{score},0,22.0\n",
        )
        _sound(root / f"{number}_P/{number}_AUDIO.wav")
        _write(
            root / f"{number}_P/{number}_Transcript.csv",
            'Start_Time,End_Time,Text,Confidence\n0.5,1.5,"well, yes",0.9\n10.0,11.0,no,0.8\n',
        )
        start = f"{root}/{number}_P/features/{number}"
        for kind, width in (("egemaps", 23), ("mfcc", 39)):
            lines = [";".join(["name", "frameTime", *[f"{kind}{i}" for i in range(width)]])]
            for i, row in enumerate(rng.normal(size=(100 * SECONDS, width))):
                lines.append(f"'unknown';{i / 100:.2f};" + ";".join(f"{x:.3f}" for x in row))
            _write(Path(f"{start}_OpenSMILE2.3.0_{kind}.csv"), "\n".join(lines) + "\n")
        names, rows = _tracked(rng, 49, 30, " ")
        names += [f" AU{column}_r" for column in range(49)]
        _table(Path(f"{start}_OpenFace2.1.0_Pose_gaze_AUs.csv"), names, rows)
        for name, width in (("ResNet", 2048), ("VGG", 4096)):
            savemat(f"{start}_CNN_{name}.mat", {"feature": rng.normal(size=(8, width))})
        _write(Path(f"{start}_BoAW_openSMILE_2.3.0_eGeMAPS.csv"), "0;1\n")
        _write(Path(f"{start}_densenet201.csv"), "0,1\n")
    return root


def dvlog(root: Path) -> Path:
    """Make three vlogs of 90 to 150 rows; the files of a vlog differ by two rows."""
    rng = np.random.default_rng(2)
    vlogs = {0: ("depression", 90, "f", "train"), 1: ("normal", 130, "m", "valid")}
    vlogs[17] = ("normal", 150, "f", "test")
    lines = ["index,label,duration,gender,fold"]
    for number, (label, rows, gender, fold) in vlogs.items():
        lines.append(f"{number},{label},{rows}.5,{gender},{fold}")
        _save(root / f"{number}/{number}_acoustic.npy", rng.normal(size=(rows + 2, 25)))
        _save(root / f"{number}/{number}_visual.npy", rng.normal(size=(rows, 136)))
    _write(root / "labels.csv", "\n".join(lines) + "\n")
    return root


def lmvd(root: Path) -> Path:
    """Make two videos of 4 s; the label depends on the number of the file."""
    rng = np.random.default_rng(3)
    for number, label in ((1, 1), (602, 0)):
        _save(root / f"Audio_feature/{number:03d}.npy", rng.normal(size=(4, 128)))
        names, rows = _tracked(rng, 6, 30, " ", face_id=True)
        names += [" gaze_0_x", " eye_lmk_x_0", " eye_lmk_y_0", " pose_Tx", " x_0", " AU01_r"]
        _table(root / f"Video_feature/{number:03d}.csv", names, rows)
        _write(root / f"label/{number:03d}_Depression.csv", f"{label}\n")
    return root


def mpdd(root: Path) -> Path:
    """Make elderly and young subjects with the same numbers, with old and new file names."""
    rng = np.random.default_rng(4)
    widths = {"Audio": {"mfccs": 64, "opensmile": 6, "wav2vec": 512}}
    widths["Visual"] = {"openface": 9, "resnet": 10, "densenet": 10}
    subjects = [
        ("Elderly", "Training", 1, 1),
        ("Young", "Training", 1, 0),
        ("Young", "Training", 2, 1),
    ]
    subjects.append(("Elderly", "Testing", 1178, 0))
    labels: dict[Path, list[dict[str, object]]] = {}
    for cohort, part, subject, label in subjects:
        folder = root / f"MPDD-{cohort}" / part
        for clip in (1, 2, 10):
            plain = f"{subject:03d}_{clip:03d}.npy"
            names = {"Audio": plain, "Visual": plain}
            if part == "Testing":
                names = {"Audio": f"{subject}_A_{clip}.npy", "Visual": f"{subject}_V_{clip}.npy"}
            row: dict[str, object] = {"bin_category": label, "tri_category": 2 * label}
            if cohort == "Elderly":
                row["pen_category"] = 3 * label
            row["audio_feature_path"] = names["Audio"]
            row["video_feature_path"] = names["Visual"]
            labels.setdefault(folder, []).append(row)
            for window, rows in ((1, 20), (5, 4)):
                for kind, widths_of in widths.items():
                    for name, width in widths_of.items():
                        array = rng.normal(size=(rows, width)).astype(np.float32)
                        _save(folder / f"{window}s/{kind}/{name}" / names[kind], array)
        _write(folder / "labels/personalized_train.json", '{"1": {"description": "depressed"}}')
        _write(folder / "individualEmbedding/descriptions_embeddings_with_ids.npy", "pickled")
    for folder, listed in labels.items():
        name = "Testing" if folder.name == "Testing" else "Training_Validation"
        _write(folder / f"labels/{name}_files.json", json.dumps(listed))
    return root


def ewre(root: Path, pickled: bool = False) -> Path:
    """Make three files of 24 to 26 words; face maps have few pixels here."""
    rng = np.random.default_rng(5)
    for name, words in (("P1D001", 24), ("D002", 26), ("P3H003", 25)):
        face = rng.integers(0, 256, (6, 5, words)).astype(float)
        voice = rng.normal(size=(words + 1, 1000))
        if pickled:
            voice = np.array([*voice, None], object)[:-1]
        _save(root / f"face/{name}.npy", face)
        _save(root / f"voic/{name}.npy", voice)
    return root
