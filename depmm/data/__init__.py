"""Data of an experiment: sessions, targets, steps, augmentation and batches."""
