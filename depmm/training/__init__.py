"""Training: from a config to a run; cross-validation and hyper-parameter tuning."""
