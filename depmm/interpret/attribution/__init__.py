"""Attributions of predictions to steps, modalities and regions, and their faithfulness."""
