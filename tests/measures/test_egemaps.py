"""The functionals of eGeMAPS, compared with openSMILE."""

import sys

import numpy as np
import pytest
from voices import pulses

from depmm.measures import egemaps
from depmm.measures.egemaps import EGEMAPS_MEASURES, FUNCTIONALS, measure_egemaps
from depmm.measures.measure import MeasureError


def test_functionals_of_opensmile():
    opensmile = pytest.importorskip("opensmile")
    extractor = opensmile.Smile(
        feature_set=opensmile.FeatureSet.eGeMAPSv02,
        feature_level=opensmile.FeatureLevel.Functionals,
    )
    assert tuple(extractor.feature_names) == FUNCTIONALS
    voice = pulses(np.full(150, 1 / 150))
    values = measure_egemaps(voice)
    expected = extractor.process_signal(voice, 16_000).to_numpy()[0]
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    pitch = values[FUNCTIONALS.index("F0semitoneFrom27.5Hz_sma3nz_amean")]
    assert pitch == pytest.approx(12 * np.log2(150 / 27.5), abs=0.1)
    assert np.isnan(measure_egemaps(voice[:959])).all()
    assert np.isfinite(measure_egemaps(voice[:960])).all()


def test_names_units_and_licence():
    names = [measure.name for measure in EGEMAPS_MEASURES]
    assert len(set(names)) == 88
    assert max(map(len, names)) <= 48
    by_name = dict(zip(FUNCTIONALS, EGEMAPS_MEASURES, strict=True))
    for functional, group, unit in (
        ("loudnessPeaksPerSec", "rate", "1/s"),
        ("loudness_sma3_meanRisingSlope", "loudness", "1/s"),
        ("F0semitoneFrom27.5Hz_sma3nz_meanRisingSlope", "pitch", "semitones/s"),
        ("F1frequency_sma3nz_stddevNorm", "formants", "1"),
        ("F2amplitudeLogRelF0_sma3nz_amean", "formants", "dB"),
        ("MeanUnvoicedSegmentLength", "rate", "s"),
        ("slopeV0-500_sma3nz_amean", "spectrum", "dB/Hz"),
    ):
        measure = by_name[functional]
        assert (measure.group, measure.unit) == (group, unit), functional
        assert "License" in measure.description


def test_without_opensmile(monkeypatch):
    egemaps._load_opensmile.cache_clear()
    monkeypatch.setitem(sys.modules, "opensmile", None)
    with pytest.raises(MeasureError) as info:
        measure_egemaps(np.zeros(16_000, np.float32))
    assert (info.value.setting, info.value.value) == ("set", "egemaps")
    egemaps._load_opensmile.cache_clear()
