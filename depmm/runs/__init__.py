"""Runs: the folder of a trained model, what it contains, and on which subjects it depends."""
