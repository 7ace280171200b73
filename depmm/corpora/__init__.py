"""Corpora: data specs, indexing, manifests, word lists and splits."""
