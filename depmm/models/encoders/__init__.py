"""Encoders: the signal of a step -> one vector."""
