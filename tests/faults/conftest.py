"""Undamaged inputs and a trained run for the fault suite."""

from collections.abc import Callable
from pathlib import Path

import pytest
from faults.flip_checks import CONFIG, SPEC, write_workspace
from faults.isolation import IsolatedProcess
from faults.media_samples import FORMATS, write_sample
from faults.oracle import Tally
from trained_runs import train_tiny


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write one undamaged recording per format."""
    folder = tmp_path_factory.mktemp("samples")
    for suffix in FORMATS:
        write_sample(folder / f"sample.{suffix}")
    return folder


@pytest.fixture(scope="session")
def trained_run(corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train the tiny experiment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCELERATE_USE_CPU", "true")
        return train_tiny(corpus, tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture
def report_tally(record_property) -> Callable[[Tally], None]:
    """Return a function that records the counts, and fails if an input is not handled.

    The end of the output of pytest has the counts (``pytest_terminal_summary``).
    """

    def report(tally: Tally) -> None:
        record_property("faults", (tally.kind, *tally.counts()))
        assert not tally.failures(), "\n".join(tally.failures())

    return report


@pytest.fixture
def try_cases(report_tally) -> Callable[..., None]:
    """Return a function that checks cases in another process and reports the counts."""

    def run(kind: str, check: Callable, cases: list) -> None:
        tally, process = Tally(kind), IsolatedProcess(check)
        try:
            for case in cases:
                tally.add(str(case), *process(case))
        finally:
            process.close()
        report_tally(tally)

    return run


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write recordings, manifest, store and runs, in a process of their own."""
    folder = tmp_path_factory.mktemp("workspace") / "data"
    process = IsolatedProcess(_write_workspace)
    fault, result = process(folder)
    process.close()
    assert not fault, fault
    return result


def _write_workspace(folder: Path) -> Path:
    return write_workspace(folder, SPEC, CONFIG)
