"""The explorer: its numbers, and a walk through the page in a browser."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from browser import BROWSER, browse
from nearly import nearly
from scipy.stats import bootstrap

from depmm.interpret.errors import QuestionError
from depmm.interpret.query import explorer
from depmm.interpret.query.explorer import build_content, render_page, write_explorer
from depmm.interpret.query.references import ALL_STEPS, SHARED_BRANCHES, TO_TRAINING
from depmm.interpret.query.word_effects import compare_words

HOSTILE = "</script><script>alert(1)</script>"
WORDS = {HOSTILE: "negative", "joy": "positive", "table": "neutral"}
MEASURES = ["occlusion", "occlusion_audio", "occlusion_face"]
FEW = {"draws": 200, "permutations": 99}


def make_attributions(
    subjects=12, seeds=1, words=tuple(WORDS), measures=(*MEASURES, "selected_face")
):
    """Make subjects of two labels who read each word once per seed; the first one, twice."""
    rng = np.random.default_rng(0)
    rows = []
    for subject in range(subjects):
        for seed in range(seeds):
            read = [*words, *words] if subject == 0 else list(words)
            for step, word in enumerate(read):
                effect = subject % 2 * (word == words[0]) * 2
                values = np.append(effect + rng.normal(size=3), rng.integers(5) / 4)
                key = (
                    "c",
                    f"p{subject:02}",
                    f"p{subject:02}<b>s</b>",
                    "test",
                    0,
                    seed,
                    subject % 2,
                )
                rows.append((*key, (subject + 1) / 16, step, word, WORDS.get(word), *values))
    names = ["corpus", "subject", "session", "split", "fold", "seed", "label", "y_prob", "step"]
    table = pd.DataFrame(rows, columns=[*names, "word", "valence", *MEASURES, "selected_face"])
    table = table.assign(reference="training word")
    missing = [name for name in (*MEASURES, "selected_face") if name not in measures]
    return table.astype({"label": "Int8"}).drop(columns=missing)


def make_branches(steps):
    sessions = steps[["corpus", "subject", "session", "split", "fold", "seed"]].drop_duplicates()
    return pd.concat(
        [
            sessions.assign(branch="multimodal", logit=1.5, gate=0.8, present=True),
            sessions.assign(branch="face", logit=np.nan, gate=0.3, present=False),
        ]
    )


def make_whole(steps):
    """Make the attribution of all steps of each session; it differs between the labels."""
    key = ["corpus", "subject", "session", "split", "fold", "seed", "label", "y_prob"]
    sessions = steps[key].drop_duplicates(ignore_index=True)
    value = 3 * sessions["label"].astype(float) + sessions["y_prob"]
    return sessions.assign(reference="training", logit=value, reference_logit=0.0, all_steps=value)


def make_modalities(steps):
    sessions = make_whole(steps).drop(columns="y_prob")
    return pd.concat([sessions.assign(modality=name, shapley=0.5) for name in ("audio", "face")])


def make_regions(steps):
    """Make shares that are larger for the mouth with label 1 and for the eyes with label 0."""
    rows = []
    for region, sign, area in (("mouth", 1, 0.1), ("eyes", -1, 0.9)):
        share = 0.5 + sign * (
            0.2 * (steps["label"].astype(float) - 0.5) + 0.02 * steps["occlusion"]
        )
        rows.append(steps.assign(modality="face", region=region, share=share, area=area))
    columns = ["corpus", "subject", "session", "split", "fold", "seed", "label", "step"]
    return pd.concat(rows)[[*columns, "modality", "region", "share", "area"]]


def make_predictions(steps):
    """Make predictions in which all but one of the subjects with label 1 are women."""
    subjects = steps[["corpus", "subject", "session", "label"]].drop_duplicates("session")
    women = (subjects["label"] == 1) & (subjects["subject"] != "p01")
    return subjects.assign(gender=women.map({True: "female", False: "male"})).drop(columns="label")


def get_row(content, measure, word):
    index = [entry["word"] for entry in content["words"]].index(word)
    return next(row for row in content["statistics"][measure] if row["word"] == index)


def test_subject_counts_once_in_a_mean():
    steps = make_attributions(seeds=2)
    content = build_content(steps, **FEW)
    row = get_row(content, "occlusion", "joy")
    joy = steps[(steps["word"] == "joy") & (steps["label"] == 0)]
    subjects = joy.groupby("subject")["occlusion"].mean()
    label1, label0 = row["groups"]
    assert [label1["label"], label0["label"]] == [1, 0]
    assert label0["mean"] == pytest.approx(subjects.mean(), rel=1e-3)
    assert label0["n_subjects"] == 6
    assert label0["mean"] != pytest.approx(joy["occlusion"].mean(), rel=1e-3)


def test_intervals_equal_those_of_scipy():
    steps = make_attributions(subjects=40)
    row = get_row(build_content(steps, draws=4000, permutations=9), "occlusion", "table")
    read = steps[(steps["word"] == "table") & (steps["label"] == 1)]["occlusion"].to_numpy()
    expected = bootstrap((read,), np.mean, n_resamples=4000, method="BCa", rng=0)
    width = expected.confidence_interval.high - expected.confidence_interval.low
    group = row["groups"][0]
    bounds = [group["ci_low"], group["ci_high"]]
    assert bounds == pytest.approx(expected.confidence_interval, abs=0.05 * width)


def test_effects_and_tests_equal_those_of_the_question():
    steps = make_attributions()
    content = build_content(steps, **FEW)
    for measure in (*MEASURES, "selected_face"):
        expected = compare_words(steps, measure, permutations=99)
        rows = pd.DataFrame(content["statistics"][measure])
        words = [content["words"][index]["word"] for index in rows["word"]]
        assert words == expected["word"].tolist()
        for column in ("effect", "p", "q"):
            np.testing.assert_allclose(rows[column], expected[column], rtol=1e-3)


def test_word_with_few_readers_is_not_compared():
    steps = make_attributions()
    steps.loc[
        (steps["word"] == "joy") & (steps["subject"] != "p01") & (steps["label"] == 1), "word"
    ] = "table"
    content = build_content(steps, **FEW)
    assert (content["counts"]["words"], content["counts"]["rare"]) == (3, 1)
    assert len(content["statistics"]["occlusion"]) == 2


def test_scores_have_no_test():
    steps = make_attributions().rename(columns={"y_prob": "score_pred"}).assign(label=pd.NA)
    content = build_content(steps.astype({"label": "Int8"}), **FEW)
    row = get_row(content, "occlusion", "joy")
    assert (content["binary"], row["p"], len(row["groups"])) == (False, None, 1)
    assert row["groups"][0]["n_subjects"] == 12
    assert content["sessions"][3]["prediction"] == pytest.approx(4 / 16)


def test_one_label_or_no_words_have_no_test():
    steps = make_attributions()
    alone = build_content(steps[steps["label"] == 1], **FEW)
    assert [len(row["groups"]) for row in alone["statistics"]["occlusion"]] == [1, 1, 1]
    wordless = build_content(steps.assign(word=None, valence=None), **FEW)
    assert wordless["words"] == wordless["statistics"]["occlusion"] == []
    assert wordless["sessions"][1]["word"] == [None, None, None]


def test_one_modality_has_one_column_of_occlusion():
    steps = make_attributions(measures=("occlusion", "occlusion_audio")).assign(
        occlusion_face=np.nan
    )
    content = build_content(steps, **FEW)
    assert [measure["name"] for measure in content["measures"]] == ["occlusion"]


def test_large_run_lists_a_sample_and_computes_from_all_sessions(monkeypatch):
    steps = make_attributions()
    everything = build_content(steps, **FEW)
    monkeypatch.setattr(explorer, "MAX_SESSIONS", 5)
    content = build_content(steps, **FEW)
    assert len(content["sessions"]) == content["counts"]["listed"] == 5
    assert content["counts"]["sessions"] == 12
    assert content["statistics"] == nearly(everything["statistics"], rel=1e-3)


def test_run_must_be_explained(tmp_path):
    with pytest.raises(QuestionError) as info:
        write_explorer(tmp_path)
    assert info.value.file == tmp_path / "attributions.parquet"


def test_words_are_data_and_never_html(tmp_path):
    steps = make_attributions()
    steps.to_parquet(tmp_path / "attributions.parquet")
    html = write_explorer(tmp_path).read_text(encoding="utf-8")
    assert html.count("<script") == html.count("</script") == 2
    assert "alert(1)</script" not in html
    assert "<b>" not in html
    data = re.search(r'<script type="application/json" id="content">(.*?)</script>', html)[1]
    assert HOSTILE in [entry["word"] for entry in json.loads(data)["words"]]


# the page in a frame; the script clicks through it and records the content of each view
WALK = """<!DOCTYPE html><meta charset="utf-8"><title>walk</title>
<pre id="result"></pre>
{frames}
<script>
const texts = (page, selector) => [...page.querySelectorAll(selector)].map(part => part.innerText);
const inspect = frame => {{
  const page = frame.contentDocument, root = page.documentElement;
  return {{
    hash: frame.contentWindow.location.hash,
    heading: texts(page, "#view h2")[0],
    words: texts(page, ".chart tbody th a"),
    regions: texts(page, ".regions tbody th"),
    occluded: texts(page, ".occluded tbody th"),
    regionOcclusion: texts(page, '.timeline [data-field="region occlusion"]'),
    regionMarks: [...page.querySelectorAll(".regions svg[role=img]")].map(part => part.ariaLabel),
    wholeQ: texts(page, '.whole [data-field="q"]'),
    wholeMarks: [...page.querySelectorAll(".whole svg[role=img]")].map(part => part.ariaLabel),
    headings: texts(page, "h3"),
    branchNote: texts(page, '[data-field="branches"]'),
    regionQ: texts(page, '.regions [data-field="q"]'),
    numbers: [..."dpq"].map(
      name => texts(page, `.chart:not(.regions, .occluded, .whole) [data-field="${{name}}"]`)),
    marks: [...page.querySelectorAll(".chart svg[role=img]")].map(part => part.ariaLabel),
    groups: texts(page, '[data-field="groups"]'),
    listed: texts(page, ".list tbody th a"),
    steps: texts(page, ".timeline:first-of-type tbody th"),
    occlusion: texts(page, '.timeline [data-field="occlusion"]'),
    logit: texts(page, '.timeline [data-field="logit"]'),
    cells: [...new Set([...page.querySelectorAll(".timeline td, .list td")].map(
      part => frame.contentWindow.getComputedStyle(part).display))],
    facts: texts(page, "[data-fact]"),
    focus: page.activeElement.innerText,
    scripts: page.querySelectorAll("script").length,
    sideways: root.scrollWidth - root.clientWidth,
    requests: frame.contentWindow.performance.getEntriesByType("resource").length,
  }};
}};
const rest = () => new Promise(done => setTimeout(done, 30));
async function walk(frame) {{
  const page = frame.contentDocument, view = frame.contentWindow;
  const seen = {{ start: inspect(frame) }};
  const choose = (id, value) => {{
    const box = page.getElementById(id);
    box.focus();
    box.value = value;
    box.dispatchEvent(new view.Event("change"));
  }};
  const escape = () => page.activeElement.dispatchEvent(
    new view.KeyboardEvent("keydown", {{ key: "Escape", bubbles: true }}));
  const step = async (name, act) => {{ act(); await rest(); seen[name] = inspect(frame); }};
  await step("valence", () => choose("choose-valence", "positive"));
  seen.focused = page.activeElement.id;
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
  const views = [];
  for (const frame of document.querySelectorAll("iframe")) views.push(await walk(frame));
  document.getElementById("result").textContent = JSON.stringify(views);
}});
</script>"""


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """The content, the log of the browser, and each view in a wide and a narrow frame."""
    if BROWSER is None:
        pytest.skip("chromium is not installed (Debian: apt-get install chromium)")
    base = tmp_path_factory.mktemp("explorer")
    steps = make_attributions()
    content = build_content(
        steps,
        make_branches(steps),
        regions=make_regions(steps),
        predictions=make_predictions(steps),
        whole=make_whole(steps),
        modalities=make_modalities(steps),
        occluded=make_regions(steps).assign(occlusion=lambda rows: rows["share"] - 0.5),
        shared_branches=True,
        **FEW,
    )
    (base / "explorer.html").write_text(render_page(content, "run"), encoding="utf-8")
    frames = "".join(
        f'<iframe src="explorer.html" width="{width}" height="900" style="border:0"></iframe>'
        for width in (1000, 390)
    )
    (base / "walk.html").write_text(WALK.format(frames=frames), encoding="utf-8")
    # the script reads the frame of another file
    allow_frames = "--allow-file-access-from-files"
    (wide, narrow), log = browse(
        base / "walk.html", base / "profile", allow_frames, milliseconds=20000
    )
    return {"content": content, "log": log, "wide": wide, "narrow": narrow}


def parse_number(text):
    return float(text.replace("\N{MINUS SIGN}", "-").replace("<", ""))


def get_words(content, rows):
    return [content["words"][row["word"]]["word"] for row in rows]


def test_chart_shows_and_filters_the_words(walked):
    content, seen = walked["content"], walked["wide"]
    for shown, measure in (("start", "occlusion"), ("measure", "occlusion_face")):
        rows = content["statistics"][measure]
        assert seen[shown]["words"] == get_words(content, rows)
        for name, texts in zip(("effect", "p", "q"), seen[shown]["numbers"], strict=True):
            assert [parse_number(text) for text in texts] == pytest.approx(
                [row[name] for row in rows], abs=6e-3
            )
        mean = re.match("label 1: (\\S+) ", seen[shown]["marks"][0])[1]
        assert parse_number(mean) == pytest.approx(rows[0]["groups"][0]["mean"], abs=6e-3)
    assert seen["valence"]["words"] == ["joy"]
    assert seen["focused"] == "choose-valence"
    assert seen["all"]["words"] == seen["again"]["words"] == seen["start"]["words"]


def test_all_steps_removed_follow_the_words(walked):
    (row,), seen = walked["content"]["all_steps"], walked["wide"]
    assert row["word"] == ALL_STEPS
    assert [parse_number(text) for text in seen["start"]["wholeQ"]] == [
        pytest.approx(row["q"], abs=6e-4)
    ]
    assert row["q"] == row["p"] < 0.05
    assert seen["start"]["wholeMarks"][0].startswith("label 1: ")
    assert seen["word"]["wholeQ"] == []
    assert walked["content"]["relative"] == TO_TRAINING


def test_modalities_come_before_branches_and_branches_have_a_note(walked):
    seen = walked["wide"]["session"]
    headings = seen["headings"]
    assert headings.index("Modalities") < headings.index("Branches of the model")
    assert seen["branchNote"] == [SHARED_BRANCHES]


def test_regions_follow_the_words(walked):
    content, seen = walked["content"]["regions"], walked["wide"]["start"]
    assert [row["region"] for row in content] == ["mouth", "eyes"]
    assert seen["regions"] == ["mouth\nface, uniform map 0.10", "eyes\nface, uniform map 0.90"]
    assert [parse_number(text) for text in seen["regionQ"]] == pytest.approx(
        [row["q"] for row in content], abs=6e-3
    )
    assert content[0]["q"] < 0.05
    for row, mark in zip(content, seen["regionMarks"], strict=True):
        mean = re.match("label 1: (\\S+) .*, 6 subjects; label 0", mark)[1]
        assert parse_number(mean) == pytest.approx(row["groups"][0]["mean"], abs=6e-3)
    assert walked["wide"]["word"]["regions"] == []


def test_occluded_regions_are_shown_for_all_sessions_and_for_one(walked):
    seen, sessions = walked["wide"], walked["content"]["sessions"]
    assert seen["start"]["occluded"] == [
        "mouth\nface, area 0.10",
        "eyes\nface, area 0.90",
    ]
    opened = next(s for s in sessions if s["session"] == seen["word"]["listed"][0])
    # 0.2 (label - 0.5) + 0.02 * the mean occlusion of the steps, and its opposite
    mouth = 0.2 * (opened["label"] - 0.5) + 0.02 * np.mean(opened["occlusion"])
    values = [region["occlusion"] for region in opened["regions"]]
    assert values == pytest.approx([mouth, -mouth], rel=1e-3)
    shown = [parse_number(text) for text in seen["session"]["regionOcclusion"]]
    assert shown == pytest.approx(values, abs=6e-3)
    assert "Regions of the face" in seen["session"]["headings"]


def test_uneven_gender_gives_a_caution_on_the_page(tmp_path):
    steps = make_attributions()
    steps.to_parquet(tmp_path / "attributions.parquet")
    subjects = make_predictions(steps)
    subjects.to_parquet(tmp_path / "predictions.parquet")
    caution = "5 of 6 subjects with label 1 and 0 of 6 with label 0 are female"
    assert caution in write_explorer(tmp_path).read_text(encoding="utf-8")
    subjects.assign(gender="female").to_parquet(tmp_path / "predictions.parquet")
    assert "not independent" not in write_explorer(tmp_path).read_text(encoding="utf-8")
    subjects.drop(columns="gender").to_parquet(tmp_path / "predictions.parquet")
    assert "not independent" not in write_explorer(tmp_path).read_text(encoding="utf-8")


def test_click_opens_a_word_and_a_session(walked):
    content, seen = walked["content"], walked["wide"]
    strongest = content["statistics"]["occlusion"][0]
    assert seen["word"]["heading"] == get_words(content, [strongest])[0] == HOSTILE
    assert seen["word"]["focus"] == HOSTILE
    assert len(seen["word"]["listed"]) == 13  # 12 subjects, one of which read it twice
    sessions = {entry["session"]: entry for entry in content["sessions"]}
    session = sessions[seen["word"]["listed"][0]]
    assert seen["session"]["heading"] == f"Session {session['session']}"
    shown = [parse_number(text) for text in seen["session"]["occlusion"]]
    assert shown == pytest.approx(session["occlusion"], abs=6e-3)
    assert [text.split()[0] for text in seen["session"]["steps"][:3]] == ["1", "2", "3"]
    assert seen["session"]["logit"] == ["1.50", "\N{EN DASH}"]
    assert parse_number(seen["session"]["facts"][1]) == pytest.approx(
        session["prediction"], abs=6e-3
    )
    assert seen["session"]["facts"][2] == "1"


def test_escape_and_history_return_to_the_previous_view(walked):
    seen = walked["wide"]
    assert seen["escaped"]["hash"] == seen["word"]["hash"]
    assert seen["escaped"]["focus"] == seen["word"]["listed"][0]
    assert seen["out"]["words"] == seen["start"]["words"]
    assert seen["out"]["focus"] == HOSTILE
    assert seen["history"]["heading"] == HOSTILE


def test_page_makes_no_request_and_no_error(walked):
    assert "CONSOLE" not in walked["log"]
    views = [
        shown
        for seen in (walked["wide"], walked["narrow"])
        for shown in seen.values()
        if isinstance(shown, dict)
    ]
    assert len(views) == 20
    for shown in views:
        assert (shown["requests"], shown["scripts"], shown["sideways"]) == (0, 2, 0)


def test_cells_of_a_wide_page_stay_table_cells(walked):
    assert walked["wide"]["word"]["cells"] == ["table-cell"]
    assert walked["wide"]["session"]["cells"] == ["table-cell"]
