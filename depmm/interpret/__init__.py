"""Explanations of trained models: attributions, and questions about them."""
