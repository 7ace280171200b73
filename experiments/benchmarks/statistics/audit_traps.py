"""Planted traps: what separates the classes of a simulated corpus, and whether the audit names it.

    python experiments/benchmarks/statistics/audit_traps.py [NAME ...]

Each trap is one function that changes a corpus of ``audit_corpora.py``. It is found if a finding of
severity warning or error has the word of the trap in its name, property or message. All traps take
about 60 s on one core; face position and size need the face model (DEPMM_FACE_LANDMARKER). Copies
and related corpora are planted by ``audit_copies.py``.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from depmm.audit.audit_folders import audit_folders
from experiments.benchmarks.statistics.audit_copies import (
    plant_renamed_corpora,
    plant_same_subjects,
    plant_sound_copy,
    plant_video_copy,
)
from experiments.benchmarks.statistics.audit_corpora import Corpus, sample_corpus, write_corpus

N_TABLES, N_FILES = 60, 24  # subjects of a corpus of tables, and of one with files


@dataclass(frozen=True)
class Trap:
    """A trap: how it is planted, and the words of which one must be in the finding."""

    name: str
    plant: Callable[[], list[Corpus]]
    words: tuple[str, ...]


def property_trap(
    name: str, kind: str, column: str, positive: object, negative: object, *words: str
) -> Trap:
    """Plant one value of a property in the positive subjects, and another one in the others."""

    def plant() -> list[Corpus]:
        corpus = sample_corpus(N_TABLES if kind == "tables" else N_FILES, 1, kind)
        corpus.plant(column, positive, negative)
        return [corpus]

    return Trap(name, plant, words)


def shift_trap(name: str, kind: str, column: str, amount: float, *words: str) -> Trap:
    """Shift a property of the positive subjects."""

    def plant() -> list[Corpus]:
        corpus = sample_corpus(N_TABLES if kind == "tables" else N_FILES, 2, kind)
        corpus.shift(column, amount)
        return [corpus]

    return Trap(name, plant, words)


def plant_date() -> list[Corpus]:
    """Record the positive subjects half a year later, on average."""
    corpus = sample_corpus(N_TABLES, 3)
    days = np.random.default_rng(3).integers(0, 200, N_TABLES) + 150 * corpus.positive.to_numpy()
    dates = np.datetime64("2021-03-01") + days
    corpus.subjects["date"] = [str(date) for date in dates]
    return [corpus]


def plant_gain_and_floor() -> list[Corpus]:
    """Raise the noise of the positive subjects and keep the level of the voice."""
    corpus = sample_corpus(N_FILES, 4, "sound")
    corpus.shift("noise_db", 15.0)
    return [corpus]


def plant_snr() -> list[Corpus]:
    """Raise noise and lower the voice of the positive subjects by the same amount."""
    corpus = sample_corpus(N_FILES, 5, "sound")
    corpus.shift("noise_db", 6.0)
    corpus.shift("gain_db", -6.0)
    return [corpus]


def plant_resolution() -> list[Corpus]:
    """Record the positive subjects with a larger frame of the same shape."""
    corpus = sample_corpus(N_FILES, 6, "video")
    corpus.plant("width", 240, 160)
    corpus.plant("height", 180, 120)
    return [corpus]


def plant_age() -> list[Corpus]:
    """Recruit older positive subjects."""
    corpus = sample_corpus(N_TABLES, 7)
    rng = np.random.default_rng(7)
    corpus.subjects["age"] = rng.normal(35, 10, N_TABLES).round() + 16 * corpus.positive
    return [corpus]


def plant_base_rates() -> list[Corpus]:
    """Join a corpus of patients at 48 kHz and one of controls at 16 kHz."""
    first = sample_corpus(N_FILES, 8, "sound", "clinic", share=0.8)
    second = sample_corpus(N_FILES, 9, "sound", "campus", share=0.2)
    first.subjects["rate"], first.subjects["cutoff_hz"] = 48_000, 20_000.0
    return [first, second]


def plant_combination() -> list[Corpus]:
    """Add sixteen columns with weak differences, of which none is significant by itself."""
    corpus = sample_corpus(100, 10)
    rng = np.random.default_rng(10)
    for index in range(16):
        values = rng.normal(size=100) + 0.36 * corpus.positive
        corpus.subjects[f"weak{index}"] = values.map("{:.6f}".format)
    return [corpus]


def plant_missing_video() -> list[Corpus]:
    """Record no video of half of the positive subjects."""
    corpus = sample_corpus(N_TABLES, 11)
    order = corpus.positive.cumsum()
    corpus.subjects["has_face"] = ~(corpus.positive & (order % 2 == 0))
    return [corpus]


TRAPS = (
    property_trap("sample rate", "sound", "rate", 48_000, 16_000, "sample_rate"),
    property_trap("codec", "sound", "codec", "flac", "pcm_s16le", "audio_codec"),
    property_trap("channels", "sound", "channels", 2, 1, "channels"),
    property_trap("bit depth", "sound", "codec", "pcm_s24le", "pcm_s16le", "bit_depth"),
    shift_trap("RMS level", "sound", "gain_db", 9.0, "rms_db"),
    Trap("noise floor", plant_gain_and_floor, ("noise_floor_db",)),
    Trap("SNR", plant_snr, ("snr_db",)),
    property_trap("DC offset", "sound", "dc", 0.02, 0.0, "dc_offset"),
    property_trap("clipping", "sound", "clip", 0.12, 1.0, "clipped_share"),
    property_trap("bandwidth", "sound", "cutoff_hz", 3_400.0, 8_000.0, "bandwidth_hz"),
    property_trap("mains hum", "sound", "hum", 0.02, 0.0, "hum_db"),
    shift_trap("leading silence", "sound", "silence_s", 0.6, "leading_silence_s"),
    Trap("resolution", plant_resolution, ("width", "height")),
    property_trap("frame rate", "video", "fps", 15, 10, "frame_rate"),
    shift_trap("brightness", "video", "light", -0.3, "brightness"),
    shift_trap("face position", "video", "face_x", 0.1, "face_x"),
    shift_trap("face size", "video", "face_size", 0.2, "face_size"),
    property_trap("site", "tables", "site", "north", "south", "site"),
    property_trap("device", "tables", "device", "phone", "H4n", "device"),
    Trap("date of recording", plant_date, ("date",)),
    Trap("age", plant_age, ("column.age", " age ")),
    property_trap(
        "word of the transcript", "tables", "prompt", "have you been diagnosed", "", "diagnosed"
    ),
    property_trap("sessions per subject", "tables", "sessions", 3, 1, "n_sessions"),
    Trap("label by corpus", plant_base_rates, ("corpus_shortcut",)),
    property_trap("prefix of file names", "tables", "prefix", "P_", "C_", "prefix"),
    property_trap("suffix of file names", "tables", "suffix", "_dep", "_hc", "suffix"),
    Trap("combination of weak properties", plant_combination, ("combined_shortcut",)),
    Trap("video missing by label", plant_missing_video, ("missing",)),
    Trap("copy, encoded again", plant_sound_copy("encoding"), ("copied_recordings",)),
    Trap("copy with gain", plant_sound_copy("gain"), ("copied_recordings",)),
    Trap("copy without 50 ms", plant_sound_copy("trim"), ("copied_recordings",)),
    Trap("copy with noise", plant_sound_copy("noise"), ("copied_recordings",)),
    Trap(
        "copy with all changes",
        plant_sound_copy("encoding", "gain", "trim", "noise"),
        ("copied_recordings",),
    ),
    Trap("copied video of a face", plant_video_copy, ("copied_recordings",)),
    Trap("related corpora under other names", plant_renamed_corpora, ("related_corpora",)),
    Trap("one study under two names", plant_same_subjects, ("same_subjects",)),
)


def finds(trap: Trap, folder: Path) -> tuple[bool, list[str]]:
    """Plant a trap and audit the manifests.

    Returns
    -------
    found : bool
        Whether a finding names the trap.
    findings : list of str
        Names and properties of all warnings and errors.
    """
    written = [write_corpus(corpus, folder) for corpus in trap.plant()]
    manifests = [manifest for manifest, _ in written]
    roots = [root for _, root in written if root is not None]
    audit = audit_folders(manifests, roots or None, out=folder / "audit")
    named = [
        (f"{finding.name} {getattr(finding, 'property', '')}", finding.message)
        for finding in audit.findings
        if finding.severity != "info"
    ]
    found = any(word in f"{name} {message}" for name, message in named for word in trap.words)
    return found, [name for name, _ in named]


def main(arguments: list[str]) -> None:
    """Print one line per trap."""
    traps = [trap for trap in TRAPS if not arguments or trap.name in arguments]
    n_found = 0
    began = time.perf_counter()
    for trap in traps:
        with tempfile.TemporaryDirectory() as folder:
            found, findings = finds(trap, Path(folder))
        n_found += found
        print(f"{'found ' if found else 'MISSED'} {trap.name}: {', '.join(findings)}", flush=True)
    print(f"{n_found} of {len(traps)} traps found, {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
