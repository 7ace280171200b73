"""The signal of a modality, and the settings of the data that change it.

Three names of modalities have a signal of their own: ``audio``, ``face`` and ``text``. Any other
modality, and these three on request, reads rows of a stream that ``data.features`` names.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

EncoderInput = Literal["waveform", "crops", "text", "rows"]
"""What an encoder reads of a step: samples of the sound, face crops, UTF-8 text, or rows."""


@dataclass(frozen=True)
class Signal:
    """Facts about a kind of signal.

    Attributes
    ----------
    reads : {"waveform", "crops", "text", "rows"}
        What the encoder of the modality reads.
    content : str
        What a step with the modality has, in words.
    track : {"audio", "face"} or None
        Track of a recording that the signal is computed from; None if it is from another file.
    settings : tuple of str
        Settings of ``data`` that change the signal in evaluation.
    augmentation : tuple of str
        Settings of ``data.augment`` that change the signal in training.
    """

    reads: EncoderInput
    content: str
    track: Literal["audio", "face"] | None = None
    settings: tuple[str, ...] = ()
    augmentation: tuple[str, ...] = ()


SIGNALS: Mapping[str, Signal] = {
    "audio": Signal(
        reads="waveform",
        content="sound",
        track="audio",
        settings=("max_audio_s", "remove_silence"),
        augmentation=("gain_db", "relative_noise", "noise_amplitudes", "pitch_semitones"),
    ),
    "face": Signal(
        reads="crops",
        content="a face",
        track="face",
        settings=("frames_per_step", "frame_choice", "face_size"),
        augmentation=("flip",),
    ),
    "text": Signal(reads="text", content="text"),
}
ROWS = Signal(reads="rows", content="rows of its stream", settings=("max_rows",))


def signal_of(modality: str, features: Mapping[str, str]) -> Signal:
    """Return the signal that the encoder of a modality reads.

    Parameters
    ----------
    modality : str
        Name of the modality.
    features : mapping of str to str
        ``data.features``, from modality to stream.

    Returns
    -------
    Signal
        That of the name, unless a stream replaces it.
    """
    return ROWS if modality in features else SIGNALS[modality]
