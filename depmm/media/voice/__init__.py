"""Pitch, level, spectral shape, MFCC, perturbation and rate of a voice."""
