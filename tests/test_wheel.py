"""The wheel runs every stage without a checkout, from simulation to queries."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into a new environment with the dependencies and without the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT],
        check=True,
        capture_output=True,
    )
    venv.create(folder / "environment", with_pip=True)
    python = folder / "environment" / "bin" / "python"
    (wheel,) = folder.glob("*.whl")
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel], check=True
    )
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    # a path in a .pth file makes packages importable but does not execute .pth files in it, so that
    # an editable installation of the checkout is not imported
    (Path(site) / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "environment"


@pytest.mark.slow
def test_wheel_runs_every_stage_without_a_checkout(environment, tmp_path):
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*arguments: object) -> str:
        done = subprocess.run(
            [environment / "bin" / "depmm", *map(str, arguments)],
            cwd=tmp_path,
            env=variables,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    python = environment / "bin" / "python"
    where = subprocess.run(
        [python, "-c", "import depmm; print(depmm.__file__)"],
        cwd=tmp_path,
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert str(environment) in where
    for command, folder in (("configs", "experiments/configs"), ("specs", "data_specs")):
        listed = {line.split()[0] for line in run(command).splitlines()}
        assert listed == {file.stem for file in (ROOT / folder).glob("*.yaml")}
    run("measures", "--help")
    assert "fusion:" in run("configs", "demo")
    run("simulate", "recordings", "--subjects", 24, "--steps", 12, "--workers", 2)
    run("index", "ewre_simulated", "recordings", "--out", "corpora/demo/manifest")
    run("audit", "corpora/demo/manifest", "--root", "recordings")
    run(
        *("extract", "corpora/demo/manifest", "recordings", "--out", "stores/demo"),
        *("--config", "demo", "--workers", 2),
    )
    run("train", "demo", "training.epochs=2", "data.workers=0", "evaluation.n_bootstrap=100")
    run("evaluate", "runs/demo")
    metrics = json.loads((tmp_path / "runs" / "demo" / "metrics.json").read_text())
    assert 0 <= metrics["metrics"]["auroc"]["value"] <= 1
    run("explain", "runs/demo", "--html")
    assert len(run("ask", "runs/demo", "words-by-label", "permutations=99").splitlines()) >= 3
    run("simulate", "avec", "--spec", "avec2014", "--subjects", 2)
    assert (tmp_path / "avec" / "truth.json").is_file()
