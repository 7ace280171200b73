"""The 88 functionals of eGeMAPS, computed by openSMILE from a step.

openSMILE is not a dependency of depmm. The extra ``egemaps`` installs it: it has the audEERING
Research License, which permits research and excludes commercial products.

References
----------
F. Eyben et al., "The Geneva Minimalistic Acoustic Parameter Set (GeMAPS) for voice research and
affective computing", IEEE Transactions on Affective Computing 7(2), 2016, 190-202.
F. Eyben, M. Wöllmer and B. Schuller, "openSMILE - The Munich versatile and fast open-source audio
feature extractor", ACM Multimedia 2010.
"""

import functools
import re
from itertools import product
from typing import Any

import numpy as np

from depmm.config import SAMPLE_RATE
from depmm.measures.measure import Measure, MeasureError

_MIN_SAMPLES = SAMPLE_RATE * 60 // 1000  # the longest frame of eGeMAPS; shorter steps are NaN
_F0 = "F0semitoneFrom27.5Hz_sma3nz"
_SHAPE = ("alphaRatio", "hammarbergIndex", "slope{}0-500", "slope{}500-1500", "spectralFlux")
_MFCC = tuple(f"mfcc{i}" for i in range(1, 5))
_DISTRIBUTION = (
    "amean", "stddevNorm", "percentile20.0", "percentile50.0", "percentile80.0", "pctlrange0-2",
    "meanRisingSlope", "stddevRisingSlope", "meanFallingSlope", "stddevFallingSlope",
)  # fmt: skip


def _of_region(name: str, region: str) -> str:
    """Return the name of a value of voiced (V) or unvoiced (UV) frames."""
    return name.format(region) if "{}" in name else f"{name}{region}"


_MEANS = (
    "spectralFlux_sma3",
    *(f"{name}_sma3" for name in _MFCC),
    *(f"{name}_sma3nz" for name in ("jitterLocal", "shimmerLocaldB", "HNRdBACF")),
    *(f"{name}_sma3nz" for name in ("logRelF0-H1-H2", "logRelF0-H1-A3")),
    *(
        f"F{i}{part}_sma3nz"
        for i, part in product((1, 2, 3), ("frequency", "bandwidth", "amplitudeLogRelF0"))
    ),
    *(f"{_of_region(name, 'V')}_sma3nz" for name in (*_SHAPE, *_MFCC)),
)
# the names of openSMILE 3 (feature set eGeMAPSv02), in its order
FUNCTIONALS = (
    *(f"{_F0}_{part}" for part in _DISTRIBUTION),
    *(f"loudness_sma3_{part}" for part in _DISTRIBUTION),
    *(f"{name}_{part}" for name in _MEANS for part in ("amean", "stddevNorm")),
    *(f"{_of_region(name, 'UV')}_sma3nz_amean" for name in _SHAPE),
    "loudnessPeaksPerSec",
    "VoicedSegmentsPerSec",
    "MeanVoicedSegmentLengthSec",
    "StddevVoicedSegmentLengthSec",
    "MeanUnvoicedSegmentLength",
    "StddevUnvoicedSegmentLength",
    "equivalentSoundLevel_dBp",
)
# start of a name -> group, unit of the mean
_KINDS = {
    "F0semitone": ("pitch", "semitones"),
    "loudness": ("loudness", "1"),
    "equivalentSoundLevel": ("loudness", "dB"),
    "jitter": ("perturbation", "1"),
    "shimmer": ("perturbation", "dB"),
    "HNR": ("voicing", "dB"),
    "logRelF0": ("spectrum", "dB"),
    "alphaRatio": ("spectrum", "dB"),
    "hammarberg": ("spectrum", "dB"),
    "slope": ("spectrum", "dB/Hz"),
    "spectralFlux": ("spectrum", "1"),
    "mfcc": ("mfcc", "1"),
    "F[123]frequency": ("formants", "Hz"),
    "F[123]bandwidth": ("formants", "Hz"),
    "F[123]amplitude": ("formants", "dB"),
    "loudnessPeaks": ("rate", "1/s"),
    "VoicedSegments": ("rate", "1/s"),
    "(Mean|Stddev)(V|Unv)oicedSegment": ("rate", "s"),
}


def _describe(functional: str) -> Measure:
    group, unit = next(
        kind for start, kind in reversed(_KINDS.items()) if re.match(start, functional)
    )
    if functional.endswith("stddevNorm"):
        unit = "1"  # relative to the mean
    elif functional.endswith("Slope"):
        unit = f"{unit}/s" if unit != "1" else "1/s"
    name = re.sub("[^a-z0-9]+", "_", re.sub("_sma3(nz)?", "", functional).lower())
    return Measure(
        f"egemaps_{name}",
        "audio",
        group,
        unit,
        f"{functional} of eGeMAPSv02 over the whole step, pauses included; 0 where openSMILE finds "
        "no frame for it. Eyben et al. 2016. Computed by openSMILE (audEERING Research License: "
        "research, no commercial products).",
    )


EGEMAPS_MEASURES: tuple[Measure, ...] = tuple(_describe(name) for name in FUNCTIONALS)


def measure_egemaps(waveform: np.ndarray) -> np.ndarray:
    """Compute the functionals of eGeMAPS of a step.

    Parameters
    ----------
    waveform : ndarray of float32, shape (T,)
        Samples at 16 kHz.

    Returns
    -------
    ndarray of float64, shape (88,)
        One value per entry of ``EGEMAPS_MEASURES``; NaN for a step that is shorter than 60 ms.

    Raises
    ------
    MeasureError
        If openSMILE is not installed.
    """
    extractor = _load_opensmile()
    if len(waveform) < _MIN_SAMPLES:
        return np.full(len(FUNCTIONALS), np.nan)
    table = extractor.process_signal(np.asarray(waveform, np.float32), SAMPLE_RATE)
    return table[list(FUNCTIONALS)].to_numpy(np.float64)[0]  # type: ignore[no-any-return]


@functools.cache
def _load_opensmile() -> Any:
    try:
        import opensmile
    except ImportError as error:
        raise MeasureError(
            "The set egemaps needs the package opensmile, which is not installed.",
            setting="set",
            value="egemaps",
            remedy="Install it with pip install 'depmm[egemaps]'. Its licence permits research and "
            "excludes commercial products.",
        ) from error
    return opensmile.Smile(
        feature_set=opensmile.FeatureSet.eGeMAPSv02,
        feature_level=opensmile.FeatureLevel.Functionals,
    )
