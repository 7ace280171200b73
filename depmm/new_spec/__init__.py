"""Propose a data spec for a folder of recordings."""
