"""Reports of a run and of a comparison: pages, tables for papers, model card."""
