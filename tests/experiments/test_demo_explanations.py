"""Explanations of trainings of the demo: rows of the tables, from two small trainings."""

import json
import re
import sys
from pathlib import Path

import pytest

from depmm import train
from experiments.benchmarks import demo_explanations


@pytest.mark.slow
def test_both_tables_have_a_row_for_each_method_and_word(
    corpus,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs = [
        train(corpus.config, [f"out={tmp_path}", f"name=run-{seed}", f"seed={seed}"])
        for seed in (0, 1)
    ]
    truth = corpus.recordings / "truth.json"
    recorded: dict[str, list[dict[str, object]]] = {}
    monkeypatch.setattr(
        demo_explanations, "publish", lambda name, rows, write, **_: recorded.update({name: rows})
    )
    monkeypatch.setattr(sys, "argv", ["script", *map(str, (truth, *runs, "--record"))])
    demo_explanations.main()
    capsys.readouterr()
    methods = {str(row["method"]) for row in recorded["faithfulness"]}
    assert {"shapley", "occlusion", "permutation", "integrated_gradients"} < methods
    *areas, random = recorded["faithfulness"]
    assert random["method"] == "random orders"
    assert [row["deletion"] for row in areas] == sorted(row["deletion"] for row in areas)
    assert all(re.fullmatch(r"\d+ of \d+", str(row["deletion: better subjects"])) for row in areas)
    content = json.loads(truth.read_text())
    planted = [word for words in content["planted_words"].values() for word in words]
    rows = recorded["demo_words"]
    assert [row["word"] for row in rows if row["planted"] == "yes"] == [
        row["word"] for row in rows if row["word"] in planted
    ]
    assert len(rows) == content["n_steps"]
