"""Measure how well ``depmm steps --by turns --speakers voices`` tells two speakers apart.

    python experiments/benchmarks/speaker_turns.py RECORDINGS [PAIRS]

RECORDINGS contains ``ravdess_speech``, ``emodb_4emo``, ``grid_s1`` and their ``manifest.csv``.
Utterances of two speakers alternate with pauses of 0.15 to 1.5 s to interviews of 3 minutes; one
speaker has one to three utterances per turn, the other one or two. The level of the second speaker
differs by 0, -10, 6 or -6 dB; half of the interviews have white noise 20 dB below the speech. The
diarisation error rate is missed speech, speech in pauses, and time of the wrong speaker, relative
to the time of the reference turns, which end where an utterance falls to 30 dB below its loud
level (GRID: with its words). Frames within the collar around reference boundaries are not counted.
"""

import csv
import sys
import tempfile
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import soundfile

from depmm.config import SAMPLE_RATE
from depmm.media.sound.audio import decode_audio
from depmm.media.sound.voice_activity import frame_levels, segments_of_levels
from depmm.steps.recordings import Recording
from depmm.steps.speech import choose_detector
from depmm.steps.turns import FRAME_S, Turn, frames_of
from depmm.steps.turns_sources import choose_embedding, voice_source

SECONDS = 180.0
COLLAR_S = 0.25
LEVELS_DB = (0.0, -10.0, 6.0, -6.0)
WOMEN_OF_EMODB = ("08", "09", "13", "14", "16")
Speakers = dict[str, list[np.ndarray]]


def load(path: Path, words: Path | None = None) -> np.ndarray:
    """Read an utterance without the silence around it (or around its words), at -26 dB."""
    sound = np.concatenate(list(decode_audio(path)))
    if words is None:
        segments = segments_of_levels(frame_levels([sound]), -30, 0.3, len(sound) / SAMPLE_RATE)
        times = segments[0, 0], segments[-1, 1]
    else:  # the background of GRID is louder than -30 dB
        rows = [line.split() for line in words.read_text(encoding="utf-8").splitlines()]
        spoken = [row for row in rows if row[2] not in ("sil", "sp")]
        times = int(spoken[0][0]) / 25000, int(spoken[-1][1]) / 25000
    start, end = (round(time_s * SAMPLE_RATE) for time_s in times)
    part = sound[start:end]
    return np.asarray(part / np.sqrt((part**2).mean()) * 10 ** (-26 / 20), np.float32)


def load_corpora(root: Path) -> dict[str, Speakers]:
    """Read the utterances of the speakers of each group; the last letter of a name is the sex."""
    corpora: dict[str, Speakers] = {
        name: {}
        for name in ("RAVDESS, 4 emotions", "RAVDESS, neutral and calm", "Emo-DB, 4 emotions",
                     "Emo-DB, neutral", "GRID with RAVDESS")
    }  # fmt: skip
    for folder in sorted((root / "ravdess_speech").iterdir()):
        name = f"{folder.name}{'fm'[int(folder.name[-2:]) % 2]}"
        for path in sorted(folder.iterdir()):
            sound = load(path)
            groups = ["RAVDESS, 4 emotions"]
            if path.name[6:8] in ("01", "02"):
                groups += ["RAVDESS, neutral and calm", "GRID with RAVDESS"]
            for group in groups:
                corpora[group].setdefault(name, []).append(sound)
    with (root / "manifest.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["path"].startswith("emodb"):
                sex = "f" if row["speaker"][-2:] in WOMEN_OF_EMODB else "m"
                sound = load(root / row["path"])
                corpora["Emo-DB, 4 emotions"].setdefault(row["speaker"] + sex, []).append(sound)
                if row["label"] == "neutral":
                    corpora["Emo-DB, neutral"].setdefault(row["speaker"] + sex, []).append(sound)
    clips = sorted((root / "grid_s1").glob("*.mpg"))
    corpora["GRID with RAVDESS"]["grid_m"] = [
        load(path, path.parent / "align" / f"{path.stem}.align") for path in clips
    ]
    return corpora


def interview(
    speakers: tuple[list[np.ndarray], list[np.ndarray]], seconds: float, seed: int
) -> tuple[np.ndarray, list[Turn]]:
    """Alternate utterances; the second speaker begins."""
    rng = np.random.default_rng(seed)
    gain = 10 ** (LEVELS_DB[seed % 4] / 20)
    sound, turns = np.zeros(round(seconds * SAMPLE_RATE), np.float32), []
    time_s, who = 0.5, 1
    orders: list[list[int]] = [[], []]
    while True:
        for _ in range(int(rng.integers(1, 4 - who))):
            orders[who] = orders[who] or list(rng.permutation(len(speakers[who])))
            utterance = speakers[who][orders[who].pop()] * (gain if who else 1)
            first = round(time_s * SAMPLE_RATE)
            if first + len(utterance) > len(sound) - SAMPLE_RATE // 2:
                if seed // 4 % 2:
                    speech = np.concatenate([sound[sound != 0]])
                    noise = np.sqrt((speech**2).mean()) * 10 ** (-20 / 20)
                    sound += noise * rng.standard_normal(len(sound)).astype(np.float32)
                return sound, turns
            sound[first : first + len(utterance)] += utterance
            end_s = time_s + len(utterance) / SAMPLE_RATE
            turns.append(Turn(time_s, end_s, str(who)))
            time_s = end_s + rng.uniform(0.15, 0.5)
        time_s += rng.uniform(0.0, 1.0)
        who = 1 - who


def error_rates(reference: list[Turn], found: list[Turn], seconds: float) -> list[float]:
    """Return the error rate with and without a collar, and the share of the wrong speaker."""
    n_frames = round(seconds / FRAME_S)
    counted = np.ones(n_frames, bool)
    for turn in reference:
        for time_s in (turn.start_s, turn.end_s):
            first, end = (round((time_s + side * COLLAR_S) / FRAME_S) for side in (-1, 1))
            counted[max(0, first) : end] = False
    rates = []
    for used in (np.ones(n_frames, bool), counted):
        true, given = (
            np.stack(
                [
                    frames_of(np.array([[t.start_s, t.end_s] for t in turns if t.speaker == name]),
                              n_frames)[used]
                    for name in sorted({turn.speaker for turn in turns})
                ]
            )
            for turns in (reference, found)
        )  # fmt: skip
        given = np.concatenate([given, np.zeros((2 - len(given), given.shape[1]), bool)])
        n_true, n_given = true.sum(axis=0), given.sum(axis=0)
        wrong = min(
            int((np.minimum(n_true, n_given) - (true & order).sum(axis=0)).sum())
            for order in (given, given[::-1])
        )
        rates += [(int(np.abs(n_true - n_given).sum()) + wrong) / n_true.sum()]
    return [*rates, wrong / n_true.sum()]


def choose_pairs(speakers: Speakers, same: bool, n_pairs: int, seed: int) -> list[tuple[str, str]]:
    """Choose pairs of one or of two sexes."""
    names = sorted(speakers)
    pairs = [(a, b) for a, b in combinations(names, 2) if (a[-1] == b[-1]) == same]
    if "grid_m" in names:
        pairs = [pair for pair in pairs if "grid_m" in pair]
    order = np.random.default_rng(seed).permutation(len(pairs))
    return [pairs[i] for i in order[:n_pairs]]


def measure(root: Path, n_pairs: int) -> Iterator[str]:
    """Yield the lines of the tables."""
    detector, _ = choose_detector()
    embedding, _ = choose_embedding()
    yield f"Embedding: {embedding.name}"
    yield ""
    find = voice_source(detector, embedding)
    head = "error rate, median (mean, largest)"
    yield f"| corpus | sex | interviews | {head} | with a collar of .25 s | wrong speaker |"
    yield "|---|---|---|---|---|---|"
    turns: list[tuple[float, float, bool]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "interview.wav"
        for corpus, speakers in load_corpora(root).items():
            for same in (True, False):
                rates = []
                pairs = choose_pairs(speakers, same, n_pairs, seed=2026)
                for seed, (a, b) in enumerate(pairs):
                    sound, truth = interview((speakers[a], speakers[b]), SECONDS, 100 + seed)
                    soundfile.write(path, sound, SAMPLE_RATE)
                    found = find(Recording(path.name, path)).turns
                    rates.append(error_rates(truth, found, SECONDS))
                    turns += judge(truth, found)
                texts = [
                    f"{np.median(column):.3f} ({np.mean(column):.3f}, {max(column):.3f})"
                    for column in np.array(rates).T
                ]
                sex = "same" if same else "different"
                yield f"| {corpus} | {sex} | {len(pairs)} | {' | '.join(texts)} |"
    yield ""
    confidence, seconds, is_wrong = np.array(turns).T
    yield "| confidence of a turn | share of the time | wrong speaker |"
    yield "|---|---|---|"
    for low, high in ((0, 0.55), (0.55, 0.6), (0.6, 0.65), (0.65, 0.7), (0.7, 1.0)):
        inside = (confidence >= low) & (confidence < high)
        share, wrong = seconds[inside].sum() / seconds.sum(), seconds[inside & (is_wrong > 0)].sum()
        yield f"| {low:g} to {high:g} | {share:.2f} | {wrong / max(seconds[inside].sum(), 1):.2f} |"


def judge(reference: list[Turn], found: list[Turn]) -> list[tuple[float, float, bool]]:
    """Return confidence, length, and whether the speaker is wrong, of each turn that was found."""

    def overlap(turn: Turn, name: str) -> float:
        return sum(
            max(0.0, min(turn.end_s, other.end_s) - max(turn.start_s, other.start_s))
            for other in reference
            if other.speaker == name
        )

    spoken = [(turn, overlap(turn, "0"), overlap(turn, "1")) for turn in found]
    agree = sum((b - a) * (1 if turn.speaker == "speaker_1" else -1) for turn, a, b in spoken)
    first = agree >= 0  # whether speaker_1 is "1"
    return [
        (turn.confidence or 0.0, turn.end_s - turn.start_s,
         (b > a) != ((turn.speaker == "speaker_1") == first))
        for turn, a, b in spoken
    ]  # fmt: skip


if __name__ == "__main__":
    for text in measure(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 8):
        print(text, flush=True)
