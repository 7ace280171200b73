"""Statistics: metrics, BCa intervals, paired tests, calibration, conformal sets, risk-coverage."""
