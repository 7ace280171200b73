"""Train networks and classical baselines; cross-validation and hyper-parameter tuning."""
