"""The smallest predictions table that can be evaluated, and tables read from text."""

import pandas as pd

from depmm.evaluation.predictions import read_predictions

HEADER = "subject,session,y_true,y_prob\n"


def minimal_predictions(**columns):
    """Make a table of six tested subjects with the required columns, changed or extended."""
    required = {
        "subject": [f"p{number}" for number in range(6)],
        "session": ["1"] * 6,
        "y_true": [0, 1, 0, 1, 0, 1],
        "y_prob": [0.1, 0.9, 0.2, 0.4, 0.6, 0.8],
    }
    return pd.DataFrame({**required, **columns})


def read_text(folder, text, name="predictions.csv"):
    """Write a text file and read it as predictions."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return read_predictions(path)
