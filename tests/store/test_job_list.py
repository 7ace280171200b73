"""Sessions of a manifest as jobs of an extraction."""

import json

from corpus_samples import make_small_manifest

from depmm.config import ExtractConfig, StreamConfig
from depmm.corpora.manifest import build_manifest
from depmm.schemas.manifest import SESSION_KEY, STEP_KEY
from depmm.store.job_list import list_jobs
from depmm.store.sessions import SessionStore


def test_the_cells_are_python_values_and_equal_texts_are_one(tmp_path):
    small = make_small_manifest()
    steps = small.steps.copy()
    steps["audio_track"] = [1 if row % 2 else None for row in range(len(steps))]
    features = steps[STEP_KEY].assign(
        name="mfcc", modality="audio", path="x.csv",
        reader=StreamConfig(name="mfcc", rate_hz=100.0).model_dump_json(),
    )  # fmt: skip
    manifest = build_manifest(small.sessions, steps, features)
    jobs = list_jobs(manifest, tmp_path, SessionStore(tmp_path, ExtractConfig()), None, False)
    for table, name in ((manifest.steps, "steps"), (manifest.features, "streams")):
        columns = list(getattr(jobs[0], name)[0])
        values = table[columns].astype(object)
        expected = values.where(values.notna(), None).assign(
            key=list(table[SESSION_KEY].itertuples(index=False, name=None))
        )
        for job in jobs:
            own = expected[expected["key"] == job.key].drop(columns="key").to_dict("records")
            assert json.dumps(getattr(job, name)) == json.dumps(own)
    streams = [stream for job in jobs for stream in job.streams]
    assert len(streams) == len(manifest.steps) > 1
    assert all(stream["reader"] is streams[0]["reader"] for stream in streams)
