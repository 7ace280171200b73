"""Runs: folders of trained models, their contents, and the subjects on which they depend."""
