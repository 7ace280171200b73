"""Sound of recordings: 16 kHz mono, its channels and its level."""
