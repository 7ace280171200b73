"""Layout of HTML pages, and drawings of recordings over time."""
