"""The benchmark of growth runs its stages, and tells linear from quadratic costs."""

import pytest

from experiments.benchmarks import growth


def test_growth_is_1_if_linear_and_10_if_quadratic():
    sizes = growth.SESSIONS
    linear = {n: growth.Cost(0.0, 3 + 0.01 * n, 0.0) for n in sizes}
    quadratic = {n: growth.Cost(0.0, 3 + 1e-6 * n**2, 0.0) for n in sizes}
    assert growth.growth_of(linear) == pytest.approx(1)
    assert growth.growth_of(quadratic) == pytest.approx(10)
    noise = dict(zip(sizes, (growth.Cost(0.0, s, 0.0) for s in (4.0, 3.9, 6.0)), strict=True))
    assert growth.growth_of(noise) == pytest.approx(2.1 / 18_000 / (0.2 / 1800))


def test_a_stage_is_measured(tmp_path):
    growth.write_corpus(tmp_path, 10)
    _, command = growth.STAGES[0]
    cost = growth.run_stage(command, tmp_path)
    assert (tmp_path / "manifest" / "sessions.parquet").is_file()
    assert cost.processor_s > 0
    assert cost.memory_mib > 20
    with pytest.raises(RuntimeError, match="status"):
        growth.run_stage("index missing_spec recordings --out other", tmp_path)
