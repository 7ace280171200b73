"""The command line and the scripts beside it: the whole way, exit codes, messages for a person."""

import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from depmm.corpora.manifest import read_manifest, write_manifest

ROOT = Path(__file__).parents[2]
AUDIO = [
    "data.modalities=[audio]",
    "model.encoders.face=null",
    "model.fusion={kind: mean_pool}",
    "training.epochs=1",
]


@pytest.fixture
def cross_validate(monkeypatch, capsys):
    """Run experiments/cross_validate.py in this process; returns what it printed."""

    def call(*arguments: object) -> str:
        path = ROOT / "experiments" / "cross_validate.py"
        monkeypatch.setattr(sys, "argv", [str(path), *map(str, arguments)])
        capsys.readouterr()
        runpy.run_path(str(path), run_name="__main__")
        return capsys.readouterr().out

    return call


def explained(folder: Path) -> Path:
    """What ``depmm explain`` would leave of 6 people and 3 words."""
    folder.mkdir()
    words = (("joy", 1.0), ("grief", 0.1), ("table", 0.0))
    rows = [
        ("c", f"p{person}", "1", "test", 0, 0, person % 2, step, word, "neutral",
         person / 9 + person % 2 * effect, 0.5)
        for person in range(6)
        for step, (word, effect) in enumerate(words)
    ]  # fmt: skip
    names = "corpus subject session split fold seed label step word valence occlusion selected"
    pd.DataFrame(rows, columns=names.split()).to_parquet(folder / "attributions.parquet")
    return folder


def test_from_recordings_to_words(corpus, tmp_path, monkeypatch, depmm):
    monkeypatch.chdir(tmp_path)
    done = depmm("index", corpus.spec, corpus.recordings, "--out", "manifest")
    assert done.code == 0, done.err
    assert json.loads(Path("manifest/index.json").read_text())["counts"]["sessions"] == 12
    done = depmm("audit", "manifest")
    assert done.code == 0, done.err
    assert "gender_shortcut" in done.out
    assert done.out.startswith("PASS")
    assert json.loads(Path("manifest/audit.json").read_text())["passed"]
    assert "gender_shortcut" in Path("manifest/audit.html").read_text()
    done = depmm(
        "extract", "manifest", corpus.recordings, "face.frames_per_second=4.0", "--out", "store",
        "--workers", "1",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "store: 12 sessions extracted" in done.out
    data = ["data.manifest=manifest", "data.store=store", "extract.face.frames_per_second=4.0"]
    done = depmm("train", corpus.config, *data, "training.epochs=1", "out=runs")
    assert done.code == 0, done.err
    assert "epoch   1/1" in done.out
    done = depmm("evaluate", "runs/tiny")
    assert done.code == 0, done.err
    assert "balanced_accuracy" in done.out
    assert "baseline" in done.out
    assert json.loads(Path("runs/tiny/metrics.json").read_text())["metrics"]["auroc"]
    page = Path("runs/tiny/report.html").read_text()
    assert "gender_shortcut" in page
    assert "12 of the 12 sessions of the manifest have a prediction. No session is excl" in page
    card = Path("runs/tiny/README.md").read_text()
    assert 'DepressionModel.from_pretrained("path/to/this/folder")' in card
    methods = ("--method", "integrated_gradients", "--method", "grad_cam")
    done = depmm("explain", "runs/tiny", "--html", *methods)
    assert done.code == 0, done.err
    # 4 people, 3 encoders, 2 heads; 4 steps in the first stack and 2 in the second
    rows = {"attention": 4 * 3 * 2 * 6, "attributions": 16, "branches": 16, "modalities": 8}
    rows["faithfulness"] = 4 * (3 + 40)  # two that are always there, one asked for; random orders
    rows["region_attributions"] = 4 * 4 * 3  # thirds of the faces, which came aligned
    assert done.out.splitlines() == [
        *(f"runs/tiny/{name}.parquet: {n} rows of test sessions" for name, n in rows.items()),
        "runs/tiny/explorer.html: contains subject ids; handle it like the recordings",
    ]
    explorer = Path("runs/tiny/explorer.html").read_text()
    assert "explanation of the predictions" in explorer
    assert "Faithfulness of the methods" in explorer
    for name, count in rows.items():
        table = pd.read_parquet(f"runs/tiny/{name}.parquet")
        assert len(table) == count
        assert (table["split"] == "test").all()
    done = depmm(
        "ask", "runs/tiny", "words-by-label", "rank_by=selected", "top=2", "permutations=99"
    )
    assert done.code == 0, done.err
    assert len(done.out.splitlines()) == 1 + 1 + 2  # what it is, header, words


def test_cross_validation_goes_on_and_pools(corpus, tmp_path, cross_validate, depmm):
    settings = [
        *(corpus.config, "--seeds", "0,1", f"out={tmp_path}"),
        *("split={kind: k_fold, folds: 2, validation: 0.4}", *AUDIO),
    ]
    cross_validate(*settings)
    whole = tmp_path / "tiny"
    before = pd.read_parquet(whole / "predictions.parquet")
    tested = before[before["split"] == "test"]
    assert tested.groupby("seed")["session"].nunique().tolist() == [12, 12]
    assert not tested.duplicated(["seed", "session"]).any()
    assert set(before["fold"]) == {0, 1}
    assert len(pd.read_parquet(whole / "history.parquet")) == 4

    shutil.rmtree(whole / "seed-0-fold-1")
    kept = [whole / f"seed-{seed}-fold-0" / "model.safetensors" for seed in (0, 1)]
    times = [path.stat().st_mtime_ns for path in kept]
    said = cross_validate(*settings)
    assert said.count("already finished") == 3
    assert [path.stat().st_mtime_ns for path in kept] == times
    again = pd.read_parquet(whole / "predictions.parquet")
    pd.testing.assert_frame_equal(again, before, atol=1e-5)  # one was trained again
    assert depmm("evaluate", whole).code == 0
    (whole / "attention.parquet").write_text("of an older model")
    lines = depmm("explain", whole).out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        f"{whole}/attributions.parquet",
        f"{whole}/modalities.parquet",
        *(f"no {name}.parquet" for name in ("attention", "branches", "faithfulness")),
        "no region_attributions.parquet",
    ]
    assert "96 rows" in lines[0]
    assert "24 rows" in lines[1]
    assert not (whole / "attention.parquet").exists()
    told = pd.read_parquet(whole / "attributions.parquet")
    told = told.drop_duplicates(["seed", "fold", "session"])[["seed", "fold", "session", "y_prob"]]
    both = told.merge(tested, on=["seed", "fold", "session"], validate="1:1")
    assert len(both) == 24
    assert both["y_prob_x"].tolist() == pytest.approx(both["y_prob_y"].tolist(), abs=1e-5)
    with pytest.raises(SystemExit, match=r"error: .*holds a run of another config"):
        cross_validate(*settings, "training.epochs=2")


def test_folds_are_written_and_used_again(corpus, tmp_path, cross_validate, depmm):
    out = tmp_path / "folds.csv"
    done = depmm("split", corpus.folder, "folds=2", "repeats=2", "validation=0.4", "--out", out)
    assert done.code == 0, done.err
    assert done.out.startswith(f"{out}: 12 subjects, 4 folds. ")
    rows = out.read_text().splitlines()
    assert rows[0] == "corpus,subject,fold,split"
    assert len(rows) == 1 + 4 * 12
    cross_validate(corpus.config, f"split={{kind: file, file: {out}}}", f"out={tmp_path}", *AUDIO)
    tested = pd.read_parquet(tmp_path / "tiny" / "predictions.parquet").query("split == 'test'")
    assert tested["subject"].value_counts().tolist() == [2] * 12
    theirs = pd.read_csv(out).query("split == 'test'").sort_values(["fold", "subject"])
    assert tested.sort_values(["fold", "subject"])["subject"].tolist() == theirs["subject"].tolist()
    assert depmm("evaluate", tmp_path / "tiny").code == 0
    content = json.loads((tmp_path / "tiny" / "metrics.json").read_text())
    assert (content["repeats"], content["counts"]["test"]["subjects"]) == (2, 12)
    # the config's own design, of its own labels
    config = tmp_path / "own.yaml"
    config.write_text(
        f"base: {corpus.config}\nsplit: {{kind: leave_one_subject_out}}\n"
        "target: {column: gender, positive: [female], negative: [male]}\n"
    )
    done = depmm("split", corpus.folder, "--config", config, "--out", out)
    assert f"{out}: 12 subjects, 12 folds" in done.out
    done = depmm("split", corpus.folder, "kind=kfold", "--out", out)
    assert (done.code, "'k_fold'" in done.err) == (2, True)


def test_predictions_of_others_are_evaluated(tmp_path, depmm):
    rows = [
        ("c", f"0{person}", "1", split, 0, 0, person % 2, 0.4 + 0.2 * (person % 2))
        for split, people in (("train", range(4)), ("validation", (4, 5)), ("test", range(6, 10)))
        for person in people
    ]
    names = ["corpus", "subject", "session", "split", "fold", "seed", "y_true", "y_prob"]
    table = pd.DataFrame(rows, columns=names)
    table.loc[1, "subject"] = "1"  # not the person 01
    table.to_csv(tmp_path / "theirs.csv", index=False)
    done = depmm("evaluate", tmp_path / "theirs.csv", "--out", tmp_path / "report")
    assert done.code == 0, done.err
    assert "auroc              1.000" in done.out
    assert (tmp_path / "report" / "report.html").is_file()
    table.drop(columns="subject").to_csv(tmp_path / "theirs.csv", index=False)
    done = depmm("evaluate", tmp_path / "theirs.csv")
    assert (done.code, "column 'subject' is missing" in done.err) == (2, True)


def test_runs_are_compared_or_refused_with_a_message(tmp_path, depmm):
    paths = []
    for number, wrong in enumerate((0.9, 0.2)):
        people = range(12)
        table = pd.DataFrame(
            {
                "subject": [f"0{person}" for person in people],
                "session": "1",
                "y_true": [person % 2 for person in people],
                "y_prob": [person % 2 * 0.8 + 0.1 if person else wrong for person in people],
            }
        )
        paths.append(tmp_path / f"run_{number}.csv")
        table.to_csv(paths[-1], index=False)
    done = depmm("evaluate", *paths, "--out", tmp_path / "both")
    assert done.code == 0, done.err
    assert "balanced_accuracy  run_0 minus run_1: -0.083 [" in done.out
    names = sorted(path.name for path in (tmp_path / "both").iterdir())
    assert names == ["metrics.json", "report.html", "tables.md", "tables.tex"]
    done = depmm("evaluate", *paths)
    assert (done.code, "--out" in done.err) == (2, True)
    done = depmm("evaluate", paths[0], paths[0], "--out", tmp_path)
    assert (done.code, "is given twice" in done.err) == (2, True)
    table.iloc[1:].to_csv(paths[0], index=False)
    done = depmm("evaluate", *paths, "--out", tmp_path / "other")
    said = "session(s) unnamed/00/1 tested in run_1, seed 0 but not in run_0"
    assert (done.code, said in done.err) == (2, True)
    assert not (tmp_path / "other").exists()


def test_doctor(depmm, monkeypatch, tmp_path):
    model = tmp_path / "face_landmarker.task"
    monkeypatch.setenv("DEPMM_FACE_LANDMARKER", str(model))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    done = depmm("doctor")
    assert done.code == 0
    rows = [line.split()[:3] for line in done.out.splitlines()]
    assert rows[1] == ["status", "component", "needed"]
    assert ["ok", "torch", "train,"] in rows
    assert ["note", "face", "model"] in rows
    model.write_bytes(b"")
    assert str(model) in depmm("doctor").out
    monkeypatch.setitem(sys.modules, "soundfile", None)
    done = depmm("doctor")
    assert done.code == 1
    assert ["missing", "soundfile"] in [line.split()[:2] for line in done.out.splitlines()]
    assert "pip install soundfile" in done.out


def test_configs_and_specs_are_listed_and_printed(depmm):
    names = [line.split()[0] for line in depmm("configs").out.splitlines()]
    assert names == sorted(path.stem for path in (ROOT / "experiments" / "configs").glob("*.yaml"))
    text = depmm("configs", "demo").out
    assert text == (ROOT / "experiments" / "configs" / "demo.yaml").read_text()
    names = [line.split()[0] for line in depmm("specs").out.splitlines()]
    assert names == sorted(path.stem for path in (ROOT / "data_specs").glob("*.yaml"))
    assert depmm("specs", "avec2014").out == (ROOT / "data_specs" / "avec2014.yaml").read_text()
    for command, name, meant in (("configs", "dem", "demo"), ("specs", "daic_wos", "daic_woz")):
        done = depmm(command, name)
        assert (done.code, meant in done.err) == (2, True)


def test_cross_validation_is_a_command(corpus, tmp_path, depmm):
    split = "split={kind: k_fold, folds: 2, validation: 0.4}"
    done = depmm(
        "cross-validate", corpus.config, "--seeds", "0,1", f"out={tmp_path}", split, *AUDIO
    )
    assert done.code == 0, done.err
    predictions = pd.read_parquet(tmp_path / "tiny" / "predictions.parquet")
    tested = predictions[predictions["split"] == "test"]
    assert tested.groupby("seed")["session"].nunique().tolist() == [12, 12]
    assert depmm("cross-validate", corpus.config, "--seeds", "0,x").code == 2


def test_the_program_itself():
    """As a process of its own: no traceback, the message on stderr."""
    program = Path(sys.executable).with_name("depmm")
    command = [program, "simulate", "nowhere", "--subjects", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: subjects is 1.")
    assert "Traceback" not in done.stderr


def test_audit_errors_and_failed_recordings_exit_1(corpus, tmp_path, depmm):
    manifest = read_manifest(corpus.folder)
    manifest.steps.loc[manifest.steps["subject"] == "S001", ["audio", "face"]] = "videos/no.mp4"
    manifest.sessions.loc[0, "label"] = 0  # with a score of 34
    write_manifest(manifest, tmp_path / "manifest")
    done = depmm("audit", tmp_path / "manifest")
    assert done.code == 1
    assert done.out.startswith("FAIL")
    assert "error    label_score_mismatch: 1 of 12 labels contradict the score" in done.out
    assert "Derive the labels from the scores" in done.out
    store = tmp_path / "store"
    shutil.copytree(corpus.store, store)
    extract = ["extract", tmp_path / "manifest", corpus.recordings, "--out", store]
    done = depmm(*extract, "--workers", "1")
    assert done.code == 1
    assert f"{store}: 0 sessions extracted, 11 extracted before, 1 lost; 2 failures" in done.out
    assert "S001/S001_1 audio: videos/no.mp4: file does not exist." in done.out
    assert f"{store}/failures.parquet" in done.err


def test_interrupt_says_how_to_go_on(depmm, corpus, monkeypatch):
    from depmm.audit import audit_folders

    def interrupted(folder):
        raise KeyboardInterrupt

    monkeypatch.setattr(audit_folders, "read_manifest", interrupted)
    done = depmm("audit", corpus.folder)
    assert done.code == 130
    assert "same command" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("index {spec} {tmp}/nowhere --out {tmp}/m", "nowhere: no such folder"),
        ("index {tmp}/no.yaml {recordings} --out {tmp}/m", "no.yaml"),
        ("extract {manifest} {tmp}/nowhere --out {tmp}/s", "nowhere: not a folder"),
        ("extract {manifest} {recordings} face.fps=9 --out {tmp}/s", "face.fps: unknown setting"),
        ("train {config} training.epoch=9", "Did you mean 'epochs'"),
        ("train {tmp}/no.yaml", "no.yaml"),
        ("train {config} data.manifest={tmp}/evil", "'../x' is not a safe id"),
        ("train {config} data.manifest={tmp}/short", "column 'gender' is missing"),
        ("train {config} target.column=mood", "no column 'mood'"),
        ("evaluate {tmp}", "holds no predictions.parquet"),
        ("evaluate {tmp}/no.csv", "no.csv does not exist"),
        ("explain {tmp}", "holds no trained network"),
        ("ask {tmp} words-by-label", "Run depmm explain {tmp} first"),
        ("ask {tmp}/explained words-by-lable", "is unknown. Did you mean 'words-by-label'?"),
        ("ask {tmp}/explained words-by-label rank_by=weight", "Known: occlusion, selected"),
        ("ask {tmp}/explained words-by-label --format figure", "--out words.svg"),
        ("ask {tmp}/explained session p7", "subject 'p7' was not explained"),
        ("ask {tmp}/explained gates --sql x", "--sql"),
        ("simulate {recordings} --subjects 1", "Use at least 2"),
        ("simulate {tmp}/new --confound gender=0.9", "--confound"),
        ("simulate {tmp}/new --spec {spec} --confound gender", "not in the form NAME=VALUE"),
        ("simulate {tmp}/new --spec {spec} --words x.csv", "--words"),
        ("simulate {tmp} --spec {spec}", "Give a new or empty folder"),
        ("ask {tmp}/explained", "words-by-label"),
    ],
)
def test_mistakes_are_messages(corpus, tmp_path, depmm, arguments, message):
    explained(tmp_path / "explained")
    for name, change in (
        ("evil", lambda table: table.replace("S001", "../x")),
        ("short", lambda table: table.drop(columns="gender")),
    ):
        (tmp_path / name).mkdir()
        shutil.copy(corpus.folder / "steps.parquet", tmp_path / name)
        change(corpus.manifest.sessions).to_parquet(tmp_path / name / "sessions.parquet")
    places = {
        **{"tmp": tmp_path, "spec": corpus.spec, "recordings": corpus.recordings},
        **{"manifest": corpus.folder, "config": corpus.config},
    }
    done = depmm(*(word.format(**places) for word in arguments.split()))
    assert done.code == 2
    assert message.format(**places) in done.err
    assert "Traceback" not in done.err


def test_a_layout_is_simulated_and_indexed(tmp_path, depmm):
    spec = ROOT / "data_specs" / "eatd.yaml"
    done = depmm(
        "simulate", tmp_path / "c", "--spec", spec, "--subjects", "4", "--steps", "1",
        "--workers", "1", "--confound", "gender=1", "--confound", "label_noise=0.5",
    )  # fmt: skip
    assert done.code == 0, done.err
    first, gender, noise = done.out.splitlines()
    assert "4 subjects, 4 sessions in the layout of eatd, effect 1.0" in first
    assert gender.endswith("2 depressed female, 2 healthy male")
    assert noise.endswith("2 affected")
    done = depmm("index", spec, tmp_path / "c", "--out", tmp_path / "m")
    assert done.code == 0, done.out


def test_questions_are_answered(tmp_path, depmm):
    run = explained(tmp_path / "run")
    done = depmm("ask", run, "words-by-label", "top=1", "permutations=99")
    assert done.code == 0
    assert done.out.splitlines()[-1].split()[:2] == ["joy", "neutral"]
    done = depmm("ask", run, "session", "p1", "--format", "csv")
    assert [line.split(",")[5] for line in done.out.splitlines()] == [
        "word",
        "joy",
        "grief",
        "table",
    ]
    done = depmm("ask", run, "words-by-label", "permutations=99", "--out", tmp_path / "words.svg")
    assert done.out == f"{tmp_path}/words.svg: 3 rows\n"
    assert "joy" in (tmp_path / "words.svg").read_text()
    done = depmm(
        "ask",
        run,
        "--sql",
        "SELECT word, count(*) AS n FROM attributions GROUP BY word ORDER BY word",
    )
    assert done.out.split() == ["word", "n", "grief", "6", "joy", "6", "table", "6"]
    help_text = depmm("ask", "--help").out
    from depmm.interpret.query.ask import QUESTIONS

    assert all(name in help_text for name in QUESTIONS)
