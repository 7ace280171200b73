"""The pages in a browser: the numbers of metrics.json, no error, no request, no overflow."""

import re
from html import escape

import pytest
from browser import BROWSER, browse
from test_comparison_report import predictions

from depmm.evaluation.reports.comparison_report import write_comparison
from depmm.evaluation.reports.report import write_report

PHONE, DESK = 390, 1000  # pixels
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no chromium on this machine (Debian: apt-get install chromium)"
)

# the page in frames of both widths; a frame can be looked into, as it is of the same origin
LOOK = """<!DOCTYPE html><meta charset="utf-8"><title>look</title>
{frames}
<pre id="found"></pre>
<script>
const right = part => part.getBoundingClientRect().right;
const width = part => part.getBoundingClientRect().width;
addEventListener("load", () => {{
  const found = [...document.querySelectorAll("iframe")].map(frame => {{
    const page = frame.contentDocument, view = frame.contentWindow;
    const cells = {{}};
    for (const cell of page.querySelectorAll("[data-field]")) {{
      const row = cell.closest("tr"), place = cell.closest("[data-metric]");
      const owner = row.dataset.run ?? row.dataset.difference ?? "";
      cells[[owner, place ? place.dataset.metric : "", cell.dataset.field]] = cell.innerText;
    }}
    const wide = [...page.querySelectorAll("main *")].filter(part =>
      !part.closest("svg, .frame, .scroll") && right(part) > page.documentElement.clientWidth + 1);
    return {{
      width: page.documentElement.clientWidth,
      content: page.documentElement.scrollWidth,
      wide: wide.map(part => part.outerHTML.slice(0, 80)),
      requests: view.performance.getEntriesByType("resource").map(entry => entry.name),
      figures: [...page.querySelectorAll("figure > svg")].map(width),
      answer: page.querySelector(".summary h2").innerText,
      cells,
    }};
  }});
  document.getElementById("found").textContent = JSON.stringify(found);
}});
</script>"""


def look_at(*pages):
    """A page that shows others in frames of both widths and writes down what it sees there."""
    frames = [
        f'<iframe srcdoc="{escape(html)}" width="{width}" height="900" style="border:0"></iframe>'
        for html in pages
        for width in (PHONE, DESK)
    ]
    return LOOK.format(frames="".join(frames))


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """Both pages, opened at once: the log, and by name (metrics.json, HTML, phone, desk)."""
    base = tmp_path_factory.mktemp("pages")
    table, noise = predictions(0.5), predictions(30).drop(columns=["score_pred", "score"])
    again = noise.sample(frac=1, random_state=0)
    both = {"the_first_run_of_a_very_long_name_without_any_blank": noise, "again": again}
    one, several = base / "run", base / "comparison"
    contents = [
        write_report(table, one, title="run", n_bootstrap=20, config_text="a: " + "b" * 300),
        write_comparison(
            both, several, commands=dict.fromkeys(both), n_bootstrap=20, confidence=0.95
        ),
    ]
    pages = [(folder / "report.html").read_text(encoding="utf-8") for folder in (one, several)]
    (base / "look.html").write_text(look_at(*pages), encoding="utf-8")
    frames, log = browse(base / "look.html", base / "profile")
    run, comparison = zip(contents, pages, frames[::2], frames[1::2], strict=True)
    return {"log": log, "run": run, "comparison": comparison}


def shown(text):
    return float(text.replace("\N{MINUS SIGN}", "-").replace("<", ""))


def test_the_browser_shows_the_numbers_of_the_file(seen):
    content, _, phone, desk = seen["run"]
    assert phone["cells"] == desk["cells"]
    assert desk["answer"] == "Better than a constant answer."
    assert content["verdict"]["outcome"] == "better"
    for name, entry in content["metrics"].items():
        for field in ("value", "ci_low", "ci_high"):
            assert shown(desk["cells"][f",{name},{field}"]) == pytest.approx(entry[field], abs=5e-4)
    content, _, phone, desk = seen["comparison"]
    assert desk["answer"] == "No difference between the runs is shown."
    for run, own in content["runs"].items():
        auroc = shown(desk["cells"][f"{run},auroc,value"])
        assert auroc == pytest.approx(own["metrics"]["auroc"]["value"], abs=5e-4)
    for number, row in enumerate(content["comparison"]):
        for field in ("difference", "p", "p_adjusted"):
            value = shown(desk["cells"][f"{number},,{field}"])
            assert value == pytest.approx(row[field], abs=6e-4), (number, field)


@pytest.mark.parametrize("name", ["run", "comparison"])
def test_the_browser_reports_no_error_and_asks_for_nothing(seen, name):
    _, html, *frames = seen[name]
    assert "CONSOLE" not in seen["log"]
    assert all(frame["requests"] == [] for frame in frames)
    sources = re.findall(r'<[^>]+\s(?:src|href|data|action)="([^"]*)"', html)
    assert all(source.startswith("#") for source in sources)
    assert not re.search(r"https?://", html)


@pytest.mark.parametrize("name", ["run", "comparison"])
def test_a_phone_shows_the_page_without_scrolling_sideways(seen, name):
    for frame in seen[name][2:]:
        assert (frame["content"], frame["wide"]) == (frame["width"], [])
        assert frame["figures"]
        assert all(100 < figure < frame["width"] for figure in frame["figures"])


def test_errors_requests_and_overflow_are_found(tmp_path):
    """What the tests above rest on."""
    html = (
        '<body><main><div class="answer"><h2>x</h2></div><p style="width:600px">wide</p>'
        '<img src="http://example.invalid/a.png"><script>undefined_name()</script></main>'
    )
    (tmp_path / "look.html").write_text(look_at(html))
    (phone, desk), log = browse(tmp_path / "look.html", tmp_path / "profile")
    assert "undefined_name" in log
    assert "CONSOLE" in log
    assert phone["requests"] == desk["requests"] == ["http://example.invalid/a.png"]
    assert (phone["content"] > PHONE, desk["content"] > DESK) == (True, False)
    assert ["wide" in part for part in phone["wide"]] == [True]
    assert desk["wide"] == []
