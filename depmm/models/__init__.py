"""Networks: encoders of steps, fusions of steps and modalities, heads."""
