"""Decoding: sound, video, faces and feature files to arrays."""
