"""Predictions for new recordings: ``Predictor(run).predict(file)`` gives a ``Prediction``."""

from depmm.inference.errors import InferenceError
from depmm.inference.prediction import Prediction
from depmm.inference.predictor import Predictor

__all__ = ["InferenceError", "Prediction", "Predictor"]
