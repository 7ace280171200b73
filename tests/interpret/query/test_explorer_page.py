"""A walk through the page of the explorer in a browser."""

import re

import numpy as np
import pytest
from browser import BROWSER, browse
from explorer_tables import (
    FEW,
    HOSTILE,
    make_attributions,
    make_branches,
    make_modalities,
    make_predictions,
    make_regions,
    make_whole,
)

from depmm.interpret.query.explorer import build_content, render_page
from depmm.interpret.query.references import ALL_STEPS, SHARED_BRANCHES, TO_TRAINING

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
