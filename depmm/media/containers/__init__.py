"""Open containers, decode their tracks, and put them on one clock."""
