"""depmm: recognise depression from face and voice, with numbers that can be trusted."""

__version__ = "0.1.0"
