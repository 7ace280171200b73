"""The reading list of simulated subjects."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from depmm.corpora.word_lists import ENGLISH_WORDS
from depmm.simulation.participants import SimulationError
from depmm.simulation.reading_list import read_word_lists, sample_reading_list

HEADER = "word,valence,rating,language\n"
THREE = "grief,negative,,en\ntable,neutral,,en\njoy,positive,,en\n"


@pytest.mark.parametrize("steps", [3, 4, 5, 12, 72, 80])
def test_reading_list_is_balanced_and_planted(steps: int) -> None:
    words = read_word_lists(ENGLISH_WORDS)
    reading = sample_reading_list(steps, words, np.random.default_rng(steps))
    count = Counter(step.valence for step in reading)
    assert len(reading) == steps
    assert count["negative"] == count["positive"]
    assert abs(count["neutral"] - count["negative"]) <= 1
    assert len({step.word for step in reading}) == min(steps, 72)
    for diagnosis, valence in (("depressed", "negative"), ("healthy", "positive")):
        planted = {step.word for step in reading if step.planted_for == diagnosis}
        chosen = {step.word for step in reading if step.valence == valence}
        assert planted <= chosen
        assert len(planted) == max(1, round(2 / 3 * len(chosen)))
    for k in range(0, steps - steps % 3, 3):
        assert {step.valence for step in reading[k : k + 3]} == set(words)


@pytest.mark.parametrize(
    ("rows", "value"),
    [
        (THREE.replace("grief,negative,,en\n", ""), "negative"),
        (THREE + "grief,negative,,nl\n", "grief"),
        (THREE + "悲伤,negative,,zh\n", "悲伤"),
    ],
)
def test_unusable_word_lists_are_errors(rows: str, value: str, tmp_path: Path) -> None:
    path = tmp_path / "words.csv"
    path.write_text(HEADER + rows, encoding="utf-8")
    with pytest.raises(SimulationError) as info:
        read_word_lists(path)
    assert (info.value.file, info.value.value) == (path, value)
