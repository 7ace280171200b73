"""A made-up clinic of the tutorial "Your own corpus": real GRID and RAVDESS clips, made-up labels.

Names and extensions differ in case and contain blanks, two subjects have two visits that only a
date tells apart, a video and a label are missing, and the table of ratings writes ids as numbers.
"""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from depmm.media.sound.audio import decode_audio

READERS = {  # subject: clip of GRID (CC BY 4.0; one clip per speaker)
    2: "grid_10spk/brbk7n.mpg", 3: "grid_10spk/lbax4n.mpg", 5: "grid_10spk/lbbc2a.mpg",
    7: "grid_10spk/lrwp9a.mpg", 8: "grid_10spk/lwbsza.mpg", 9: "grid_10spk/pwij3p.mpg",
    12: "grid_10spk/sbia1a.mpg", 14: "grid_10spk/sbwe5n.mpg", 15: "grid_10spk/swiz3n.mpg",
}  # fmt: skip
TWO_VISITS = {  # GRID speaker 1 and RAVDESS actor 1 (CC BY-NC-SA 4.0)
    4: ("grid_s1/bbaf2n.mpg", "grid_s1/bbbf8p.mpg"),
    21: ("ravdess_actor01/01-01-01-01-01-01-01.mp4", "ravdess_actor01/01-01-01-01-02-02-01.mp4"),
}
WITHOUT_VIDEO, WITHOUT_RATING = 9, 15
PHQ = {2: 3, 3: 15, 4: (16, 7), 5: 2, 7: 12, 8: 4, 9: 18, 12: 6, 14: 11, 15: None, 21: (5, 13)}
RATE = 16_000
INTERVIEW = "Interviews/P30 intake.WAV"
PARTICIPANT, INTERVIEWER = 3, 8  # RAVDESS actors of the interview
CROSSTALK_DB = -14  # how much quieter a lapel microphone hears the other speaker


def write_clinic(data: Path, root: Path, interview_s: float = 1200.0) -> None:
    """Write the folder of the clinic.

    Parameters
    ----------
    data : Path
        Folder of the real recordings.
    root : Path
        Folder of the clinic, which must not exist.
    interview_s : float
        Length of the interview in seconds.
    """
    for folder in ("Camera", "Headset", "Interviews"):
        (root / folder).mkdir(parents=True)
    clips = {subject: (clip,) for subject, clip in READERS.items()} | TWO_VISITS
    rows = []
    for index, (subject, visits) in enumerate(sorted(clips.items())):
        scores = PHQ[subject] if isinstance(PHQ[subject], tuple) else (PHQ[subject],)
        for visit, (clip, score) in enumerate(zip(visits, scores, strict=True)):
            date = f"2024-{3 + 2 * visit:02d}-{5 + index:02d}"
            prefix = "p" if subject == 12 else "P"  # a name that was typed by hand
            write_reading(data / clip, root, f"{prefix}{subject:02d} {date}", subject)
            rows.append(
                {
                    "Code": subject, "Date": date, "Sex": "mf"[index % 2], "Age": 24 + 3 * index,
                    "PHQ-9 total": score,
                }
            )  # fmt: skip
    table = pd.DataFrame(rows)
    assert table["PHQ-9 total"].isna().sum() == 1
    table["PHQ-9 total"] = table["PHQ-9 total"].astype("Int64")
    table.to_excel(root / "Ratings.xlsx", index=False)
    soundfile.write(root / INTERVIEW, interview(data, interview_s), RATE, "PCM_16")


def write_reading(clip: Path, root: Path, name: str, subject: int) -> None:
    """Copy the video, unless it is the missing one, and write its sound as that of a headset."""
    suffix = {4: clip.suffix.upper(), 21: ".Mp4"}.get(subject, clip.suffix)
    if subject != WITHOUT_VIDEO:
        shutil.copyfile(clip, root / "Camera" / f"{name}{suffix}")
    sound = np.concatenate(list(decode_audio(clip)))
    soundfile.write(root / "Headset" / f"{name}.{'WAV' if subject < 8 else 'wav'}", sound, RATE)


def interview(data: Path, length_s: float) -> np.ndarray:
    """Join calm utterances of two speakers with pauses, shape (T, 2): a microphone for each.

    The interviewer asks one utterance, and the participant answers with one to four.
    """
    rng = np.random.default_rng(0)
    sound = 1e-4 * rng.standard_normal((2, round(length_s * RATE))).astype(np.float32)
    speech = [calm_utterances(data, actor) for actor in (INTERVIEWER, PARTICIPANT)]
    position, gain = RATE, 10 ** (CROSSTALK_DB / 20)
    while True:
        for speaker in (0, 1):
            for _ in range(1 if speaker == 0 else rng.integers(1, 5)):
                part = speech[speaker][rng.integers(len(speech[speaker]))]
                if position + len(part) > sound.shape[1] - RATE:
                    return sound.T
                sound[speaker, position : position + len(part)] += part
                sound[1 - speaker, position : position + len(part)] += gain * part
                position += len(part) + round(RATE * rng.uniform(0.4, 0.9))
            position += round(RATE * rng.uniform(0.2, 1.2))


def calm_utterances(data: Path, actor: int) -> list[np.ndarray]:
    """Read the neutral and calm utterances of a RAVDESS actor, with equal loudness."""
    parts = []
    for path in sorted((data / "ravdess_speech" / f"Actor_{actor:02d}").glob("03-01-0[12]-*.flac")):
        wave, rate = soundfile.read(path, dtype="float32")
        assert rate == RATE
        parts.append(0.1 * wave / np.sqrt(np.mean(wave**2)))
    return [np.clip(part, -0.99, 0.99) for part in parts]
