"""Reporting checklists that are filled in from the evidence of a run."""
