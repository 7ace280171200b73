"""Evaluation: predictions tables, baselines, thresholds, subgroups and comparison of runs."""
