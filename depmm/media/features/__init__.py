"""Feature files that a corpus provides: tables and arrays."""
