"""Files that depmm writes and reads: atomic writing, checksums, locks, limits."""
