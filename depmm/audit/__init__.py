"""Audit of manifests: leaks between splits, label errors, and shortcuts."""
