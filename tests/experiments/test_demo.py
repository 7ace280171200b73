"""The summary of the demo: expected figures, figures outside of them, and the seeds."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from demo_commands import demo_commands
from scipy.stats import norm

from depmm.config import load_config
from experiments import demo_seeds, demo_summary
from experiments.demo_summary import CORPORA, DIFFERENCE, SYSTEMS, prediction_interval

AUROC = {"demo": [0.99, 0.97, 0.9, 0.98], "demo_fusion": [0.95, 0.5, 0.52, 0.51]}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Folders of evaluated runs, with metrics only."""
    for corpus in AUROC:
        write_comparison(tmp_path / "runs", corpus, AUROC[corpus])
    truth = tmp_path / "corpora" / "demo_fusion" / "recordings" / "truth.json"
    truth.parent.mkdir(parents=True)
    truth.write_text(json.dumps({"planted_region": {"third": "lower_third"}}))
    sizes = {"upper_third": [1.0, 2.0], "middle_third": [-1.0, 0.0], "lower_third": [-6.0, 6.0]}
    rows = [
        {"subject": subject, "region": region, "occlusion": values[k], "share": abs(values[k]) / 8}
        for region, values in (sizes | {"0-300_hz": [9.0, 9.0]}).items()
        for k, subject in enumerate(["S001", "S002"])
    ]
    (tmp_path / "runs" / "demo_fusion").mkdir()
    for name in demo_summary.REGIONS:
        pd.DataFrame(rows).to_parquet(tmp_path / "runs" / "demo_fusion" / f"{name}.parquet")
    return tmp_path / "runs"


def test_the_share_of_the_planted_region_by_hand(runs: Path) -> None:
    for figure in demo_summary.read_figures(runs)[-2:]:
        assert figure.system.endswith("lower_third")
        assert figure.value == pytest.approx(0.75)  # 6 of 8, without the band of the voice
        assert figure.high - figure.low < 1e-12


def write_comparison(runs: Path, corpus: str, values: list[float]) -> None:
    """Write what ``depmm compare`` writes of four runs, as far as the summary reads it."""
    metrics = {
        f"{corpus}{suffix}": {
            "metrics": {"auroc": {"value": value, "ci_low": value - 0.1, "ci_high": value + 0.1}}
        }
        for suffix, value in zip(SYSTEMS, values, strict=True)
    }
    pair = {"run_a": corpus, "run_b": f"{corpus}_sum", "ci_low": -0.1, "ci_high": 0.6}
    rows = [
        pair | {"metric": "balanced_accuracy", "difference": 0.0},
        pair | {"metric": "auroc", "run_b": f"{corpus}_face_only", "difference": 0.1},
        pair | {"metric": "auroc", "difference": values[0] - values[3]},
    ]
    folder = runs / f"{corpus}_compared"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps({"runs": metrics, "comparison": rows}))


def record_seeds(path: Path, results: list[dict[str, float]]) -> Path:
    path.write_text(json.dumps({"rows": demo_seeds.make_rows(results)}))
    return path


def draw_seeds(runs: Path, shift: float) -> list[dict[str, float]]:
    """Figures of ten seeds around those of the runs, plus a shift."""
    rng = np.random.default_rng(0)
    figures = demo_summary.read_figures(runs)
    return [
        {f"{f.corpus}/{f.system}": f.value + shift + rng.normal(0, 0.01) for f in figures}
        for _ in range(10)
    ]


def test_the_prediction_interval_covers_a_further_seed() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(0.5, 0.02, (4000, 11))
    inside = [
        low <= row[10] <= high
        for row in values
        for low, high in [prediction_interval(row[:10].tolist())]
    ]
    assert np.mean(inside) == pytest.approx(0.999, abs=0.005)
    assert prediction_interval([1.0, 1.0, 0.99])[1] == 1.0


@pytest.mark.parametrize(("auroc", "n", "least"), [(0.997, 33, 0.99), (0.9995, 14, 0.95)])
def test_the_prediction_interval_allows_for_the_skewness_near_1(
    auroc: float, n: int, least: float
) -> None:
    # untransformed, .025 and .04 of further seeds are outside
    rng = np.random.default_rng(2)
    shift = math.sqrt(2) * norm.ppf(auroc) + 0.3 * rng.standard_normal((1500, 11, 1))
    positive, negative = rng.standard_normal((2, 1500, 11, n))
    scores = np.concatenate([positive + shift, negative], axis=2)
    ranks = scores.argsort(axis=2).argsort(axis=2)[..., :n].sum(axis=2)
    inside = [
        low - 5e-4 <= row[10] <= high + 5e-4
        for row in (ranks - n * (n - 1) / 2) / n**2
        for low, high in [prediction_interval(row[:10].tolist())]
    ]
    assert np.mean(inside) > least


def test_the_transformation_changes_little_at_one_half() -> None:
    values = np.linspace(0.45, 0.55, 10).tolist()
    assert prediction_interval(values) == pytest.approx(
        prediction_interval(values, lowest=-1.0), abs=0.005
    )


def test_figures_within_their_interval_pass(runs: Path, monkeypatch, capsys):
    path = record_seeds(runs.parent / "seeds.json", draw_seeds(runs, 0.0))
    monkeypatch.setattr(demo_summary, "read_expected", lambda: read(path))
    demo_summary.main([str(runs)])
    out = capsys.readouterr().out
    assert out.count("[") >= 2 * 5
    assert "OUTSIDE" not in out
    assert f"{runs}/demo_fusion/report.html" in out


read = demo_summary.read_expected


def test_a_figure_outside_of_its_interval_ends_with_its_name(
    runs: Path, monkeypatch, capsys
) -> None:
    path = record_seeds(runs.parent / "seeds.json", draw_seeds(runs, 0.0))
    write_comparison(runs, "demo_fusion", [0.95, 0.5, 0.8, 0.51])  # a leak of the face
    monkeypatch.setattr(demo_summary, "read_expected", lambda: read(path))
    with pytest.raises(SystemExit) as info:
        demo_summary.main([str(runs)])
    assert "demo_fusion: face only" in str(info.value.code)
    assert capsys.readouterr().out.count("OUTSIDE") == 1


def test_without_a_results_file_nothing_is_expected(runs: Path, tmp_path: Path) -> None:
    assert read(tmp_path / "none.json") == {}
    lines, outside = demo_summary.summarise(demo_summary.read_figures(runs), {})
    assert len(outside) == 0
    assert sum(DIFFERENCE in line for line in lines) == len(CORPORA)


def test_the_study_runs_the_commands_of_the_makefile() -> None:
    recipe = demo_commands()
    for corpus in CORPORA:
        assert load_config(corpus).data.manifest == Path(f"corpora/{corpus}/manifest")
        for command in demo_seeds.commands(corpus, 0, 1):
            words = set(" ".join(command).replace("--workers 1", "").split()) - {"seed=0"}
            if command[0] != "train":
                assert any(words <= set(line) for line in recipe), command
            elif command[1] != "demo":  # which experiments/train_fusion.py trains
                assert ["train", command[1]] in recipe


def test_seeds_of_another_study_are_refused(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "seed_0.json"
    path.write_text(json.dumps({"study": demo_seeds.describe_study()}))
    demo_seeds.check_study(path)
    monkeypatch.setitem(demo_seeds.SIMULATIONS, "demo", ["--subjects", "95"])
    with pytest.raises(ValueError, match="have changed"):
        demo_seeds.check_study(path)


def test_an_interrupted_seed_repeats_no_finished_command(tmp_path: Path, monkeypatch) -> None:
    called: list[str] = []

    def interrupted(*words: str, cwd: Path) -> None:
        if len(called) == 3:
            raise KeyboardInterrupt
        called.append(" ".join(words))

    monkeypatch.setattr(demo_seeds, "read_figures", lambda runs: [])
    monkeypatch.setattr(demo_seeds, "depmm", interrupted)
    with pytest.raises(KeyboardInterrupt):
        demo_seeds.run_seed(tmp_path, 4, 1)
    monkeypatch.setattr(demo_seeds, "depmm", lambda *words, cwd: called.append(" ".join(words)))
    demo_seeds.run_seed(tmp_path, 4, 1)
    assert called == [
        " ".join(command) for corpus in CORPORA for command in demo_seeds.commands(corpus, 4, 1)
    ]
    demo_seeds.check_study(tmp_path / "seed_4.json")
    assert not (tmp_path / "seed_4").exists()


@pytest.mark.slow
def test_the_corpus_that_needs_fusion_passes_the_audit_of_the_makefile(
    depmm, tmp_path: Path, monkeypatch
) -> None:
    """With fewer subjects than in the demo."""
    monkeypatch.chdir(tmp_path)
    recordings, manifest = "corpora/demo_fusion/recordings", "corpora/demo_fusion/manifest"
    (audit,) = [words for words in demo_commands() if words[:2] == ["audit", manifest]]
    settings = [*demo_seeds.SIMULATIONS["demo_fusion"], "--subjects", "120", "--workers", "1"]
    for command in (
        ["simulate", recordings, *settings],
        ["index", "ewre_simulated", recordings, "--out", manifest],
        audit,
    ):
        assert depmm(*command).code == 0
    found = json.loads(Path(manifest, "audit.json").read_text())["findings"]
    assert {each["severity"] for each in found} <= {"info", "warning"}
