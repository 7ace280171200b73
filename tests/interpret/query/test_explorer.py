"""The explorer: its numbers, and a browser that clicks through it."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from browser import BROWSER, browse
from nearly import nearly
from scipy.stats import bootstrap

from depmm.interpret.query import explorer
from depmm.interpret.query.explorer import explorer_content, explorer_page, write_explorer
from depmm.interpret.query.word_effects import words_by_label

EVIL = "</script><script>alert(1)</script>"
WORDS = {EVIL: "negative", "joy": "positive", "table": "neutral"}
MEASURES = ["occlusion", "occlusion_audio", "occlusion_face"]
FEW = {"draws": 200, "permutations": 99}


def attributions(persons=12, seeds=1, words=tuple(WORDS), measures=(*MEASURES, "selected_face")):
    """Persons of two groups read each word once a seed, the first person each word twice."""
    rng = np.random.default_rng(0)
    rows = []
    for person in range(persons):
        for seed in range(seeds):
            read = [*words, *words] if person == 0 else list(words)
            for step, word in enumerate(read):
                effect = person % 2 * (word == words[0]) * 2
                values = np.append(effect + rng.normal(size=3), rng.integers(5) / 4)
                key = ("c", f"p{person:02}", f"p{person:02}<b>s</b>", "test", 0, seed, person % 2)
                rows.append((*key, (person + 1) / 16, step, word, WORDS.get(word), *values))
    names = ["corpus", "subject", "session", "split", "fold", "seed", "label", "y_prob", "step"]
    table = pd.DataFrame(rows, columns=[*names, "word", "valence", *MEASURES, "selected_face"])
    missing = [name for name in (*MEASURES, "selected_face") if name not in measures]
    return table.astype({"label": "Int8"}).drop(columns=missing)


def branches(steps):
    sessions = steps[["corpus", "subject", "session", "split", "fold", "seed"]].drop_duplicates()
    return pd.concat(
        [
            sessions.assign(branch="multimodal", logit=1.5, gate=0.8, present=True),
            sessions.assign(branch="face", logit=np.nan, gate=0.3, present=False),
        ]
    )


def regions(steps):
    """The mouth in group 1, the eyes in group 0."""
    rows = []
    for place, sign, area in (("mouth", 1, 0.1), ("eyes", -1, 0.9)):
        share = 0.5 + sign * (
            0.2 * (steps["label"].astype(float) - 0.5) + 0.02 * steps["occlusion"]
        )
        rows.append(steps.assign(modality="face", region=place, share=share, area=area))
    columns = ["corpus", "subject", "session", "split", "fold", "seed", "label", "step"]
    return pd.concat(rows)[[*columns, "modality", "region", "share", "area"]]


def predictions(steps):
    """Women are of group 1, but one."""
    people = steps[["corpus", "subject", "session", "label"]].drop_duplicates("session")
    women = (people["label"] == 1) & (people["subject"] != "p01")
    return people.assign(gender=women.map({True: "female", False: "male"})).drop(columns="label")


def row_of(content, measure, word):
    number = [entry["word"] for entry in content["words"]].index(word)
    return next(row for row in content["statistics"][measure] if row["word"] == number)


# ---- numbers -----------------------------------------------------------------------------------


def test_a_person_counts_once_in_a_mean():
    steps = attributions(seeds=2)
    content = explorer_content(steps, **FEW)
    row = row_of(content, "occlusion", "joy")
    joy = steps[(steps["word"] == "joy") & (steps["label"] == 0)]
    people = joy.groupby("subject")["occlusion"].mean()
    target, comparison = row["groups"]
    assert [target["label"], comparison["label"]] == [1, 0]
    assert comparison["mean"] == pytest.approx(people.mean(), rel=1e-3)
    assert comparison["persons"] == 6
    assert comparison["mean"] != pytest.approx(joy["occlusion"].mean(), rel=1e-3)


def test_intervals_are_those_of_scipy():
    steps = attributions(persons=40)
    row = row_of(explorer_content(steps, draws=4000, permutations=9), "occlusion", "table")
    read = steps[(steps["word"] == "table") & (steps["label"] == 1)]["occlusion"].to_numpy()
    theirs = bootstrap((read,), np.mean, n_resamples=4000, method="BCa", rng=0)
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    own = row["groups"][0]
    bounds = [own["low"], own["high"]]
    assert bounds == pytest.approx(theirs.confidence_interval, abs=0.05 * width)


def test_effects_and_tests_are_those_of_the_question():
    steps = attributions()
    content = explorer_content(steps, **FEW)
    for measure in (*MEASURES, "selected_face"):
        theirs = words_by_label(steps, measure, permutations=99)
        own = pd.DataFrame(content["statistics"][measure])
        words = [content["words"][number]["word"] for number in own["word"]]
        assert words == theirs["word"].tolist()
        for column in ("effect", "p", "q"):
            np.testing.assert_allclose(own[column], theirs[column], rtol=1e-3)


def test_a_word_of_few_readers_is_not_compared():
    steps = attributions()
    steps.loc[
        (steps["word"] == "joy") & (steps["subject"] != "p01") & (steps["label"] == 1), "word"
    ] = "table"
    content = explorer_content(steps, **FEW)
    assert (content["counts"]["words"], content["counts"]["rare"]) == (3, 1)
    assert len(content["statistics"]["occlusion"]) == 2


def test_scores_have_one_group_and_no_test():
    steps = attributions().rename(columns={"y_prob": "score_pred"}).assign(label=pd.NA)
    content = explorer_content(steps.astype({"label": "Int8"}), **FEW)
    row = row_of(content, "occlusion", "joy")
    assert (content["binary"], row["p"], len(row["groups"])) == (False, None, 1)
    assert row["groups"][0]["persons"] == 12
    assert content["sessions"][3]["answer"] == pytest.approx(4 / 16)


def test_one_group_and_no_words_have_no_test():
    steps = attributions()
    alone = explorer_content(steps[steps["label"] == 1], **FEW)
    assert [len(row["groups"]) for row in alone["statistics"]["occlusion"]] == [1, 1, 1]
    wordless = explorer_content(steps.assign(word=None, valence=None), **FEW)
    assert wordless["words"] == wordless["statistics"]["occlusion"] == []
    assert wordless["sessions"][1]["word"] == [None, None, None]


def test_one_modality_has_one_occlusion():
    steps = attributions(measures=("occlusion", "occlusion_audio")).assign(occlusion_face=np.nan)
    content = explorer_content(steps, **FEW)
    assert [measure["name"] for measure in content["measures"]] == ["occlusion"]


def test_a_large_run_lists_some_sessions_and_computes_from_all(monkeypatch):
    steps = attributions()
    everything = explorer_content(steps, **FEW)
    monkeypatch.setattr(explorer, "SESSIONS_SHOWN", 5)
    content = explorer_content(steps, **FEW)
    assert len(content["sessions"]) == content["counts"]["shown"] == 5
    assert content["counts"]["sessions"] == 12
    assert content["statistics"] == nearly(everything["statistics"], rel=1e-3)


def test_steps_must_be_explained_first(tmp_path):
    with pytest.raises(ValueError, match=r"attributions\.parquet is not there: run depmm explain"):
        write_explorer(tmp_path)


def test_a_word_cannot_leave_the_data(tmp_path):
    steps = attributions()
    steps.to_parquet(tmp_path / "attributions.parquet")
    html = write_explorer(tmp_path).read_text(encoding="utf-8")
    assert html.count("<script") == html.count("</script") == 2
    assert "alert(1)</script" not in html
    assert "<b>" not in html
    data = re.search(r'<script type="application/json" id="content">(.*?)</script>', html)[1]
    assert EVIL in [entry["word"] for entry in json.loads(data)["words"]]


# ---- in a browser ------------------------------------------------------------------------------

# the page in a frame; the script walks through it as a reader would and writes down what it sees
WALK = """<!DOCTYPE html><meta charset="utf-8"><title>walk</title>
<pre id="result"></pre>
{frames}
<script>
const texts = (page, selector) => [...page.querySelectorAll(selector)].map(part => part.innerText);
const look = frame => {{
  const page = frame.contentDocument, root = page.documentElement;
  return {{
    hash: frame.contentWindow.location.hash,
    heading: texts(page, "#view h2")[0],
    words: texts(page, ".chart tbody th a"),
    regions: texts(page, ".regions tbody th"),
    placeMarks: [...page.querySelectorAll(".regions svg[role=img]")].map(part => part.ariaLabel),
    placeQ: texts(page, '.regions [data-field="q"]'),
    numbers: [..."dpq"].map(name => texts(page, `.chart:not(.regions) [data-field="${{name}}"]`)),
    marks: [...page.querySelectorAll(".chart svg[role=img]")].map(part => part.ariaLabel),
    groups: texts(page, '[data-field="groups"]'),
    listed: texts(page, ".list tbody th a"),
    steps: texts(page, ".timeline:first-of-type tbody th"),
    occlusion: texts(page, '.timeline [data-field="occlusion"]'),
    logit: texts(page, '.timeline [data-field="logit"]'),
    facts: texts(page, "[data-fact]"),
    focus: page.activeElement.innerText,
    scripts: page.querySelectorAll("script").length,
    sideways: root.scrollWidth - root.clientWidth,
    requests: frame.contentWindow.performance.getEntriesByType("resource").length,
  }};
}};
const rest = () => new Promise(done => setTimeout(done, 30));
async function walk(frame) {{
  const page = frame.contentDocument, view = frame.contentWindow, seen = {{ start: look(frame) }};
  const choose = (id, value) => {{
    const box = page.getElementById(id);
    box.focus();
    box.value = value;
    box.dispatchEvent(new view.Event("change"));
  }};
  const escape = () => page.activeElement.dispatchEvent(
    new view.KeyboardEvent("keydown", {{ key: "Escape", bubbles: true }}));
  const step = async (name, act) => {{ act(); await rest(); seen[name] = look(frame); }};
  await step("valence", () => choose("choose-valence", "positive"));
  seen.kept = page.activeElement.id;
  await step("all", () => choose("choose-valence", ""));
  await step("measure", () => choose("choose-measure", "occlusion_face"));
  await step("again", () => choose("choose-measure", "occlusion"));
  await step("word", () => page.querySelector(".chart tbody td.plot").click());
  await step("session", () => page.querySelector(".list tbody th a").click());
  await step("escaped", escape);
  await step("out", escape);
  await step("history", () => view.history.back());
  return seen;
}}
addEventListener("load", async () => {{
  const found = [];
  for (const frame of document.querySelectorAll("iframe")) found.push(await walk(frame));
  document.getElementById("result").textContent = JSON.stringify(found);
}});
</script>"""


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """The content, the browser's log, and what was seen at each station, desk and phone."""
    if BROWSER is None:
        pytest.skip("no chromium on this machine (Debian: apt-get install chromium)")
    base = tmp_path_factory.mktemp("explorer")
    steps = attributions()
    content = explorer_content(
        steps, branches(steps), regions=regions(steps), predictions=predictions(steps), **FEW
    )
    (base / "explorer.html").write_text(explorer_page(content, "run"), encoding="utf-8")
    frames = "".join(
        f'<iframe src="explorer.html" width="{width}" height="900" style="border:0"></iframe>'
        for width in (1000, 390)
    )
    (base / "walk.html").write_text(WALK.format(frames=frames), encoding="utf-8")
    # the walk looks into the frame of another file
    look_inside = "--allow-file-access-from-files"
    (desk, phone), log = browse(
        base / "walk.html", base / "profile", look_inside, milliseconds=20000
    )
    return {"content": content, "log": log, "desk": desk, "phone": phone}


def number(text):
    return float(text.replace("\N{MINUS SIGN}", "-").replace("<", ""))


def words_of(content, rows):
    return [content["words"][row["word"]]["word"] for row in rows]


def test_the_chart_shows_the_numbers_and_filters_them(walked):
    content, seen = walked["content"], walked["desk"]
    for station, measure in (("start", "occlusion"), ("measure", "occlusion_face")):
        rows = content["statistics"][measure]
        assert seen[station]["words"] == words_of(content, rows)
        for name, texts in zip(("effect", "p", "q"), seen[station]["numbers"], strict=True):
            assert [number(text) for text in texts] == pytest.approx(
                [row[name] for row in rows], abs=6e-3
            )
        mean = re.match("target group (\\S+) ", seen[station]["marks"][0])[1]
        assert number(mean) == pytest.approx(rows[0]["groups"][0]["mean"], abs=6e-3)
    assert seen["valence"]["words"] == ["joy"]
    assert seen["kept"] == "choose-valence"
    assert seen["all"]["words"] == seen["again"]["words"] == seen["start"]["words"]


def test_places_stand_below_the_words(walked):
    content, seen = walked["content"]["regions"], walked["desk"]["start"]
    assert [row["region"] for row in content] == ["mouth", "eyes"]
    assert seen["regions"] == ["mouth\nface, even map 0.10", "eyes\nface, even map 0.90"]
    assert [number(text) for text in seen["placeQ"]] == pytest.approx(
        [row["q"] for row in content], abs=6e-3
    )
    assert content[0]["q"] < 0.05
    for row, mark in zip(content, seen["placeMarks"], strict=True):
        mean = re.match("target group (\\S+) .*, 6 persons; comparison group", mark)[1]
        assert number(mean) == pytest.approx(row["groups"][0]["mean"], abs=6e-3)
    assert walked["desk"]["word"]["regions"] == []


def test_an_uneven_gender_is_said_on_the_page(tmp_path):
    steps = attributions()
    steps.to_parquet(tmp_path / "attributions.parquet")
    people = predictions(steps)
    people.to_parquet(tmp_path / "predictions.parquet")
    caution = "5 of 6 people of group 1 and 0 of 6 of group 0 are female"
    assert caution in write_explorer(tmp_path).read_text(encoding="utf-8")
    people.assign(gender="female").to_parquet(tmp_path / "predictions.parquet")
    assert "go together" not in write_explorer(tmp_path).read_text(encoding="utf-8")
    people.drop(columns="gender").to_parquet(tmp_path / "predictions.parquet")
    assert "go together" not in write_explorer(tmp_path).read_text(encoding="utf-8")


def test_a_click_opens_a_word_and_a_session(walked):
    content, seen = walked["content"], walked["desk"]
    strongest = content["statistics"]["occlusion"][0]
    assert seen["word"]["heading"] == words_of(content, [strongest])[0] == EVIL
    assert seen["word"]["focus"] == EVIL
    assert len(seen["word"]["listed"]) == 13  # 12 people, one of whom read it twice
    number_of = {entry["session"]: entry for entry in content["sessions"]}
    session = number_of[seen["word"]["listed"][0]]
    assert seen["session"]["heading"] == f"Session {session['session']}"
    shown = [number(text) for text in seen["session"]["occlusion"]]
    assert shown == pytest.approx(session["occlusion"], abs=6e-3)
    assert [text.split()[0] for text in seen["session"]["steps"][:3]] == ["1", "2", "3"]
    assert seen["session"]["logit"] == ["1.50", "\N{EN DASH}"]
    assert number(seen["session"]["facts"][1]) == pytest.approx(session["answer"], abs=6e-3)
    assert seen["session"]["facts"][2] == "label 1 (target group)"


def test_escape_and_history_go_back_to_where_one_was(walked):
    seen = walked["desk"]
    assert seen["escaped"]["hash"] == seen["word"]["hash"]
    assert seen["escaped"]["focus"] == seen["word"]["listed"][0]
    assert seen["out"]["words"] == seen["start"]["words"]
    assert seen["out"]["focus"] == EVIL
    assert seen["history"]["heading"] == EVIL


def test_the_page_asks_for_nothing_and_makes_no_error(walked):
    assert "CONSOLE" not in walked["log"]
    stations = [
        station
        for seen in (walked["desk"], walked["phone"])
        for station in seen.values()
        if isinstance(station, dict)
    ]
    assert len(stations) == 20
    for station in stations:
        assert (station["requests"], station["scripts"], station["sideways"]) == (0, 2, 0)
