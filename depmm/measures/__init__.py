"""Named measures of voice and face, per step and per session."""
