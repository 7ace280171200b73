"""Error rates of the comparison of voices in the audit, on Emo-DB and RAVDESS.

Command: ``python experiments/benchmarks/statistics/identity_rates.py EMODB RAVDESS`` with the
folders of the recordings (``*/*.wav`` and ``*/*.flac``); needs ``depmm download identity``. About
60 s on one core. Each study draws random sentences of every speaker. Printed are, of 100 studies,
the share of unchanged ones with a finding, and the share of planted cases that are found: one
speaker with two ids, and two speakers of one gender with one id.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from depmm.audit.identity.pseudo_subjects import cluster_sessions
from depmm.audit.identity.session_embeddings import SessionEmbeddings, unit
from depmm.audit.identity.similarity import divided_subjects, similar_pairs, subject_voices
from depmm.media.identity.voice_model import load_speaker_encoder
from depmm.media.identity.voice_sample import VoiceSample

EMODB_MALE = {"03", "10", "11", "12", "15"}
N_STUDIES = 100
Sessions = list[tuple[str, np.ndarray]]  # subject, embeddings of its sentences


def embed_speakers(folder: Path) -> dict[str, np.ndarray]:
    """Embed every sentence of every speaker; keys are gender and speaker."""
    encoder = load_speaker_encoder()
    speakers: dict[str, list[np.ndarray]] = {}
    for path in sorted([*folder.glob("*/*.wav"), *folder.glob("*/*.flac")]):
        is_emodb = path.suffix == ".wav"
        name = path.name[:2] if is_emodb else path.stem.split("-")[6]
        male = name in EMODB_MALE if is_emodb else int(name) % 2
        sample = VoiceSample()
        sample.add(soundfile.read(path, dtype="float32")[0])
        key = f"{folder.name} {'m' if male else 'f'}{name}"
        speakers.setdefault(key, []).append(sample.embed(encoder).mean(axis=0))
    return {name: unit(np.array(rows)) for name, rows in speakers.items()}


def build_sessions(sessions: Sequence[tuple[str, np.ndarray]]) -> SessionEmbeddings:
    """Embed sessions from their sentences; the amount of speech is not judged."""
    rows = [("toy", name, str(k), 60.0) for k, (name, _) in enumerate(sessions)]
    halves = [
        [unit(half.mean(axis=0)) for half in np.array_split(sentences, 2)]
        for _, sentences in sessions
    ]
    table = pd.DataFrame(rows, columns=["corpus", "subject", "session", "speech_s"])
    return SessionEmbeddings(table, np.array(halves))


def pair_rates(speakers: dict[str, np.ndarray], n: int, seed: int) -> tuple[float, float]:
    """Return the rate of false findings and of found pairs, with n sentences per id."""
    rng = np.random.default_rng(seed)
    false = found = 0
    for _ in range(N_STUDIES):
        drawn = {name: rng.permutation(rows) for name, rows in speakers.items()}
        sessions: Sessions = [(name, rows[:n]) for name, rows in drawn.items()]
        false += bool(similar_pairs(subject_voices(build_sessions(sessions))))
        chosen = str(rng.choice(list(drawn)))
        sessions.append(("X", drawn[chosen][n : 2 * n]))
        pairs = similar_pairs(subject_voices(build_sessions(sessions)))
        found += any({pair.first[1], pair.second[1]} == {chosen, "X"} for pair in pairs)
    return false / N_STUDIES, found / N_STUDIES


def division_rates(speakers: dict[str, np.ndarray], m: int, seed: int) -> tuple[float, float]:
    """Return the rate of false findings and of found divisions, with m sessions per id."""
    rng = np.random.default_rng(seed)
    false = found = 0
    for _ in range(N_STUDIES):
        drawn = {name: np.array_split(rng.permutation(r), m) for name, r in speakers.items()}
        chosen = str(rng.choice(list(drawn)))
        same_gender = [x for x in drawn if x != chosen and x[:-2] == chosen[:-2]]
        other = drawn.pop(str(rng.choice(same_gender)))
        sessions: Sessions = [(name, part) for name, parts in drawn.items() for part in parts]
        false += bool(divided_subjects(build_sessions(sessions)))
        drawn[chosen] = [*drawn[chosen][: m // 2], *other[m // 2 :]]
        sessions = [(name, part) for name, parts in drawn.items() for part in parts]
        result = divided_subjects(build_sessions(sessions))
        found += any(entry.subject[1] == chosen for entry in result)
    return false / N_STUDIES, found / N_STUDIES


def cluster_rates(speakers: dict[str, np.ndarray], m: int, seed: int) -> tuple[float, float]:
    """Return the shares of joined pairs of one speaker, and of wrong pairs among the joined."""
    rng = np.random.default_rng(seed)
    sessions = [
        (name, part)
        for name, rows in speakers.items()
        for part in np.array_split(rng.permutation(rows), m)
    ]
    embeddings = build_sessions(sessions)
    names, clusters = embeddings.sessions["subject"].to_numpy(), cluster_sessions(embeddings)
    upper = np.triu_indices(len(names), 1)
    same = (names[:, None] == names)[upper]
    joined = (clusters[:, None] == clusters)[upper]
    return (same & joined).sum() / same.sum(), (joined & ~same).sum() / max(1, joined.sum())


def main(folders: Sequence[Path]) -> None:
    """Print the rates for each corpus and for both together."""
    corpora = {folder.name: embed_speakers(folder) for folder in folders}
    corpora["all"] = {
        name: rows for speakers in corpora.values() for name, rows in speakers.items()
    }
    for name, speakers in corpora.items():
        for n in (6, 12):
            rates = pair_rates(speakers, n, seed=11)
            print(f"{name}: {n} sentences, one with two ids: false {rates[0]:.2f}, {rates[1]:.2f}")
        for m in (2, 4):
            rates = division_rates(speakers, m, seed=12)
            print(f"{name}: {m} sessions, two with one id: false {rates[0]:.2f}, {rates[1]:.2f}")
            rates = cluster_rates(speakers, m, seed=13)
            print(f"{name}: {m} sessions, clusters: joined {rates[0]:.2f}, wrong {rates[1]:.2f}")


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
