"""Fusions: combine the vectors of all steps and modalities into logits."""
