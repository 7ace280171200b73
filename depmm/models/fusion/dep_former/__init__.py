"""DEP-Former (Ye et al., IEEE TCSVT 2025)."""
