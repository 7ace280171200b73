"""Classical models of scikit-learn on measures, saved without pickle."""
