"""Error rates of the comparison of voices and faces in the audit, with real recordings.

Command: ``python experiments/benchmarks/statistics/identity_rates.py EMODB RAVDESS [GRID FACES]``
with the folders of the recordings: ``*/*.wav`` of Emo-DB, ``*/*.flac`` of RAVDESS, and one folder
per speaker of GRID and of other videos (``*/*.mpg`` and ``*/*.mp4``). Needs ``depmm download
identity``; the videos also need ``face-identity`` and ``faces``. About 120 s on one core.

Each study draws random sentences of every speaker. Printed are the share of unchanged studies with
a finding, and the share of planted cases that are found: one speaker with two ids, and two speakers
of one gender with one id. The cuts are also chosen with one corpus and tested with the other one.
"""

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from depmm.audit.identity.face_source import FaceSource
from depmm.audit.identity.pseudo_subjects import CUT_QUANTILE, cluster_sessions
from depmm.audit.identity.session_embeddings import (
    FACE,
    VOICE,
    Modality,
    SessionEmbeddings,
    unit,
)
from depmm.audit.identity.similarity import (
    MAX_DEFICIT,
    MIN_RATIO,
    SimilarPair,
    divided_subjects,
    embed_subjects,
    nearest_pairs,
    similar_pairs,
)
from depmm.media.identity.face_model import load_face_encoder
from depmm.media.identity.speaker_encoder import SpeakerEncoder
from depmm.media.identity.voice_model import load_speaker_encoder
from depmm.media.identity.voice_sample import VoiceSample
from depmm.media.sound.audio import decode_audio
from depmm.media.video.face_landmarker import find_landmarker
from depmm.media.video.faces import FaceTracker

EMODB_MALE = {"03", "10", "11", "12", "15"}
N_STUDIES = 100
MAX_FALSE = 0.02  # of the studies in which cuts are chosen
MIN_JOINED = 0.9  # of the pairs of sessions of one speaker, where the quantile is chosen
RATIOS, DEFICITS, QUANTILES = (1.5, 1.75, 2.0, 2.5), (0.01, 0.02, 0.03, 0.05), (0.5, 0.75, 0.9)
Sessions = list[tuple[str, np.ndarray]]  # subject, embeddings of its sentences or frames
Speakers = dict[str, np.ndarray]
Study = tuple[list[SimilarPair], list[SimilarPair], set[str]]  # unchanged, planted, the two ids


def embed_speakers(folder: Path) -> Speakers:
    """Embed every sentence of every speaker; keys are gender and speaker."""
    encoder = load_speaker_encoder()
    speakers: dict[str, list[np.ndarray]] = {}
    for path in sorted([*folder.glob("*/*.wav"), *folder.glob("*/*.flac")]):
        is_emodb = path.suffix == ".wav"
        name = path.name[:2] if is_emodb else path.stem.split("-")[6]
        male = name in EMODB_MALE if is_emodb else int(name) % 2
        key = f"{folder.name} {'m' if male else 'f'}{name}"
        samples = soundfile.read(path, dtype="float32")[0]
        speakers.setdefault(key, []).append(embed_sentence([samples], encoder))
    return {name: unit(np.array(rows)) for name, rows in speakers.items()}


def embed_sentence(blocks: Sequence[np.ndarray], encoder: SpeakerEncoder) -> np.ndarray:
    """Embed one sentence."""
    sample = VoiceSample()
    for block in blocks:
        sample.add(block)
    return np.asarray(sample.embed(encoder).mean(axis=0))


def embed_videos(folder: Path) -> tuple[Speakers, dict[str, list[np.ndarray]]]:
    """Embed the voice of each video, and eight frames of each; keys are the folders."""
    encoder, voices, faces = load_speaker_encoder(), {}, {}
    with FaceTracker(find_landmarker(), 0.5) as tracker:
        source = FaceSource(load_face_encoder(), tracker)
        for speaker in sorted(path for path in folder.iterdir() if path.is_dir()):
            files = sorted([*speaker.glob("*.mpg"), *speaker.glob("*.mp4")])
            sentences = [embed_sentence(list(decode_audio(file)), encoder) for file in files]
            voices[speaker.name] = unit(np.array(sentences))
            steps = [pd.DataFrame([{"face": f.name, "start_s": 0.0, "end_s": None}]) for f in files]
            faces[speaker.name] = [source.embed(step, speaker)[0] for step in steps]
    return voices, faces


def build_sessions(sessions: Sessions, modality: Modality = VOICE) -> SessionEmbeddings:
    """Embed sessions from their sentences or frames; the amount of them is not judged."""
    rows = [("toy", name, str(k), 60.0) for k, (name, _) in enumerate(sessions)]
    halves = []
    for _, parts in sessions:
        pair = np.array_split(parts, 2) if len(parts) > 1 else [parts, parts]
        halves.append([unit(half.mean(axis=0)) for half in pair])
    table = pd.DataFrame(rows, columns=["corpus", "subject", "session", "amount"])
    return SessionEmbeddings(modality, table, np.array(halves))


def find_pairs(sessions: Sessions, modality: Modality = VOICE) -> list[SimilarPair]:
    """Return the pairs of nearest subjects, to which cuts are then applied."""
    return nearest_pairs(embed_subjects(build_sessions(sessions, modality)))


def pair_studies(speakers: Speakers, n: int, seed: int) -> list[Study]:
    """Draw n sentences per id, and give one speaker a second id."""
    rng = np.random.default_rng(seed)
    studies = []
    candidates = [name for name, rows in speakers.items() if len(rows) >= 2 * n]
    for _ in range(N_STUDIES):
        drawn = {name: rng.permutation(rows) for name, rows in speakers.items()}
        sessions = [(name, rows[:n]) for name, rows in drawn.items()]
        chosen = str(rng.choice(candidates))
        planted = [*sessions, ("X", drawn[chosen][n : 2 * n])]
        studies.append((find_pairs(sessions), find_pairs(planted), {chosen, "X"}))
    return studies


def face_studies(faces: dict[str, list[np.ndarray]], n: int, seed: int) -> list[Study]:
    """Draw n speakers with one video each, and give one of them a second id with another video."""
    rng = np.random.default_rng(seed)
    several = [name for name, videos in faces.items() if len(videos) > 1]
    studies = []
    for _ in range(N_STUDIES):
        chosen = str(rng.choice(several))
        others = rng.choice([name for name in faces if name != chosen], n - 1, replace=False)
        first, second = rng.choice(len(faces[chosen]), 2, replace=False)
        sessions = [(str(name), faces[str(name)][0]) for name in others]
        sessions.append((chosen, faces[chosen][first]))
        planted = [*sessions, ("X", faces[chosen][second])]
        studies.append((find_pairs(sessions, FACE), find_pairs(planted, FACE), {chosen, "X"}))
    return studies


def pair_rates(studies: Sequence[Study], ratio: float, deficit: float) -> tuple[float, float]:
    """Return the shares of studies with a false finding, and of found pairs."""

    def reported(pairs: Sequence[SimilarPair]) -> list[set[str]]:
        return [
            {pair.first[1], pair.second[1]}
            for pair in pairs
            if pair.ratio >= ratio and pair.deficit <= deficit
        ]

    false = sum(bool(reported(unchanged)) for unchanged, _, _ in studies)
    found = sum(ids in reported(planted) for _, planted, ids in studies)
    return false / len(studies), found / len(studies)


def choose_cuts(studies: Sequence[Study]) -> tuple[float, float]:
    """Choose the cuts that find most, of those with few false findings."""
    rates = {cuts: pair_rates(studies, *cuts) for cuts in itertools.product(RATIOS, DEFICITS)}
    allowed = [cuts for cuts, (false, _) in rates.items() if false <= MAX_FALSE]
    return max(allowed, key=lambda cuts: rates[cuts][1])


def division_rates(speakers: Speakers, m: int, seed: int) -> tuple[float, float]:
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


def cluster_rates(
    speakers: Speakers, m: int, seed: int, quantile: float = CUT_QUANTILE
) -> tuple[float, float]:
    """Return the shares of joined pairs of one speaker, and of wrong pairs among the joined."""
    rates = []
    for study in range(10):
        rng = np.random.default_rng([seed, study])
        sessions = [
            (name, part)
            for name, rows in speakers.items()
            for part in np.array_split(rng.permutation(rows), m)
        ]
        embeddings = build_sessions(sessions)
        names = embeddings.sessions["subject"].to_numpy()
        clusters = cluster_sessions(embeddings, quantile)
        upper = np.triu_indices(len(names), 1)
        same = (names[:, None] == names)[upper]
        joined = (clusters[:, None] == clusters)[upper]
        rates.append(((same & joined).sum() / same.sum(), (joined & ~same).sum() / joined.sum()))
    joined_rate, wrong = np.mean(rates, axis=0)
    return float(joined_rate), float(wrong)


def recorded_rates(folder: Path, n: int, n_draws: int = 10) -> tuple[float, float]:
    """Return the rates of false findings if sessions are embedded from sound as in the audit.

    Each speaker has two sessions with random sentences, n in all; the sentences are joined, so that
    a loud one has a larger share in the level of the session, and windows go across two of them.

    Returns
    -------
    pairs, divisions : float
        Shares of the draws with a false pair, and with a false division.
    """
    encoder, rng = load_speaker_encoder(), np.random.default_rng(16)
    speakers: dict[str, list[np.ndarray]] = {}
    for path in sorted([*folder.glob("*/*.wav"), *folder.glob("*/*.flac")]):
        name = path.name[:2] if path.suffix == ".wav" else path.stem.split("-")[6]
        speakers.setdefault(name, []).append(soundfile.read(path, dtype="float32")[0])
    found = np.zeros((n_draws, 2))
    for draw in range(n_draws):
        sessions: Sessions = []
        for name, sounds in speakers.items():
            order = rng.permutation(len(sounds))[:n]
            for part in np.array_split(order, 2):
                sample = VoiceSample()
                for index in part:
                    sample.add(sounds[index])
                    sample.end_file()
                sessions.append((name, sample.embed(encoder)))
        embeddings = build_sessions(sessions)
        found[draw] = (
            bool(similar_pairs(embed_subjects(embeddings))),
            bool(divided_subjects(embeddings)),
        )
    pairs, divisions = found.mean(axis=0)
    return float(pairs), float(divisions)


def choose_quantile(speakers: Speakers, seed: int) -> float:
    """Choose the quantile with the fewest wrong pairs, of those that join enough."""
    rates = {
        q: np.mean([cluster_rates(speakers, m, seed, q) for m in (2, 4)], axis=0) for q in QUANTILES
    }
    allowed = [q for q, (joined, _) in rates.items() if joined >= MIN_JOINED]
    return min(allowed, key=lambda q: float(rates[q][1]))


def main(folders: Sequence[Path]) -> None:
    """Print the rates for each corpus, for both together, and for cuts of the other corpus."""
    corpora = {folder.name: embed_speakers(folder) for folder in folders[:2]}
    cuts, quantiles = {}, {}
    for name, speakers in corpora.items():
        cuts[name] = choose_cuts([s for n in (6, 12) for s in pair_studies(speakers, n, seed=21)])
        quantiles[name] = choose_quantile(speakers, seed=22)
        print(f"{name}: chosen ratio and deficit {cuts[name]}, quantile {quantiles[name]}")
    names = list(corpora)
    for name, other in zip(names, reversed(names), strict=True):
        for n in (6, 12):
            rates = pair_rates(pair_studies(corpora[name], n, seed=11), *cuts[other])
            print(f"{name}: cuts of {other}, {n} sentences: false {rates[0]:.2f}, {rates[1]:.2f}")
        for m in (2, 4):
            rates = cluster_rates(corpora[name], m, 13, quantiles[other])
            print(f"{name}: quantile of {other}, {m}: joined {rates[0]:.2f}, wrong {rates[1]:.2f}")
    for folder in folders[:2]:
        for n in (16, 28):
            rates = recorded_rates(folder, n)
            print(f"{folder.name}: {n} sentences as in the audit: false pairs {rates[0]:.2f}, "
                  f"divisions {rates[1]:.2f}")  # fmt: skip
    corpora["both"] = {key: rows for speakers in corpora.values() for key, rows in speakers.items()}
    for name, speakers in corpora.items():
        for n in (6, 12):
            rates = pair_rates(pair_studies(speakers, n, seed=11), MIN_RATIO, MAX_DEFICIT)
            print(f"{name}: {n} sentences, one with two ids: false {rates[0]:.2f}, {rates[1]:.2f}")
        for m in (2, 4):
            rates = division_rates(speakers, m, seed=12)
            print(f"{name}: {m} sessions, two with one id: false {rates[0]:.2f}, {rates[1]:.2f}")
        for m in (2, 4, 8):
            rates = cluster_rates(speakers, m, seed=13)
            print(f"{name}: {m} sessions, clusters: joined {rates[0]:.2f}, wrong {rates[1]:.2f}")
    if len(folders) > 2:
        voices, faces = {}, {}
        for folder in folders[2:]:
            more = embed_videos(folder)
            voices |= more[0]
            faces |= more[1]
        print_videos(voices, faces)


def print_videos(voices: Speakers, faces: dict[str, list[np.ndarray]]) -> None:
    """Print the rates of the voices and faces of videos."""
    for n in (6, 12):
        rates = pair_rates(pair_studies(voices, n, seed=14), MIN_RATIO, MAX_DEFICIT)
        print(f"voices of videos, {n} sentences: false {rates[0]:.2f}, found {rates[1]:.2f}")
    for n in (6, len(faces)):
        rates = pair_rates(face_studies(faces, n, seed=15), MIN_RATIO, MAX_DEFICIT)
        print(f"faces, {n} speakers: false {rates[0]:.2f}, found {rates[1]:.2f}")
    names = [name for name, videos in faces.items() for _ in videos]
    means = unit(np.array([video.mean(axis=0) for videos in faces.values() for video in videos]))
    similarity, same = means @ means.T, np.equal.outer(names, names)
    upper = np.triu(np.ones_like(same), 1)
    lowest, highest = similarity[upper & same].min(), similarity[upper & ~same].max()
    first = [np.array_split(videos[0], 2) for videos in faces.values()]
    halves = unit(np.array([[half.mean(axis=0) for half in pair] for pair in first]))
    matched = (halves[:, 0] @ halves[:, 1].T).argmax(axis=1) == np.arange(len(halves))
    print(
        f"faces: halves matched {matched.sum()} of {len(halves)}; similarity of {len(names)} videos"
    )
    print(f"  of one speaker at least {lowest:.3f}, of two at most {highest:.3f}")


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
