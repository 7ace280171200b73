"""60 mutated data specs and configs: index, and training of one epoch."""

import shutil
import tempfile
from pathlib import Path

import pytest
from faults.isolation import call
from faults.oracle import Verdict, is_explained, traceback_in
from faults.settings_mutations import (
    CONFIG,
    N_SETTINGS,
    VALUES,
    SettingsCase,
    mutate_settings,
    settings_cases,
)
from faults.table_checks import compare, run_pipeline
from faults.table_samples import spec_text, write_corpus


class SettingsCheck:
    """Use a mutated spec to index a corpus, or a mutated config to train.

    Parameters
    ----------
    manifest, store : Path
        Data of the config.
    """

    def __init__(self, manifest: Path, store: Path) -> None:
        self.manifest, self.store = manifest, store

    def __call__(self, case: SettingsCase) -> Verdict:
        folder = Path(tempfile.mkdtemp())
        try:
            check = self._index if case.file == "spec.yaml" else self._train
            return check(case, folder)
        finally:
            shutil.rmtree(folder)

    def _index(self, case: SettingsCase, folder: Path) -> Verdict:
        write_corpus(folder / "good" / "rec")
        reference = run_pipeline(folder / "good", spec_text("labels.csv"))
        write_corpus(folder / "tried" / "rec")
        text = mutate_settings(case, spec_text("labels.csv"))
        result = run_pipeline(folder / "tried", text)
        if (trace := traceback_in(result.outputs.values())) is not None:
            return Verdict(str(case), "traceback", trace)
        if escaped := _escaped(folder, {"good", "tried"}):
            return Verdict(str(case), "silent", f"{escaped} was written")
        if result.outputs["index"].code == 2:
            return _judge_message(case, result.texts, [str(folder / "tried" / "spec.yaml")])
        if not compare(result, reference) or is_explained(result.texts, ["spec", *_names(case)]):
            return Verdict(str(case), "handled")
        return Verdict(str(case), "silent", "; ".join(compare(result, reference)[:3]))

    def _train(self, case: SettingsCase, folder: Path) -> Verdict:
        out = folder / "runs"
        text = CONFIG.format(manifest=self.manifest, store=self.store, out=out)
        path = folder / "config.yaml"
        path.write_text(mutate_settings(case, text), encoding="utf-8")
        output = call("train", path)
        if (trace := traceback_in([output])) is not None:
            return Verdict(str(case), "traceback", trace)
        if escaped := _escaped(folder, {"runs", "config.yaml"}):
            return Verdict(str(case), "silent", f"{escaped} was written")
        if output.code == 0:
            return Verdict(str(case), "silent", "the config was used")
        return _judge_message(case, output.text, [str(path)])


def _names(case: SettingsCase) -> list[str]:
    """Return the key that a change of a value makes unusable."""
    keys = {name for name, _ in VALUES[case.file]}
    return [case.kind.partition(":")[0]] if case.kind in keys else []


def _judge_message(case: SettingsCase, text: str, files: list[str]) -> Verdict:
    if is_explained(text, [*files, *_names(case)]):
        return Verdict(str(case), "handled")
    return Verdict(str(case), "silent", text[-300:])


def _escaped(folder: Path, known: set[str]) -> str | None:
    """Return a file that was written beside the folders of the case."""
    others = [path.name for path in folder.iterdir() if path.name not in known]
    others += [name for name in ("outside",) if (folder.parent / name).exists()]
    return others[0] if others else None


@pytest.mark.slow
def test_mutated_specs_and_configs_are_refused(corpus, try_cases):
    cases = settings_cases()
    assert len(cases) == N_SETTINGS
    try_cases("specs and configs", SettingsCheck(corpus.folder, corpus.store), cases)
