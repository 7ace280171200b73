"""Networks: encoders of steps, fusions of steps and modalities, and output heads."""
