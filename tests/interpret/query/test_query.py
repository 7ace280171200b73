"""Questions to a run: named ones, SQL that can read its tables and nothing else, their forms."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from depmm.interpret.query.ask import QUESTIONS, ask, described, parse_options
from depmm.interpret.query.output import as_text, choose_format, write_answer
from depmm.interpret.query.sql import EXPLAINED, TRAINED, open_tables, sql

WORDS = ["grief", "joy", "table", "violence"]
VALENCES = ["negative", "positive", "neutral", "negative"]
FAST = {"permutations": 99}


def tables_of_a_run(seeds: int = 2) -> dict[str, pd.DataFrame]:
    """Twelve people, two seeds; ``grief`` is planted, p1 and p2 are on the wrong side."""
    rng = np.random.default_rng(0)
    attributions, branches, predictions = [], [], []
    for person in range(12):
        group, wrong = person % 2, person in (1, 2)
        effects = rng.normal(size=4) * 0.3 + np.array([2.0 * group, 0, 0, 0])
        if person == 1:
            effects[1] = -5.0  # joy speaks against depression, as for nobody else of group 1
        gender = "female" if person < 6 else "male"
        for seed in range(seeds):
            prob = 0.8 if group != wrong else 0.2 + 0.01 * person
            key = ("c", f"p{person}", f"p{person}_1", "test", 0, seed)
            predictions.append((*key, group, prob, gender))
            for name, gate in (("audio", 0.25), ("face", 0.75)):
                branches.append((*key, group, name, group - 0.5 + rng.normal() * 0.1, gate, True))
            for step, word in enumerate(WORDS):
                voice, face = effects[step] + rng.normal() * 0.01, rng.normal()
                row = (word, VALENCES[step], voice, voice, face, 0.5, 0.25 * (step == 0) * group)
                attributions.append((*key, group, prob, step, *row))
    key = ["corpus", "subject", "session", "split", "fold", "seed"]
    measures = ["occlusion", "occlusion_audio", "occlusion_face", "selected", "selected_face"]
    validation = [("c", f"v{k}", "1", "validation", 0, s, k, 0.3 + 0.4 * k, "male")
                  for k in (0, 1) for s in range(seeds)]  # fmt: skip
    return {
        "attributions": pd.DataFrame(
            attributions, columns=[*key, "label", "y_prob", "step", "word", "valence", *measures]
        ).astype({"label": "Int8"}),
        "branches": pd.DataFrame(
            branches, columns=[*key, "label", "branch", "logit", "gate", "present"]
        ).astype({"label": "Int8"}),
        "predictions": pd.DataFrame(
            predictions + validation, columns=[*key, "y_true", "y_prob", "gender"]
        ),
    }


def write_run(folder: Path, tables: dict[str, pd.DataFrame]) -> Path:
    folder.mkdir()
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet", index=False)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    # a name that DuckDB would read as a pattern, with a quotation mark
    folder = tmp_path_factory.mktemp("runs")
    (folder / "outside").mkdir()
    frame = pd.DataFrame({"a": [1]})
    frame.to_csv(folder / "outside" / "other.csv")
    frame.to_parquet(folder / "outside" / "other.parquet")
    write_run(folder / "it's a nest", {"attributions": frame})  # what the name would also match
    return write_run(folder / "it's a [run]*", tables_of_a_run())


@pytest.fixture
def untouched(run):
    """Nothing beside or in the run's folder changes while a test asks."""

    def state() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in run.parent.rglob("*") if path.is_file()}

    before = state()
    yield run
    assert state() == before


# ---- named questions ---------------------------------------------------------------------------


def test_words_by_label(run):
    answer = ask(run, "words-by-label", valence="negative", top="1", **FAST)
    assert answer["word"].tolist() == ["grief"]
    assert answer["n_positive"].item() == 6  # people, not seeds
    assert answer["q"].item() < 0.05
    whole = ask(run, "words-by-label", **FAST)
    assert sorted(whole["word"]) == WORDS
    assert whole["q"][0] == pytest.approx(answer["q"].item())  # of all words that were tested
    within = ask(run, "words-by-label", stratify_by="gender", **FAST)  # from the predictions
    assert "within gender" in within.attrs["title"]
    assert within["effect"][0] != pytest.approx(whole["effect"][0], rel=1e-3)
    rates = ask(run, "words-by-label", rank_by="selected_face", **FAST)
    assert rates["difference"][0] == pytest.approx(0.25)


def test_an_uneven_gender_is_said(run, tmp_path):
    assert ask(run, "words-by-label", **FAST).attrs["notes"] == []  # 3 women of 6 in each group
    tables = tables_of_a_run()
    people = tables["predictions"]
    tested = people["split"] == "test"
    people.loc[tested, "gender"] = people.loc[tested, "y_true"].map({1: "female", 0: "male"})
    other = people["subject"] == "p1"
    people.loc[other, "gender"] = "male"
    uneven = write_run(tmp_path / "uneven", tables)
    for question in ("words-by-label", "words-by-valence", "words-by-encoder", "gates"):
        assert ask(uneven, question).attrs["notes"] == [
            "5 of 6 people of group 1 and 0 of 6 of group 0 are female (Fisher's exact p = 0.015): "
            "a difference may only tell women from men; compare with stratify_by=gender"
        ]
        within = ask(uneven, question, stratify_by="gender").attrs["notes"]
        assert not any("Fisher" in note for note in within)
    with pytest.raises(ValueError, match="have the same gender"):
        ask(write_run(tmp_path / "apart", tables | {"predictions": people.assign(
            gender=np.where(people["y_true"] == 1, "female", "male"))}),
            "words-by-label", stratify_by="gender", **FAST)  # fmt: skip


def test_shapley_values_rank_where_they_are_known(run, tmp_path):
    assert "by occlusion" in ask(run, "words-by-label", **FAST).attrs["title"]
    tables = tables_of_a_run()
    steps = tables["attributions"]
    tables["attributions"] = steps.assign(shapley=steps["occlusion_face"])
    richer = write_run(tmp_path / "shapley", tables)
    for question in ("words-by-label", "words-by-valence", "stability"):
        assert "by shapley" in ask(richer, question).attrs["title"]
        usual, asked = ask(richer, question), ask(richer, question, rank_by="shapley")
        pd.testing.assert_frame_equal(usual, asked)
        assert not usual.equals(ask(richer, question, rank_by="occlusion"))


def test_places(run, tmp_path):
    with pytest.raises(ValueError, match=r"depmm explain .* --method grad_cam"):
        ask(run, "regions")
    tables = tables_of_a_run()
    steps = tables["attributions"].drop(columns=["occlusion", "selected"])
    rng = np.random.default_rng(0)
    mouth = np.clip(0.2 + 0.2 * steps["label"] + 0.05 * rng.normal(size=len(steps)), 0, 1)
    mouth[steps["step"] == 3] = np.nan
    places = pd.concat(
        [
            steps.assign(modality="face", region=place, share=share.astype(float), area=area)
            for place, share, area in (("mouth", mouth, 0.1), ("eyes", 1 - mouth, 0.9))
        ]
    )
    mapped = write_run(tmp_path / "mapped", tables | {"region_attributions": places})
    answer = ask(mapped, "regions", **FAST)
    assert answer["region"].tolist() == ["mouth", "eyes"]
    assert answer["even_map"].tolist() == pytest.approx([0.1, 0.9])
    assert answer["share"].tolist() == pytest.approx([mouth.mean(), 1 - mouth.mean()])
    assert answer["n_positive"].tolist() == [6, 6]  # people, not steps
    assert answer["effect"][0] > 1.5
    assert answer["effect"][0] == pytest.approx(-answer["effect"][1])
    assert answer.attrs["notes"] == [
        "24 of 96 maps of steps are left out: nothing in them speaks for depression"
    ]
    unknown = places.assign(label=pd.array([pd.NA] * len(places), "Int8"))
    scores = write_run(tmp_path / "scores", tables | {"region_attributions": unknown})
    assert "effect" not in ask(scores, "regions")
    silent = write_run(
        tmp_path / "silent", tables | {"region_attributions": places.assign(share=np.nan)}
    )
    with pytest.raises(ValueError, match="in none of 96 maps anything speaks for depression"):
        ask(silent, "regions")


def test_words_by_valence_and_encoder(run):
    valence = ask(run, "words-by-valence", **FAST).set_index("valence")["words"]
    assert valence.to_dict() == {"negative": 2, "neutral": 1, "positive": 1}
    encoder = ask(run, "words-by-encoder", **FAST)
    assert encoder["encoder"].tolist() == ["face"] * 4
    assert encoder["word"][0] == "grief"


def test_agreement_and_stability(run):
    agreement = ask(run, "agreement")
    assert agreement["over"].tolist() == ["words", "steps", "steps", "steps"]
    stable = ask(run, "stability")
    assert stable[["compared", "pairs"]].to_numpy().tolist() == [["same people", 1]]
    pairs = ask(run, "stability", pairs="yes")["spearman"].item()
    assert stable["spearman"].item() == pytest.approx(pairs)
    assert pairs > 0.9


def test_session_in_the_order_of_its_steps(run):
    answer = ask(run, "session", subject="p3")
    assert answer["word"].tolist() == WORDS
    assert answer["models"].tolist() == [2] * 4
    own = tables_of_a_run()["attributions"].query("subject == 'p3'")
    assert answer["occlusion"].tolist() == pytest.approx(
        own.groupby("step")["occlusion"].mean().tolist()
    )
    with pytest.raises(ValueError, match=r"subject 'p33' was not explained; there are 12, e.g. p3"):
        ask(run, "session", subject="p33")
    with pytest.raises(ValueError, match=r"session 'p3_2' of p3 was not explained; there are 1"):
        ask(run, "session", subject="p3", session="p3_2")


def test_a_name_in_two_corpora(tmp_path):
    table = tables_of_a_run(seeds=1)["attributions"]
    both = pd.concat([table, table.assign(corpus="d")])
    run = write_run(tmp_path / "run", {"attributions": both})
    with pytest.raises(ValueError, match="p3 is a person of c and of d: say which, corpus=c"):
        ask(run, "session", subject="p3")
    answer = ask(run, "session", subject="p3", corpus="d")
    assert answer["corpus"].tolist() == ["d"] * 4
    assert "models" not in answer


def test_gates(run, tmp_path):
    answer = ask(run, "gates").set_index("branch")
    assert answer["gate"].to_dict() == {"audio": 0.25, "face": 0.75}
    assert (answer["effect"] > 2).all()
    assert answer["n_positive"].tolist() == [6, 6]
    branches = tables_of_a_run()["branches"]
    scores = {"branches": branches.assign(label=pd.array([None] * len(branches), "Int8"))}
    answer = ask(write_run(tmp_path / "scores", scores), "gates")
    assert answer.columns.tolist() == ["branch", "gate", "sessions", "logit"]
    assert answer["sessions"].tolist() == [24, 24]


def test_misclassified(run):
    answer = ask(run, "misclassified", words=1)
    # p1 of group 1 at .21 and p2 of group 0 at .8, threshold .5 by the validation sessions
    assert answer["subject"].tolist() == ["p2", "p1"]
    assert answer["threshold"].tolist() == pytest.approx([0.5, 0.5])
    assert answer["wrong"].tolist() == [2, 2]
    first = answer.set_index("subject").loc["p1"]
    assert first["word"] == "joy"
    table = tables_of_a_run()["attributions"].query("word == 'joy' and label == 1")
    others = table[table["subject"] != "p1"].groupby("subject")["occlusion"].mean()
    assert first["others_of_group"] == pytest.approx(others.mean())
    assert len(ask(run, "misclassified", top=1, words=2)["subject"].unique()) == 1


def test_everybody_like_their_group(tmp_path):
    tables = tables_of_a_run()
    prob = tables["predictions"]["y_true"] * 0.8 + 0.1
    tables["predictions"] = tables["predictions"].assign(y_prob=prob)
    answer = ask(write_run(tmp_path / "run", tables), "misclassified")
    assert answer.empty
    assert answer.attrs["notes"] == ["every session is on the side of its own group"]


@pytest.mark.parametrize(
    ("question", "options", "message"),
    [
        ("words-by-lable", {}, r"'words-by-lable' is unknown. Did you mean 'words-by-label'\?"),
        ("words-by-label", {"tpo": 3}, r"words-by-label has no option 'tpo'. Did you mean 'top'\?"),
        ("words-by-label", {"top": "many"}, r"words-by-label: top=many: .* valid integer"),
        ("words-by-label", {"top": 0}, r"top=0: .*greater than 0"),
        ("words-by-label", {"valence": "sad"}, r"valence=sad: .*'negative', 'neutral'"),
        (
            "words-by-label",
            {"rank_by": "step"},
            r"rank_by=step: is not measured here. Known: occlusion",
        ),
        (
            "words-by-label",
            {"stratify_by": "gendr"},
            r"gendr: is no column. Did you mean 'gender'\?",
        ),
        ("session", {}, r"session needs a subject: depmm ask .* session SUBJECT"),
    ],
)
def test_wrong_questions(run, question, options, message):
    with pytest.raises(ValueError, match=message):
        ask(run, question, **options)


def test_options_of_a_command_line():
    assert parse_options("words-by-label", ["top=3", "rank_by=a=b"]) == {
        "top": "3",
        "rank_by": "a=b",
    }
    assert parse_options("session", ["S1", "corpus=c"]) == {"subject": "S1", "corpus": "c"}
    with pytest.raises(ValueError, match="words-by-label: '3' is no option: write KEY=VALUE"):
        parse_options("words-by-label", ["3"])
    with pytest.raises(ValueError, match="session: subject is given twice"):
        parse_options("session", ["S1", "subject=S2"])
    assert "session SUBJECT [session=]" in described()
    assert all(name in described() for name in QUESTIONS)


# ---- SQL ---------------------------------------------------------------------------------------


def test_sql_reads_the_tables(untouched):
    answer = sql(
        untouched,
        "WITH mean AS (SELECT word, avg(occlusion) AS x FROM attributions WHERE label = 1 "
        "GROUP BY word) SELECT word FROM mean JOIN branches ON true GROUP BY word, x "
        "ORDER BY x DESC; -- done",
    )
    assert answer["word"][0] == "grief"
    assert "notes" not in answer.attrs
    assert sql(untouched, "SHOW TABLES")["name"].tolist() == [
        "attributions", "branches", "predictions"
    ]  # fmt: skip
    assert len(sql(untouched, "DESCRIBE branches")) == 11
    assert len(sql(untouched, "SUMMARIZE predictions")) == 9
    cut = sql(untouched, "FROM attributions ORDER BY subject DESC", rows=5)
    assert len(cut) == 5
    assert cut["subject"].tolist() == ["p9"] * 5
    assert cut.attrs["notes"][0].startswith("cut after 5 rows: ")
    assert {*EXPLAINED, *TRAINED} >= {"attention", "attributions", "history"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT * FROM read_csv('/etc/passwd')", "reads the tables of the run alone: attrib"),
        ("COPY attributions TO '{out}/copy.csv'", "of kind COPY.* nothing was run"),
        ("CREATE TABLE t AS SELECT 1", "of kind CREATE"),
        ("INSERT INTO attributions VALUES (1)", "of kind INSERT"),
        ("SET enable_external_access = true", "of kind SET"),
        ("EXPLAIN ANALYZE SELECT 1", "of kind EXPLAIN"),
        ("SELECT 1; DROP VIEW attributions", "2 SQL statements: ask one SELECT"),
        ("  ", "0 SQL statements"),
        ("SELEC 1", "SQL: Parser Error.*Tables here: attributions, branches, predictions"),
        ("SELECT wrd FROM attributions", 'column "wrd" not found.*DESCRIBE TABLE_NAME'),
        ("SELECT * FROM gates", "Table with name gates does not exist.*Tables here"),
        ("SELECT count(*) FROM range(1000000000000)", r"took longer than 0.2 s: filter"),
        ("SELECT list(a) FROM range(1000000000) t(a)", "longer than|needs more than 2GB"),
    ],
)
def test_sql_that_is_refused(untouched, text, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        sql(untouched, text.format(out=untouched.parent / "outside"), seconds=0.2)


def test_the_connection_itself_is_locked(untouched):
    """Even if a statement were taken for a SELECT: DuckDB has nothing but the run's files."""
    import duckdb

    frame = pd.DataFrame({"a": [1]})
    own = str(untouched).replace("'", "''")
    refused = [
        "SELECT * FROM frame",  # a variable of Python
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM '{out}/other.csv'",
        "SELECT * FROM read_csv('{out}/other.csv')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_blob('/etc/passwd')",
        "SELECT * FROM read_json('{out}/other.csv')",
        "SELECT * FROM sniff_csv('{out}/other.csv')",
        "SELECT * FROM read_parquet('{out}/other.parquet')",
        "SELECT * FROM read_parquet('{out}/*.parquet')",
        "SELECT * FROM read_parquet('{run}/../outside/other.parquet')",
        "SELECT * FROM parquet_metadata('{out}/other.parquet')",
        "SELECT * FROM read_parquet('http://localhost:1/x.parquet')",
        "SELECT * FROM glob('{out}/*')",
        "SELECT * FROM query('SELECT * FROM read_text(''/etc/passwd'')')",
        "SELECT * FROM enable_logging(storage = 'file', storage_path = '{out}/log')",
        "SELECT * FROM enable_profiling(save_location = '{out}/p.json')",
        "COPY attributions TO '{out}/copy.csv'",
        "COPY attributions TO '{run}/attributions.parquet'",
        "EXPORT DATABASE '{out}/all'",
        "ATTACH '{out}/new.duckdb'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "LOAD '{out}/evil.so'",
        "CREATE PERSISTENT SECRET (TYPE s3)",
        "SET enable_external_access = true",
        "SET allowed_directories = ['/']",
        "SET temp_directory = '{out}'",
        "RESET lock_configuration",
        "PRAGMA enable_profiling = 'json'",
    ]
    with open_tables(untouched, ["attributions"]) as connection:
        for text in refused:
            with pytest.raises(duckdb.Error):
                connection.execute(
                    text.format(out=untouched.parent / "outside", run=own)
                ).fetchall()
        assert connection.execute("SELECT count(*) FROM attributions").fetchone() == (96,)
    assert len(frame) == 1


# ---- runs that cannot be asked -----------------------------------------------------------------


def test_what_is_missing_is_named(tmp_path, run):
    with pytest.raises(ValueError, match=r"attributions.parquet is not there: run depmm explain"):
        ask(tmp_path, "words-by-label")
    with pytest.raises(ValueError, match=r"holds no table: give the folder of a run"):
        sql(tmp_path, "SELECT 1")
    tables = tables_of_a_run(seeds=1)
    silent = write_run(
        tmp_path / "silent",
        {**tables, "attributions": tables["attributions"].assign(word=None, valence=None)},
    )
    for question in ("words-by-label", "words-by-valence", "agreement", "misclassified"):
        with pytest.raises(ValueError, match="no step has a word"):
            ask(silent, question)
    with pytest.raises(ValueError, match="one model alone is neither stable"):
        ask(write_run(tmp_path / "one", tables), "stability")
    (tmp_path / "one" / "predictions.parquet").unlink()
    with pytest.raises(ValueError, match=r"predictions.parquet is not there: train it to the end"):
        ask(tmp_path / "one", "misclassified")
    old = {"attributions": tables["attributions"].drop(columns="label")}
    with pytest.raises(ValueError, match=r'"label" not found.* Run depmm explain .* again'):
        ask(write_run(tmp_path / "old", old), "words-by-label")


@pytest.mark.parametrize("damage", ["cut", "empty", "footer", "page", "text"])
def test_a_corrupt_file_is_named(tmp_path, damage):
    table = tables_of_a_run()["attributions"]
    run = write_run(tmp_path / "run", {"attributions": pd.concat([table] * 50)})
    path = run / "attributions.parquet"
    good = path.read_bytes()
    footer = len(good) - 8 - int.from_bytes(good[-8:-4], "little")
    bad = {
        "cut": good[: len(good) // 2],
        "empty": b"",
        "footer": good[:footer] + bytes(60) + good[footer + 60 :],
        "page": good[:4] + b"\xff" * 2000 + good[2004:],
        "text": b"not a table",
    }[damage]
    path.write_bytes(bad)
    message = r"run/attributions.parquet cannot be read as Parquet \(.*run depmm explain .* again"
    with pytest.raises(ValueError, match=message):
        ask(run, "words-by-label")
    with pytest.raises(ValueError, match=message):
        sql(run, "SELECT * FROM attributions")
    assert path.read_bytes() == bad
    assert list(run.iterdir()) == [path]


# ---- forms -------------------------------------------------------------------------------------


def answer_with_intervals() -> pd.DataFrame:
    answer = pd.DataFrame(
        {
            "word": ["grief", "悲伤", "$x_", "a<b"],
            "valence": ["negative", None, "neutral", "neutral"],
            "effect": [1.5, np.inf, -0.5, 0.1],
            "low": [0.5, np.nan, -1.0, np.nan],
            "high": [2.5, np.nan, 0.1, np.nan],
            "q": [0.01, np.nan, 0.4, 0.9],
        }
    )
    answer.attrs["title"] = "a title"
    return answer


def test_answers_as_text():
    answer = answer_with_intervals()
    lines = as_text(answer, "table").splitlines()
    assert lines[0] == "a title"
    assert lines[2].split() == ["grief", "negative", "1.500", "0.500", "2.500", "0.010"]
    rows = as_text(answer, "csv").splitlines()
    assert rows[0] == "word,valence,effect,low,high,q"
    assert rows[2] == "悲伤,,inf,,,"
    records = json.loads(as_text(answer, "json"))
    assert records[0]["effect"] == 1.5
    assert records[1] == {
        "word": "悲伤", "valence": None, "effect": None, "low": None, "high": None, "q": None
    }  # fmt: skip


def test_answers_as_figure(tmp_path):
    answer = answer_with_intervals()
    assert write_answer(answer, "figure", tmp_path / "words.svg") == []
    text = (tmp_path / "words.svg").read_text()
    assert all(
        part in text for part in ("grief · negative", "悲伤", "$x_ ", "a&lt;b", "q &lt; .05")
    )
    assert text.index("grief") < text.index("a&lt;b")
    first = (tmp_path / "words.svg").read_bytes()
    write_answer(answer, "figure", tmp_path / "words.svg")
    assert (tmp_path / "words.svg").read_bytes() == first
    notes = write_answer(answer, "figure", tmp_path / "words.png")
    assert notes == ["the font of the figure lacks some letters: an .svg keeps them as text"]
    assert (tmp_path / "words.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="this question has no figure"):
        write_answer(answer.drop(columns="low"), "figure", tmp_path / "no.svg")
    with pytest.raises(ValueError, match="there is nothing to draw"):
        write_answer(answer.head(0), "figure", tmp_path / "no.svg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["words.png", "words.svg"]


def test_the_form_follows_the_file(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text("{}")
    assert choose_format(None, None, run) == "table"
    assert choose_format(None, tmp_path / "a.png", run) == "figure"
    assert choose_format("json", run / "new.json", run) == "json"
    for form, out, message in (
        ("figure", None, "a figure needs a file"),
        (None, "a.pdf", "the ending is none of .txt, .csv"),
        ("csv", "a.json", "is a json, --format says csv"),
        (None, "no/a.csv", "is no folder"),
        (None, "run/config.json", "is there, in the folder of the run"),
        (None, "run/../run/config.json", "is there, in the folder of the run"),
    ):
        with pytest.raises(ValueError, match=message):
            choose_format(form, tmp_path / out if out else None, run)
