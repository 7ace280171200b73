"""Simulated corpora with a planted, known effect."""
