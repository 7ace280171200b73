"""The documented keys of metrics.json are those that an evaluation writes."""

import pytest
from report_predictions import make_predictions

from depmm.evaluation.reports.report import write_report
from depmm.schemas.metrics_json import FIELDS, METRICS_JSON

OPAQUE = ("list", "object")
COVERAGE = {  # as of depmm.data.coverage.find_coverage
    "n_sessions": 2,
    "n_predicted": 1,
    "excluded": [{"reason": "not in the store", "n_sessions": 1, "sessions": ["c/p/1"]}],
    "failures": [
        {"session": "c/p/1", "stage": "audio", "file": "a.wav", "cause": "b", "remedy": ""}
    ],
    "used_signal": {
        "audio": {
            "unit": "s of sound",
            "total": 2.0,
            "used": 1.0,
            "left_out": {"outside of the steps": 1.0},
            "text": "the model reads 1.0 of 2.0 s of sound (50 %)",
        }
    },
}
FLOW = {  # as of depmm.data.data_flow.DataFlow
    "stages": [
        {
            "name": "labelled",
            "sessions": 2,
            "subjects": 2,
            "positive_sessions": 1,
            "lost": {"label is missing": 1},
        }
    ],
    "modalities": [{"modality": "audio", "label": 1, "sessions": 2, "missing": 1}],
    "not_indexed": {"failures": 1},
}
LEDGER = {  # as of depmm.runs.ledger.list_runs_on_manifest
    "searched": "runs",
    "unreadable": 0,
    "runs": [
        {
            "this": True,
            "name": "a",
            "started": "2026-01-01T00:00:00+00:00",
            "model": "dep_former, audio",
            "split": "official",
            "seeds": [0],
            "finished": True,
            "evaluated": False,
            "shared_test_subjects": 2,
            "metrics": {},
        }
    ],
}


PROBE = {  # as of depmm.interpret.probe.probe
    "schema_version": 2,
    "splits": ["test"],
    "nuisance": {
        "gender": {
            "protocol": "within", "classes": ["female", "male"], "sessions": 8, "subjects": 8,
            "models": 1, "balanced_accuracy": 0.75, "ci_low": 0.5, "ci_high": 0.9,
            "nonlinear": {"balanced_accuracy": 0.8, "ci_low": 0.6, "ci_high": 0.9},
            "confidence": 0.95, "chance": 0.5,
        }
    },
}  # fmt: skip


def leaves(value, path=()):
    """Yield the paths of all values of a JSON object, with [] for the items of lists."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for item in value:
            yield from leaves(item, (*path, "[]"))
    else:
        yield path, value


def documented_paths():
    """Yield the documented paths, with their key and whether the path is a subtree."""
    for key in METRICS_JSON:
        path = tuple(key.path.split("."))
        if key.type in FIELDS:
            for field in FIELDS[key.type]:
                yield (*path, field), key, False
        else:
            yield path, key, key.type in OPAQUE


def matches(pattern, path, subtree):
    if len(path) < len(pattern) or (len(path) > len(pattern) and not subtree):
        return False
    return all(p in ("*", name) for p, name in zip(pattern, path, strict=False))


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    table = make_predictions(subjects=60, folds=2, seeds=(0, 1))
    table["gate_std"] = 0.1 + 0.01 * table.index
    order = table.groupby(["corpus", "subject", "session"]).ngroup()
    table["task"] = order.map(lambda n: ("reading", "interview")[n // 2 % 2])
    table["valence"] = order.map(lambda n: ("positive", "negative")[n // 4 % 2])
    table["duration_s"] = 10.0 + order
    minimal = table[(table["split"] == "test") & (table["seed"] == 0)]
    minimal = minimal[["subject", "session", "y_true", "y_prob"]]
    return [
        write_report(
            predictions,
            folder,
            title="a",
            coverage=coverage,
            flow=flow,
            ledger=ledger,
            probe=probe,
            n_bootstrap=20,
            confidence=0.9,
        )
        for predictions, coverage, flow, ledger, probe in (
            (table, COVERAGE, FLOW, LEDGER, PROBE),
            (minimal, {"not_checked": "no manifest"}, None, None, None),
        )
    ]


def test_every_key_is_documented(contents):
    documented = list(documented_paths())
    for content in contents:
        for path, value in leaves(content):
            if value in (None, []) and any(
                len(p) > len(path) and matches(p[: len(path)], path, False)
                for p, _, _ in documented
            ):
                continue  # an object that is null, or a list without objects
            assert any(matches(p, path, subtree) for p, _, subtree in documented), path


def test_every_documented_key_occurs(contents):
    paths = [path for content in contents for path, _ in leaves(content)]
    for key in METRICS_JSON:
        patterns = [(p, subtree) for p, k, subtree in documented_paths() if k is key]
        assert any(matches(p, path, subtree) for p, subtree in patterns for path in paths), key.path
