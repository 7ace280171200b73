"""Sessions without a prediction, by reason."""

import pandas as pd

from depmm.config import load_config
from depmm.data.coverage import find_coverage
from depmm.store.index import read_failures, read_index
from depmm.store.sessions import SessionStore


def test_sessions_without_a_prediction_are_listed_by_reason(corpus, tmp_path):
    config = load_config(corpus.config, [f"data.manifest={tmp_path}", f"data.store={tmp_path}/s"])
    sessions = corpus.manifest.sessions.copy()
    sessions.loc[0, ["label", "score"]] = None
    sessions.to_parquet(tmp_path / "sessions.parquet")
    corpus.manifest.steps.to_parquet(tmp_path / "steps.parquet")
    keys = sessions[["corpus", "subject", "session"]]
    store = SessionStore(corpus.store, config.extract)
    (tmp_path / "s").mkdir()
    index = pd.read_parquet(corpus.store / "index.parquet")
    index[~index["subject"].isin(keys["subject"][1:3])].to_parquet(tmp_path / "s" / "index.parquet")
    assert len(read_index(store)) == 12
    assert read_failures(store).empty
    failures = pd.DataFrame(
        [{**keys.loc[1], "stage": "audio", "file": "a.mp4", "cause": "broken", "remedy": ""}]
    )
    other = failures.assign(subject="of another manifest")
    pd.concat([failures, other]).to_parquet(tmp_path / "s" / "failures.parquet")
    coverage = find_coverage(config, keys[4:])
    assert (coverage["n_sessions"], coverage["n_predicted"]) == (12, 8)
    names = ["/".join(key) for key in keys.to_numpy()]
    assert [(entry["reason"], entry["sessions"]) for entry in coverage["excluded"]] == [
        ("label is missing", [names[0]]),
        ("not in the store: extraction failed", [names[1]]),
        ("not in the store", [names[2]]),
        (
            "in the store without a prediction: without the modalities or the steps of "
            "data.steps, or extracted after training",
            [names[3]],
        ),
    ]
    assert coverage["failures"] == [
        {"session": names[1], "stage": "audio", "file": "a.mp4", "cause": "broken", "remedy": ""}
    ]
    (tmp_path / "steps.parquet").unlink()
    assert "steps.parquet: no such file" in find_coverage(config, keys)["not_checked"]
