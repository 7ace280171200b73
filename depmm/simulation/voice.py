"""Source-filter synthesis of words with a known bluntness (reduced expressiveness).

The letters of a word are read as phones (`PHONES`). A phone has formant targets, voicing, noise and
mouth opening. A glottal pulse train and noise are filtered by a cascade of five digital resonators,
frame by frame in the frequency domain (overlap-add). The words are distinct and word-like, but not
intelligible: this is not text-to-speech.

References
----------
Klatt, "Software for a cascade/parallel formant synthesizer", JASA 67(3), 1980 (resonators).
Klatt and Klatt, "Analysis, synthesis, and perception of voice quality variations among female and
male talkers", JASA 87(2), 1990 (KLGLOTT88 pulse).
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from depmm.config import SAMPLE_RATE

TRACK_HZ = 200  # rate of the control tracks: formants, voicing, mouth opening
HOP = SAMPLE_RATE // TRACK_HZ  # samples between two filter frames
MILLISECOND = SAMPLE_RATE // 1000  # word limits lie on whole milliseconds
FFT_SIZE = 1024  # 10 ms of source and 54 ms of decay, in which a formant falls by 110 dB

GAIN_DB_PER_UNIT = -5.0
DURATION_PER_UNIT = 1.12
PITCH_RANGE_PER_UNIT = float(np.exp(-0.35))

START_SILENCE_S = 0.3
PAUSE_S = (0.25, 0.4)
END_SILENCE_S = 0.3

BANDWIDTHS = np.array([80.0, 100.0, 130.0, 180.0, 250.0])  # of the five formants, Hz
UPPER_FORMANTS = (3500.0, 4500.0)  # Hz, F4 and F5: the same in every phone

Array = NDArray[np.float64]


class Phone(NamedTuple):
    """Articulation of one sound.

    Attributes
    ----------
    seconds : float
        Duration at rate 1.
    f1, f2, f3 : float
        Formants of an average male vocal tract, Hz.
    voice : float
        Amplitude of the glottal source.
    noise : float
        Amplitude of the friction noise relative to the RMS of the voice.
    noise_hz : float
        Centre frequency of the friction noise, Hz.
    opening : float
        Mouth opening from 0 (closed) to 1 (wide).
    """

    seconds: float
    f1: float
    f2: float
    f3: float
    voice: float
    noise: float
    noise_hz: float
    opening: float


PHONES = {
    "a": Phone(0.13, 730, 1090, 2440, 1.0, 0.0, 1000, 1.0),
    "e": Phone(0.11, 530, 1840, 2480, 1.0, 0.0, 1000, 0.65),
    "i": Phone(0.10, 330, 2200, 2900, 0.9, 0.0, 1000, 0.45),
    "o": Phone(0.13, 570, 840, 2410, 1.0, 0.0, 1000, 0.8),
    "u": Phone(0.11, 330, 900, 2240, 0.9, 0.0, 1000, 0.4),
    "m": Phone(0.07, 250, 1000, 2200, 0.35, 0.0, 1000, 0.0),
    "n": Phone(0.06, 250, 1500, 2500, 0.35, 0.0, 1000, 0.2),
    "l": Phone(0.06, 360, 1100, 2600, 0.6, 0.0, 1000, 0.3),
    "r": Phone(0.06, 420, 1250, 1650, 0.6, 0.0, 1000, 0.3),
    "w": Phone(0.06, 300, 650, 2200, 0.5, 0.0, 1000, 0.1),
    "f": Phone(0.09, 350, 1000, 2300, 0.0, 0.15, 5500, 0.1),
    "v": Phone(0.07, 300, 1000, 2300, 0.35, 0.08, 5000, 0.1),
    "s": Phone(0.10, 350, 1700, 2600, 0.0, 0.45, 6000, 0.15),
    "z": Phone(0.08, 300, 1700, 2600, 0.35, 0.3, 6000, 0.15),
    "S": Phone(0.10, 350, 1900, 2500, 0.0, 0.45, 3300, 0.2),  # sh
    "h": Phone(0.06, 500, 1500, 2500, 0.0, 0.2, 1600, 0.4),
    "#": Phone(0.05, 300, 1500, 2500, 0.0, 0.0, 1000, 0.05),  # closure of a stop
    "P": Phone(0.02, 300, 900, 2300, 0.2, 0.3, 1000, 0.1),  # release of p, t, k
    "T": Phone(0.02, 300, 1800, 2600, 0.2, 0.5, 4500, 0.2),
    "K": Phone(0.03, 300, 2000, 2400, 0.2, 0.4, 2200, 0.25),
}
SPELLING = {
    **{"p": "#P", "b": "#P", "t": "#T", "d": "#T", "k": "#K", "g": "#K", "c": "#K", "q": "#K"},
    **{"sh": "S", "ch": "#S", "j": "#S", "th": "f", "ph": "f", "ck": "#K", "gh": "", "x": "#Ks"},
    "y": "i",
}
LETTERS = re.compile("sh|ch|th|ph|ck|gh|[a-z]")


@dataclass(frozen=True)
class Voice:
    """Voice of a subject at bluntness 0.

    Attributes
    ----------
    pitch_hz : float
        Median pitch, Hz.
    pitch_range : float
        Semitones from the highest to the lowest point of a word.
    formant_factor : float
        Factor on all formants; a shorter vocal tract has a larger factor.
    rate : float
        Factor on the speaking rate.
    level_db : float
        RMS of a word including the gain of the microphone, dB full scale.
    noise_db : float
        RMS of breath and room noise, dB full scale.
    breath : float
        Standard deviation of the noise in the glottal source.
    open_quotient : float
        Share of a glottal cycle in which the vocal folds are open.
    """

    pitch_hz: float
    pitch_range: float
    formant_factor: float
    rate: float
    level_db: float
    noise_db: float
    breath: float
    open_quotient: float


@dataclass(frozen=True)
class Utterance:
    """Spoken words: waveform, time limits and mouth opening.

    Attributes
    ----------
    waveform : ndarray of float32, shape (N,)
        Waveform at 16 kHz.
    start_s, end_s : ndarray of float64, shape (L,)
        Start and end of each word in seconds, exact to the millisecond.
    opening : ndarray of float64, shape (N / HOP,)
        Mouth opening at `TRACK_HZ` from 0 to 1, at bluntness 0.
    """

    waveform: NDArray[np.float32]
    start_s: Array
    end_s: Array
    opening: Array


def sample_voice(rng: np.random.Generator, gender: str) -> Voice:
    """Sample a voice; only pitch and formants depend on the gender.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    gender : {"female", "male"}
        Gender of the subject.

    Returns
    -------
    Voice
        The voice at bluntness 0.
    """
    female = gender == "female"
    return Voice(
        pitch_hz=float((205.0 if female else 115.0) * np.exp(rng.normal(0, 0.11))),
        pitch_range=float(rng.uniform(5, 8)),
        formant_factor=float((1.16 if female else 1.0) * np.exp(rng.normal(0, 0.03))),
        rate=float(np.exp(rng.normal(0, 0.08))),
        level_db=float(np.clip(rng.normal(-30, 2), -35, -26)),
        noise_db=float(rng.uniform(-68, -60)),
        breath=float(rng.uniform(0.02, 0.08)),
        open_quotient=float(rng.uniform(0.5, 0.75)),
    )


def synthesise_speech(
    voice: Voice,
    words: list[str],
    bluntness: Array,
    frame_s: float,
    rng: np.random.Generator,
    gain_db: Array | None = None,
) -> Utterance:
    """Synthesise words one after the other, with pauses between them.

    Parameters
    ----------
    voice : Voice
        Voice of the subject.
    words : list of str, length L
        Words that `spell_phones` can spell.
    bluntness : ndarray, shape (L,)
        Bluntness of each word. Each unit makes a word 5 dB quieter and 12 % longer and multiplies
        its pitch range by `PITCH_RANGE_PER_UNIT`.
    frame_s : float
        Length of a video frame in seconds; the waveform is padded to whole frames.
    rng : Generator
        Source of randomness.
    gain_db : ndarray, shape (L,), optional
        Additional level of each word, dB; 0 by default.

    Returns
    -------
    Utterance
        The waveform with the limits of its words.
    """
    parts = [np.zeros(round(START_SILENCE_S * SAMPLE_RATE))]
    openings: list[tuple[int, Array]] = []
    starts, ends, position = [], [], len(parts[0])
    levels = voice.level_db + GAIN_DB_PER_UNIT * bluntness
    if gain_db is not None:
        levels = levels + gain_db
    for word, blunt, level in zip(words, bluntness, levels, strict=True):
        spoken, opening = _synthesise_word(word, voice, float(blunt), rng)
        gain = 10 ** (level / 20)
        pause = round(rng.uniform(*PAUSE_S) * 1000) * MILLISECOND
        parts += [gain * spoken, np.zeros(pause)]
        openings.append((position, opening))
        starts.append(position)
        ends.append(position + len(spoken))
        position += len(spoken) + pause
    frame = round(frame_s * SAMPLE_RATE)
    needed = ends[-1] + END_SILENCE_S * SAMPLE_RATE
    samples = int(np.ceil(needed / frame)) * frame
    waveform = np.zeros(samples)
    speech = np.concatenate(parts)[:samples]
    waveform[: len(speech)] = speech
    waveform += 10 ** (voice.noise_db / 20) * _room_noise(samples, rng)
    # lower the gain of a voice that would clip; rare, and the same factor for all words
    waveform *= min(1.0, 0.9 / np.abs(waveform).max())
    track = np.zeros(samples // HOP)
    for start, opening in openings:
        begin = start // HOP
        track[begin : begin + len(opening)] = opening[: len(track) - begin]
    return Utterance(
        waveform.astype(np.float32),
        np.array(starts) / SAMPLE_RATE,
        np.array(ends) / SAMPLE_RATE,
        track,
    )


def spell_phones(word: str) -> str:
    """Spell a word as a string of `PHONES` keys.

    Parameters
    ----------
    word : str
        A word; accents and characters other than Latin letters are ignored.

    Returns
    -------
    str
        One character per phone; empty if the word has no Latin letter.
    """
    word = unicodedata.normalize("NFKD", word.casefold())
    word = re.sub(r"c(?=[eiy])", "s", word)
    word = re.sub(r"(?<=[aeiouy])([^aeiouy]+)e$", r"\1", word)  # a silent e
    phones = "".join(SPELLING.get(letters, letters) for letters in LETTERS.findall(word))
    phones = re.sub(r"(#?.)\1", r"\1", phones)  # a double letter is one sound
    return phones.removeprefix("#")  # an initial closure is inaudible


def smooth(values: Array, sigma: float) -> Array:
    """Smooth a track with a Gaussian kernel; the values at the ends are repeated.

    Parameters
    ----------
    values : ndarray, shape (N,)
        The track.
    sigma : float
        Standard deviation of the kernel in points.

    Returns
    -------
    ndarray, shape (N,)
        The smoothed track.
    """
    reach = int(np.ceil(4 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.convolve(np.pad(values, reach, mode="edge"), kernel / kernel.sum(), mode="valid")


def _synthesise_word(
    word: str, voice: Voice, bluntness: float, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Synthesise one word at RMS 1; return its samples and its mouth opening at `TRACK_HZ`."""
    phones = [PHONES[phone] for phone in spell_phones(word)]
    lengths = np.array([phone.seconds for phone in phones])
    # between 0.4 and 0.8 s at rate 1: short words are stretched, long words are compressed
    natural = np.clip(0.2 + 0.65 * lengths.sum(), 0.4, 0.8)
    seconds = natural / voice.rate * DURATION_PER_UNIT**bluntness
    samples = round(seconds * 1000) * MILLISECOND

    frames = samples // HOP + 2
    position = np.arange(frames) * HOP / samples  # from 0 to 1 within the word
    index = np.searchsorted(np.cumsum(lengths) / lengths.sum(), position, side="right")
    targets = np.array(phones)[np.minimum(index, len(phones) - 1), 1:]
    formants = np.stack([smooth(f, 0.015 * TRACK_HZ) for f in targets[:, :3].T], axis=1)
    voice_level, noise_level = (smooth(level, 0.006 * TRACK_HZ) for level in targets[:, 3:5].T)
    opening = smooth(targets[:, 6], 0.03 * TRACK_HZ) * np.clip(
        7 * (1 - np.abs(2 * position - 1)), 0, 1
    )

    # falls from +0.5 to -0.5 of the range, with an accent early in the word
    contour = 0.35 - 0.7 * position + 0.3 * np.exp(-(((position - 0.25) / 0.15) ** 2))
    range_ = voice.pitch_range * PITCH_RANGE_PER_UNIT**bluntness
    jitter = 1 + 0.008 * rng.standard_normal(frames)
    pitch = voice.pitch_hz * 2 ** (range_ * contour / 12 + rng.normal(0, 0.3) / 12) * jitter

    time, track_time = np.arange(samples), np.arange(frames) * HOP
    voicing = np.interp(time, track_time, voice_level)
    source = _glottal_source(np.interp(time, track_time, pitch), voice, rng)
    noise = np.interp(time, track_time, noise_level) * rng.standard_normal(samples)
    voiced = _filter(
        voicing * source, _tract_response(formants * voice.formant_factor, voice.formant_factor)
    )
    voiced /= np.sqrt(np.mean(voiced**2))
    waveform = voiced + _filter(noise, _friction_response(targets[:, 5]))
    fade = np.minimum(1, np.minimum(time, samples - 1 - time) / (0.008 * SAMPLE_RATE))
    waveform *= fade
    return waveform / np.sqrt(np.mean(waveform**2)), np.clip(opening, 0, 1)


def _glottal_source(pitch: Array, voice: Voice, rng: np.random.Generator) -> Array:
    """Compute the derivative of the glottal flow: 2 x - 3 x^2 while the folds are open, else 0."""
    phase = (rng.uniform() + np.cumsum(pitch) / SAMPLE_RATE) % 1
    x = phase / voice.open_quotient
    pulses = np.where(x < 1, 2 * x - 3 * x**2, 0)
    return pulses + voice.breath * rng.standard_normal(len(pitch))


def _tract_response(formants: Array, factor: float) -> NDArray[np.complex128]:
    """Compute the response (frames, bins) of cascaded resonators, 1 at 0 Hz (Klatt 1980)."""
    lower, upper = np.split(BANDWIDTHS, [formants.shape[1]])
    moving = np.prod(_resonate(formants, lower), axis=1)
    fourth, fifth = _resonate(np.array(UPPER_FORMANTS) * factor, upper)
    response: NDArray[np.complex128] = moving * fourth * fifth
    return response


def _resonate(hz: Array, bandwidths: Array) -> NDArray[np.complex128]:
    """Compute the responses (..., resonators, bins) of resonators."""
    radius = np.exp(-np.pi * bandwidths / SAMPLE_RATE)[:, None]
    first = -2 * radius * np.cos(2 * np.pi / SAMPLE_RATE * hz[..., None])
    second = radius**2
    z = np.exp(-1j * np.linspace(0, np.pi, FFT_SIZE // 2 + 1))
    responses: NDArray[np.complex128] = (1 + first + second) / (1 + first * z + second * z**2)
    return responses


def _friction_response(centre: Array) -> Array:
    """Compute a band (frames, bins) around each centre, Hz, that keeps the power of white noise."""
    hz = np.linspace(0, SAMPLE_RATE / 2, FFT_SIZE // 2 + 1)
    band: Array = np.exp(-0.5 * ((hz - centre[:, None]) / (0.3 * centre[:, None])) ** 2)
    band /= np.sqrt(np.mean(band**2, axis=1, keepdims=True))
    return band


def _filter(signal: Array, response: NDArray[np.complex128] | Array) -> Array:
    """Filter with a response that changes every HOP samples (overlap-add, Hann window)."""
    frames = len(response)
    window = np.hanning(2 * HOP + 1)[:-1]
    padded = np.pad(signal, (HOP, frames * HOP + HOP - len(signal)))
    blocks = np.lib.stride_tricks.sliding_window_view(padded, 2 * HOP)[::HOP][:frames]
    blocks = np.fft.irfft(np.fft.rfft(blocks * window, FFT_SIZE) * response, FFT_SIZE)
    out = np.zeros(frames * HOP + FFT_SIZE)
    for k, block in enumerate(blocks):
        out[k * HOP : k * HOP + FFT_SIZE] += block
    return out[HOP : HOP + len(signal)]


def _room_noise(samples: int, rng: np.random.Generator) -> Array:
    """Generate noise of RMS 1 that falls by 6 dB per octave above 500 Hz, like breath and rooms."""
    hz = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE)
    spectrum = np.fft.rfft(rng.standard_normal(samples)) / np.hypot(1, hz / 500)
    noise: Array = np.fft.irfft(spectrum, samples)
    noise /= np.sqrt(np.mean(noise**2))
    return noise
