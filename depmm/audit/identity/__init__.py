"""Identities in a manifest, compared by voice."""
