"""Embeddings of voices and faces, for the comparison of identities in the audit."""
