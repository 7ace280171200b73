"""Share a trained run: export without ids, and upload to or download from a model hub."""
