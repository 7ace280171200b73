"""Traps of copied recordings and related corpora; ``audit_traps.py`` runs them.

The recordings of a corpus are replaced by speech or by videos of faces that speak, and that of the
second subject by a changed copy of the first.
"""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

from depmm.corpora.spec import parse_spec, specs_folder
from depmm.corpora.spec_layout import collect_facts
from depmm.simulation.face import FRAMES_PER_SECOND, animate, sample_face
from depmm.simulation.face_renderer import FaceRenderer
from depmm.simulation.voice import Utterance, sample_voice, synthesise_speech
from experiments.benchmarks.statistics.audit_corpora import Corpus, sample_corpus, write_sound

RATE = 16_000
N_SUBJECTS = 8
WORDS = (
    "grief",
    "lonely",
    "window",
    "table",
    "happy",
    "summer",
    "street",
    "anger",
    "music",
    "calm",
)


def speak(rng: np.random.Generator, gender: str, n_words: int = 6) -> Utterance:
    """Synthesise words of one speaker."""
    words = [WORDS[index] for index in rng.permutation(len(WORDS))[:n_words]]
    voice = sample_voice(rng, gender)
    return synthesise_speech(voice, words, np.zeros(n_words), 1 / FRAMES_PER_SECOND, rng)


def change_sound(sound: np.ndarray, changes: tuple[str, ...]) -> np.ndarray:
    """Change the gain, trim the first 50 ms, or add noise at 20 dB."""
    rng = np.random.default_rng(0)
    if "gain" in changes:
        sound = 0.25 * sound
    if "trim" in changes:
        sound = sound[RATE // 20 :]
    if "noise" in changes:
        level = np.sqrt(np.mean(sound**2))
        sound = sound + 0.1 * level * rng.normal(size=len(sound))
    return sound


def plant_sound_copy(*changes: str) -> Callable[[], list[Corpus]]:
    """Give the second subject a changed copy of the recording of the first."""

    def write(root: Path) -> None:
        for index, path in enumerate(sorted((root / "audio").iterdir())):
            sound = speak(np.random.default_rng(20), "female").waveform
            codec = "libmp3lame" if "encoding" in changes else "pcm_s16le"
            if index == 1:
                sound = change_sound(sound, changes)
            else:
                codec = "pcm_s16le"
                if index:
                    rng = np.random.default_rng(20 + index)
                    sound = speak(rng, "male" if index % 2 else "female").waveform
            write_sound(path, sound[None], RATE, codec)

    return lambda: [_small_corpus("sound", write)]


def plant_video_copy() -> list[Corpus]:
    """Give the second subject a smaller, darker copy of the video of the first, 40 ms shorter."""

    def write(root: Path) -> None:
        (root / "video").mkdir()
        for index, subject in enumerate(subjects):
            path = root / "video" / f"{subject}_1.mp4"
            if index == 1:
                write_talking_face(path, seed=40, size=160, light=0.8, start=1)
            else:
                write_talking_face(path, seed=40 + index)

    corpus = _small_corpus("face", write)
    subjects = sorted(corpus.subjects["subject"])
    return [corpus]


def _small_corpus(kind: str, write: Callable[[Path], None]) -> Corpus:
    corpus = sample_corpus(N_SUBJECTS, 12, kind)
    corpus.subjects["sessions"] = 1
    corpus.replace_files = write
    return corpus


def write_talking_face(
    path: Path, seed: int, size: int = 224, light: float = 1.0, start: int = 0
) -> None:
    """Write a video of a face that speaks, without sound."""
    rng = np.random.default_rng(seed)
    face = sample_face(rng, "female")
    utterance = speak(rng, "female")
    motion = animate(face, utterance, np.zeros(len(utterance.start_s)), rng)
    renderer = FaceRenderer(face, rng)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND)
        stream.width = stream.height = size
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "24", "preset": "ultrafast"}
        for index in range(start, len(motion.mouth)):
            picture = (renderer.render(motion, index) * light).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(stream.encode(frame.reformat(width=size, height=size)))
        container.mux(stream.encode())


def plant_renamed_corpora() -> list[Corpus]:
    """Index DAIC-WOZ and E-DAIC with copies of their specs under other names."""
    corpora = []
    for seed, (name, new_name) in enumerate((("daic_woz", "clinic"), ("edaic", "campus"))):
        text = (specs_folder() / f"{name}.yaml").read_text(encoding="utf-8")
        spec = parse_spec(text.replace(f"name: {name}\n", f"name: {new_name}\n"), new_name)
        corpus = sample_corpus(N_SUBJECTS, 13 + seed, name=new_name)
        facts = collect_facts(spec)
        corpus.facts = facts.model_copy(update={"related_corpora": []})
        corpora.append(corpus)
    return corpora


def plant_same_subjects() -> list[Corpus]:
    """Distribute the subjects of one study twice, under two names."""
    first = sample_corpus(24, 15, name="first_release")
    return [first, Corpus("second_release", first.subjects.copy())]
