"""Measure turns from two channels, and clusters of voices by statistics instead of a speaker model.

    python experiments/benchmarks/speaker_turns_alternatives.py RECORDINGS [PAIRS]

RECORDINGS and the interviews are those of ``speaker_turns.py``. Channels: two pairs of speakers of
RAVDESS, each with crosstalk in the channel of the other, and with overlapping speech. Statistics:
windows of 1.5 s are described by eGeMAPS (openSMILE), by the voice measures of depmm, or by those
of MFCC or pitch alone; each is scaled by its interquartile range and clustered like embeddings. The
share of windows in the wrong cluster is given; half would be chance.
"""

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from depmm.config import SAMPLE_RATE
from depmm.measures.egemaps import measure_egemaps
from depmm.measures.voice import VOICE_MEASURES, measure_voice
from depmm.media.sound.speech_segments import SegmentRules, apply_rules
from depmm.media.sound.voice_activity import frame_levels
from depmm.steps.speech import Detector, choose_detector
from depmm.steps.table import StepsError
from depmm.steps.turns import Turn
from depmm.steps.turns_channels import find_channel_turns
from depmm.steps.turns_clusters import cluster_windows
from depmm.steps.turns_embeddings import cut_windows, scale_statistics
from experiments.benchmarks.speaker_turns import (
    SECONDS,
    choose_pairs,
    error_rates,
    interview,
    load_corpora,
)

CROSSTALK_DB = (-60.0, -20.0, -12.0, -6.0, -3.0)
GAINS_DB = (0.0, -12.0)  # of the second channel


def channels(
    speakers: tuple[list[np.ndarray], list[np.ndarray]], overlap: bool, seed: int
) -> tuple[np.ndarray, list[Turn]]:
    """Write each speaker to a channel; with ``overlap``, two of five turns start early."""
    rng = np.random.default_rng(seed)
    sound, turns = np.zeros((2, round(120 * SAMPLE_RATE)), np.float32), []
    time_s, who = 0.5, 0
    while time_s < 115:
        utterance = speakers[who][rng.integers(len(speakers[who]))]
        first = round(time_s * SAMPLE_RATE)
        utterance = utterance[: sound.shape[1] - first]
        sound[who, first : first + len(utterance)] += utterance
        turns.append(Turn(time_s, time_s + len(utterance) / SAMPLE_RATE, f"channel_{who}"))
        early = overlap and rng.random() < 0.4
        time_s = turns[-1].end_s + (rng.uniform(-1.0, -0.3) if early else rng.uniform(0.2, 1.0))
        who = 1 - who
    return sound, turns


def measure_channels(speakers: dict[str, list[np.ndarray]], detector: Detector) -> Iterator[str]:
    """Yield the lines of the table of channels."""
    yield "| crosstalk | error rate with a collar of .25 s, mean (largest) | wrong, largest |"
    yield "|---|---|---|"
    pairs = [choose_pairs(speakers, same, 1, seed=0)[0] for same in (True, False)]
    for crosstalk_db in CROSSTALK_DB:
        rates, refused = [], 0
        for seed, (a, b) in enumerate(pairs):
            for overlap in (False, True):
                clean, truth = channels((speakers[a], speakers[b]), overlap, seed)
                mixed = clean + 10 ** (crosstalk_db / 20) * np.roll(clean[::-1], 48, axis=1)
                noise = np.random.default_rng(seed).standard_normal(mixed.shape)
                for gain_db in GAINS_DB:
                    sound = np.asarray(mixed + 10 ** (-66 / 20) * noise, np.float32)
                    sound[1] *= 10 ** (gain_db / 20)
                    rules = SegmentRules(margin_s=0.0)
                    speech = [apply_rules(detector([c]).segments, rules) for c in sound]
                    try:
                        found = find_channel_turns([frame_levels([c]) for c in sound], speech)
                    except StepsError:
                        refused += 1
                        continue
                    rates.append(error_rates(truth, found.turns, 120.0)[1:])
        text = f"refused: {refused}" if refused else ""
        if rates:
            mean, largest = np.mean(rates, axis=0), np.max(rates, axis=0)
            text = f"{mean[0]:.3f} ({largest[0]:.3f}) | {largest[1]:.3f} {text}"
        yield f"| {crosstalk_db:g} dB | {text} |"


def describe(sound: np.ndarray, windows: np.ndarray) -> dict[str, np.ndarray]:
    """Return the statistics of windows, by name of the kind."""
    bounds = np.round(windows[:, :2] * SAMPLE_RATE).astype(int)
    parts = [sound[start:end] for start, end in bounds]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        voice = np.stack([measure_voice(p, np.array([[0, len(p) / SAMPLE_RATE]])) for p in parts])
    groups = np.array([measure.group for measure in VOICE_MEASURES])
    return {
        "eGeMAPS": np.stack([measure_egemaps(part) for part in parts]),
        "voice measures": voice,
        "MFCC": voice[:, groups == "mfcc"],
        "pitch": voice[:, groups == "pitch"][:, :1],
    }


def measure_statistics(root: Path, n_pairs: int, detector: Detector) -> Iterator[str]:
    """Yield the lines of the table of statistics."""
    yield "| corpus | sex | eGeMAPS | voice measures | MFCC | pitch |"
    yield "|---|---|---|---|---|---|"
    for corpus, speakers in load_corpora(root).items():
        for same in (True, False):
            shares: list[list[float]] = []
            pairs = choose_pairs(speakers, same, n_pairs, seed=2026)
            for seed, (a, b) in enumerate(pairs):
                sound, truth = interview((speakers[a], speakers[b]), SECONDS, 100 + seed)
                rules = SegmentRules(min_pause_s=0.1, margin_s=0.0)
                windows = cut_windows(apply_rules(detector([sound]).segments, rules))
                labels = np.array([_speaker(truth, start, end) for start, end, _ in windows])
                kinds = describe(sound, windows).values()
                found = [
                    cluster_windows(scale_statistics(values), windows).labels for values in kinds
                ]
                errors = [float((clusters != labels).mean()) for clusters in found]
                shares.append([min(error, 1 - error) for error in errors])
            texts = " | ".join(f"{value:.2f}" for value in np.mean(shares, axis=0))
            yield f"| {corpus} | {'same' if same else 'different'} | {texts} |"


def _speaker(turns: list[Turn], start_s: float, end_s: float) -> int:
    seconds = [0.0, 0.0]
    for turn in turns:
        seconds[int(turn.speaker)] += max(0.0, min(end_s, turn.end_s) - max(start_s, turn.start_s))
    return int(seconds[1] > seconds[0])


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    detect, _ = choose_detector()
    for text in measure_channels(load_corpora(folder)["RAVDESS, 4 emotions"], detect):
        print(text, flush=True)
    for text in measure_statistics(folder, int(sys.argv[2]) if len(sys.argv) > 2 else 1, detect):
        print(text, flush=True)
