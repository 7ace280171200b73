"""Speech rate from the peaks of the level, and pauses between segments of speech."""

import numpy as np

from depmm.media.voice.frame_spectrum import frame_levels_db

NUCLEUS_BELOW_LOUD_DB = 25.0  # de Jong & Wempe 2009: peaks below the loud level minus 25 dB
NUCLEUS_DIP_DB = 2.0  # and peaks without a dip of 2 dB beside them are no nuclei
_LOUD_PERCENTILE = 99.0
_SMOOTHING = np.hanning(9)[1:-1] / np.hanning(9)[1:-1].sum()  # 70 ms, as Praat's intensity


def count_nuclei(waveform: np.ndarray, voiced: np.ndarray, speech: np.ndarray) -> int:
    """Count syllable nuclei: voiced peaks of the level.

    Parameters
    ----------
    waveform : ndarray of float32, shape (T,)
        Samples at 16 kHz.
    voiced : ndarray of bool, shape (T // 160,)
        Voiced frames.
    speech : ndarray of bool, shape (T // 160,)
        Frames inside of segments of speech.

    Returns
    -------
    int
        Number of peaks of the smoothed level that are voiced, above the loud level minus 25 dB, and
        2 dB above the dips beside them.

    References
    ----------
    N. H. de Jong and T. Wempe, "Praat script to detect syllable nuclei and measure speech rate
    automatically", Behavior Research Methods 41(2), 2009, 385-390. Differences: the dips on both
    sides are required, and frames are smoothed by a Hann window of 70 ms.
    """
    from scipy.signal import find_peaks

    if not speech.any():
        return 0
    power = np.nan_to_num(10 ** (frame_levels_db(waveform) / 10))
    # the mode "same" would return the length of the window for fewer frames
    half = len(_SMOOTHING) // 2
    smooth = np.convolve(power, _SMOOTHING)[half : half + len(power)]
    level = 10 * np.log10(np.maximum(smooth, 1e-12))
    loud = np.percentile(level[speech], _LOUD_PERCENTILE)
    padded = np.concatenate([[-120.0], level, [-120.0]])  # so that a peak may be the first frame
    peaks, _ = find_peaks(padded, height=loud - NUCLEUS_BELOW_LOUD_DB, prominence=NUCLEUS_DIP_DB)
    peaks = np.minimum(peaks - 1, len(voiced) - 1)
    return int((voiced & speech)[peaks].sum())


def describe_pauses(speech: np.ndarray) -> tuple[float, float, float]:
    """Describe the pauses between segments of speech.

    Parameters
    ----------
    speech : ndarray of float64, shape (S, 2)
        Start and end of each segment in seconds.

    Returns
    -------
    rate : float
        Pauses per second, from the start of the first to the end of the last segment.
    mean_s : float
        Mean length in seconds; NaN without a pause.
    share : float
        Share of this time that is pauses.
    """
    if not len(speech):
        return float("nan"), float("nan"), float("nan")
    span_s = float(speech[-1, 1] - speech[0, 0])
    gaps_s = np.maximum(speech[1:, 0] - speech[:-1, 1], 0)
    gaps_s = gaps_s[gaps_s > 0]
    mean_s = float(gaps_s.mean()) if len(gaps_s) else float("nan")
    if span_s <= 0:
        return float("nan"), mean_s, float("nan")
    return len(gaps_s) / span_s, mean_s, float(gaps_s.sum()) / span_s
