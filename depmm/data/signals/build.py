"""Build the signal of a modality from the settings of the data."""

from typing import assert_never

from depmm.config import DataConfig
from depmm.data.signals.crops import CropsSignal
from depmm.data.signals.rows import RowsSignal
from depmm.data.signals.signal import StepSignal
from depmm.data.signals.text import TextSignal
from depmm.data.signals.waveform import WaveformSignal


def build_signal(modality: str, settings: DataConfig) -> StepSignal:
    """Build the signal of a modality.

    Parameters
    ----------
    modality : str
        One of ``settings.modalities``.
    settings : DataConfig
        Streams that replace signals, and the part of a step that is read.

    Returns
    -------
    StepSignal
        The signal.
    """
    match settings.signal_of(modality).reads:
        case "waveform":
            return WaveformSignal(modality, settings)
        case "crops":
            return CropsSignal(modality, settings)
        case "text":
            return TextSignal(modality, settings)
        case "rows":
            return RowsSignal(modality, settings)
        case reads:
            assert_never(reads)


def build_signals(settings: DataConfig) -> dict[str, StepSignal]:
    """Build the signals of all modalities.

    Parameters
    ----------
    settings : DataConfig
        Modalities, and the part of a step that is read.

    Returns
    -------
    dict of str to StepSignal
        Signals by modality, sorted: the order in which random parts are drawn.
    """
    return {name: build_signal(name, settings) for name in sorted(settings.modalities)}
