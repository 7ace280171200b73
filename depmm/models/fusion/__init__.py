"""Fusions: the vectors of all steps and modalities -> logits."""
