"""The pages in a browser: values of metrics.json, no error, no request and no overflow."""

import re
from html import escape
from pathlib import Path
from typing import Any

import pytest
from browser import BROWSER, browse
from report_predictions import noisy_predictions

from depmm.evaluation.reports.comparison_report import write_comparison
from depmm.evaluation.reports.report import write_report

PHONE, DESKTOP = 390, 1000  # pixels
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="chromium is not installed (Debian: apt-get install chromium)"
)

# shows each page in frames of both widths; their content can be read, as they have the same origin
INSPECTOR = """<!DOCTYPE html><meta charset="utf-8"><title>inspector</title>
{frames}
<pre id="result"></pre>
<script>
const right = part => part.getBoundingClientRect().right;
const width = part => part.getBoundingClientRect().width;
addEventListener("load", () => {{
  const result = [...document.querySelectorAll("iframe")].map(frame => {{
    const page = frame.contentDocument, view = frame.contentWindow;
    const cells = {{}};
    for (const cell of page.querySelectorAll("[data-field]")) {{
      const row = cell.closest("tr"), metric = cell.closest("[data-metric]");
      const run = row.dataset.run ?? row.dataset.difference ?? "";
      cells[[run, metric ? metric.dataset.metric : "", cell.dataset.field]] = cell.innerText;
    }}
    const wide = [...page.querySelectorAll("main *")].filter(part =>
      !part.closest("svg, .frame, .scroll") && right(part) > page.documentElement.clientWidth + 1);
    return {{
      width: page.documentElement.clientWidth,
      content: page.documentElement.scrollWidth,
      wide: wide.map(part => part.outerHTML.slice(0, 80)),
      requests: view.performance.getEntriesByType("resource").map(entry => entry.name),
      figures: [...page.querySelectorAll("figure > svg")].map(width),
      headline: page.querySelector(".summary h2").innerText,
      cells,
    }};
  }});
  document.getElementById("result").textContent = JSON.stringify(result);
}});
</script>"""


def inspector(*pages: str) -> str:
    """Return a page that shows others in frames of both widths and writes their properties."""
    frames = [
        f'<iframe srcdoc="{escape(html)}" width="{width}" height="900" style="border:0"></iframe>'
        for html in pages
        for width in (PHONE, DESKTOP)
    ]
    return INSPECTOR.format(frames="".join(frames))


@pytest.fixture(scope="module")
def inspected(tmp_path_factory) -> dict[str, Any]:
    """Open both pages at once: the log, and by name (metrics.json, HTML, phone, desktop)."""
    base: Path = tmp_path_factory.mktemp("pages")
    table = noisy_predictions(0.5)
    noise = noisy_predictions(30).drop(columns=["score_pred", "score"])
    long_name = "the_first_run_of_a_very_long_name_without_any_blank"
    runs = {long_name: noise, "again": noise.sample(frac=1, random_state=0)}
    resampling: Any = {"n_bootstrap": 20, "confidence": 0.95}
    contents = [
        write_report(table, base / "run", title="run", config_text="a: " + "b" * 300, **resampling),
        write_comparison(
            runs,
            base / "comparison",
            commands=dict.fromkeys(runs),
            costs=dict.fromkeys(runs),
            **resampling,
        ),
    ]
    pages = [
        (base / name / "report.html").read_text(encoding="utf-8") for name in ("run", "comparison")
    ]
    (base / "inspector.html").write_text(inspector(*pages), encoding="utf-8")
    frames, log = browse(base / "inspector.html", base / "profile")
    run, comparison = zip(contents, pages, frames[::2], frames[1::2], strict=True)
    return {"log": log, "run": run, "comparison": comparison}


def to_number(text: str) -> float:
    return float(text.replace("\N{MINUS SIGN}", "-").replace("<", ""))


def test_the_browser_shows_the_values_of_a_run(inspected):
    content, _, phone, desktop = inspected["run"]
    assert phone["cells"] == desktop["cells"]
    assert desktop["headline"].startswith("Better")
    assert content["verdict"]["outcome"] == "better"
    for name, entry in content["metrics"].items():
        for field in ("value", "ci_low", "ci_high"):
            value = to_number(desktop["cells"][f",{name},{field}"])
            assert value == pytest.approx(entry[field], abs=5e-4)


def test_the_browser_shows_the_values_of_a_comparison(inspected):
    content, _, _, desktop = inspected["comparison"]
    for name, run in content["runs"].items():
        auroc = to_number(desktop["cells"][f"{name},auroc,value"])
        assert auroc == pytest.approx(run["metrics"]["auroc"]["value"], abs=5e-4)
    for index, row in enumerate(content["comparison"]):
        for field in ("difference", "p", "p_adjusted"):
            value = to_number(desktop["cells"][f"{index},,{field}"])
            assert value == pytest.approx(row[field], abs=6e-4), (index, field)


@pytest.mark.parametrize("name", ["run", "comparison"])
def test_the_browser_reports_no_error_and_no_request(inspected, name):
    _, html, *frames = inspected[name]
    assert "CONSOLE" not in inspected["log"]
    assert all(frame["requests"] == [] for frame in frames)
    sources = re.findall(r'<[^>]+\s(?:src|href|data|action)="([^"]*)"', html)
    assert all(source.startswith("#") for source in sources)
    assert not re.search(r"https?://", html)


@pytest.mark.parametrize("name", ["run", "comparison"])
def test_a_phone_does_not_scroll_sideways(inspected, name):
    for frame in inspected[name][2:]:
        assert (frame["content"], frame["wide"]) == (frame["width"], [])
        assert frame["figures"]
        assert all(100 < figure < frame["width"] for figure in frame["figures"])


def test_the_inspector_detects_errors_requests_and_overflow(tmp_path):
    html = (
        '<body><main><div class="summary"><h2>x</h2></div><p style="width:600px">wide</p>'
        '<img src="http://example.invalid/a.png"><script>undefined_name()</script></main>'
    )
    (tmp_path / "inspector.html").write_text(inspector(html))
    (phone, desktop), log = browse(tmp_path / "inspector.html", tmp_path / "profile")
    assert "undefined_name" in log
    assert "CONSOLE" in log
    assert phone["requests"] == desktop["requests"] == ["http://example.invalid/a.png"]
    assert (phone["content"] > PHONE, desktop["content"] > DESKTOP) == (True, False)
    assert ["wide" in part for part in phone["wide"]] == [True]
    assert desktop["wide"] == []
