"""Statistics: metrics, intervals, paired tests, calibration, conformal sets, risk-coverage."""
