"""The command measures: tables for SPSS and R, the page, and what it refuses."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
from face_sequences import write_face_corpus
from html_page import HtmlPage
from recordings import extract_all, three_subjects

from depmm.corpora.manifest import read_manifest, write_manifest
from depmm.measures.face import FACE_MEASURES
from depmm.schemas.measures import EFFECTS, MEASURES

SPSS_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
RESERVED = {"all", "and", "by", "eq", "ge", "gt", "le", "lt", "ne", "not", "or", "to", "with",
            "if", "else", "for", "in", "next", "break", "repeat", "while", "function"}  # fmt: skip


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return write_face_corpus(tmp_path_factory.mktemp("faces"))


def test_tables_and_page(faces, tmp_path, depmm):
    manifest, store = faces
    out = tmp_path / "out"
    result = depmm("measures", manifest, store, "--out", out, "--workers", "1")
    assert result.code == 0, result.err
    n = len(FACE_MEASURES)
    long = pd.read_parquet(out / MEASURES.file)
    MEASURES.check(long)
    assert len(long) == 24 * n + 12 * 2 * n
    of_steps = long[long["step"].notna()]
    assert of_steps.groupby(["session", "step"]).size().eq(n).all()
    pd.testing.assert_frame_equal(
        pd.read_csv(out / "measures.csv", dtype={"unit": str, "step": "Int64"}),
        long,
        check_dtype=False,
        rtol=1e-12,
    )
    steps, sessions = pd.read_csv(out / "steps.csv"), pd.read_csv(out / "sessions.csv")
    assert (len(steps), len(sessions)) == (24, 12)
    assert steps["task"].tolist() == ["read", "talk"] * 12
    np.testing.assert_allclose(
        sessions["jaw_open_mean_mean"],
        steps.groupby("session", sort=False)["jaw_open_mean"].mean(),
    )
    assert sessions["label"].tolist() == sessions["target"].tolist()
    for table in (steps, sessions, long):
        for name in table.columns:
            assert SPSS_NAME.fullmatch(name)
            assert name.lower() not in RESERVED
    codebook = pd.read_csv(out / "codebook.csv")
    for file, table in (("steps.csv", steps), ("sessions.csv", sessions)):
        described = codebook.loc[codebook["file"] == file, "column"].tolist()
        assert table.columns.tolist()[-len(described) :] == described
    assert codebook[["unit", "description", "group"]].notna().all(axis=None)
    effects = pd.read_csv(out / EFFECTS.file)
    assert effects["stratum"].unique().tolist() == [
        "all", "gender = female", "gender = male", "task = read", "task = talk",
    ]  # fmt: skip
    jaw = effects[(effects["measure"] == "jaw_open_mean") & (effects["stratum"] == "all")].iloc[0]
    assert jaw["estimate"] > 5
    assert jaw["p_adjusted"] < 0.001
    assert (jaw["n_negative"], jaw["n_positive"], jaw["missing"]) == (6, 6, 0)
    page = (out / "measures.html").read_text()
    assert page.count('data-measure="jaw_open_mean"') == 1
    assert "<svg" in page
    assert "http" not in HtmlPage(page).text
    assert "blink_rate is missing" in result.out  # 10 frames per second
    again = tmp_path / "again"
    assert depmm("measures", manifest, store, "--out", again, "--workers", "1").code == 0
    for file in out.iterdir():
        assert file.read_bytes() == (again / file.name).read_bytes(), file.name


def test_a_score_instead_of_a_label(faces, tmp_path, depmm):
    manifest, store = shutil.copytree(faces[0], tmp_path / "m"), faces[1]
    (manifest / "SHA256SUMS").unlink(missing_ok=True)
    sessions = pd.read_parquet(manifest / "sessions.parquet")
    sessions["score"] = np.arange(12.0)
    sessions["instrument"] = "PHQ-8"
    sessions["label"] = pd.array([None] * 12, "Int64")
    sessions.to_parquet(manifest / "sessions.parquet", index=False)
    read_manifest(manifest)
    out = tmp_path / "out"
    result = depmm("measures", manifest, store, "--out", out, "--set", "face", "--workers", "1")
    assert result.code == 0, result.err
    effects = pd.read_csv(out / EFFECTS.file)
    assert set(effects["effect"]) == {"spearman"}
    assert effects["n"].max() == 12
    sessions["score"] = np.nan
    sessions.to_parquet(manifest / "sessions.parquet", index=False)
    result = depmm("measures", manifest, store, "--out", out, "--set", "face", "--workers", "1")
    assert result.code == 0, result.err
    assert not (out / EFFECTS.file).exists()
    assert "neither labels nor scores" in result.out
    assert len(pd.read_csv(out / "sessions.csv")) == 12


def test_sessions_that_are_not_in_the_store_are_counted(faces, tmp_path, depmm):
    store = shutil.copytree(faces[1], tmp_path / "store")
    shutil.rmtree(store / "c" / "p3")
    result = depmm("measures", faces[0], store, "--out", tmp_path / "o", "--workers", "1")
    assert result.code == 1
    assert "c/p3/s3" in result.err
    assert len(pd.read_csv(tmp_path / "o" / "sessions.csv")) == 11


@pytest.mark.parametrize(
    "options",
    [
        ("--set", "fase"),
        ("--set", "voice"),  # the store has no sound
        ("target.column=unknown",),
        ("extract.face.frames_per_second=25",),  # a store of other settings
        ("face.frames_per_second=25",),
        ("--config", "missing.yaml"),
    ],
)
def test_what_cannot_be_measured_is_an_error(faces, tmp_path, depmm, options):
    out = tmp_path / "out"
    result = depmm("measures", *faces, "--out", out, "--workers", "1", *options)
    assert result.code == 2, result.out
    assert result.err.startswith("error:")
    assert not out.exists()


def test_files_of_others_are_not_replaced(faces, tmp_path, depmm):
    manifest, store = faces
    labels = tmp_path / "labels"
    labels.mkdir()
    (labels / "sessions.csv").write_text("subject,label\n01,1\n")
    for out in (manifest, store, labels):
        result = depmm("measures", manifest, store, "--out", out, "--workers", "1")
        assert result.code == 2
        assert "Choose another folder" in result.err
    assert [file.name for file in labels.iterdir()] == ["sessions.csv"]


def test_aligned_faces_have_no_measures(tmp_path, depmm):
    manifest, root = three_subjects(tmp_path / "recordings")
    extract_all(manifest, root, tmp_path / "store")
    write_manifest(manifest, tmp_path / "manifest")
    result = depmm(
        "measures", tmp_path / "manifest", tmp_path / "store", "--out", tmp_path / "out",
        "--set", "face", "--workers", "1",
    )  # fmt: skip
    assert result.code == 2
    assert "aligned" in result.err
