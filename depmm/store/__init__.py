"""The store: extraction, session files, feature streams and precomputed embeddings."""
