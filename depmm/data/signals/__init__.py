"""Signals that encoders read: which steps have them, reading, and how much is read."""
