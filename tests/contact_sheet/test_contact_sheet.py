"""Contact sheets: damaged and missing sessions, order, pages, and the page in a browser."""

import re
import shutil
from dataclasses import replace
from html import escape

import pytest
from browser import BROWSER, browse

from depmm.config import ExtractConfig
from depmm.contact_sheet import page as page_module
from depmm.contact_sheet.page import write_contact_sheet
from depmm.contact_sheet.stored_sessions import ContactSheetError
from depmm.store.sessions import SessionStore


@pytest.fixture(scope="module")
def damaged(corpus, tmp_path_factory) -> SessionStore:
    """Copy the store of the simulated corpus; three of its files are damaged or missing."""
    folder = tmp_path_factory.mktemp("look") / "store"
    shutil.copytree(corpus.store, folder)
    store = SessionStore(str(folder), ExtractConfig())
    first, second, third, *_ = sorted(folder.rglob("*.safetensors"))
    content = bytearray(first.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    first.write_bytes(content)
    second.write_bytes(second.read_bytes()[:300])
    third.unlink()
    return store


@pytest.fixture(scope="module")
def sheet(damaged, corpus, tmp_path_factory) -> tuple[str, list[str]]:
    """Write the sheet of the damaged store: its text, and the lines of the summary."""
    page = tmp_path_factory.mktemp("sheet") / "sheet.html"
    lines = write_contact_sheet(damaged.url, page, corpus.manifest)
    return page.read_text(encoding="utf-8"), lines


def test_damaged_and_missing_sessions_are_first_and_do_not_end_it(sheet, corpus):
    html, lines = sheet
    assert lines[0].startswith("12 sessions, ")
    assert {"  damaged file: 2", "  not in the store: 1"} <= set(lines)
    entries = re.findall(r'<article [^>]*data-kinds="([^"]*)"', html)
    assert len(entries) == 12
    assert sorted(entries[:3]) == ["damaged", "damaged", "not_stored"]
    assert html.count("data:image/jpeg") > 9
    assert html.count('class="timeline"') == 9
    steps = corpus.manifest.steps
    assert not [path for path in {*steps["audio"], *steps["face"]} if path in html]


def test_sessions_that_were_indexed_again_are_named(corpus, tmp_path):
    steps = corpus.manifest.steps.copy()
    steps.loc[steps["subject"] == "S003", "end_s"] -= 0.05
    lines = write_contact_sheet(
        str(corpus.store), tmp_path / "sheet.html", replace(corpus.manifest, steps=steps)
    )
    assert "  other steps than the manifest: 1" in lines


def test_the_command_writes_a_page_of_bounded_size(depmm, corpus, tmp_path):
    result = depmm("look", corpus.store, "--out", tmp_path / "sheet.html")
    assert result.code == 0
    assert result.out.startswith("12 sessions")
    assert (tmp_path / "sheet.html").stat().st_size < 12 * 60_000
    assert depmm("look", corpus.store, "--out", tmp_path / "sheet.html").code == 0
    assert depmm("look", corpus.store, "--out", tmp_path / "sheet.txt").code == 2
    assert depmm("look", tmp_path, "--out", tmp_path / "other.html").code == 2


def test_other_files_are_not_overwritten_and_unknown_settings_are_refused(corpus, tmp_path):
    other = tmp_path / "own.html"
    other.write_text("my page")
    with pytest.raises(ContactSheetError) as caught:
        write_contact_sheet(str(corpus.store), other)
    assert caught.value.setting == "out"
    assert other.read_text() == "my page"
    with pytest.raises(ContactSheetError) as caught:
        write_contact_sheet(str(corpus.store), tmp_path / "a.html", settings_hash="00000000")
    assert caught.value.value == "00000000"


def test_large_stores_are_divided_into_pages_and_old_pages_are_removed(
    corpus, tmp_path, monkeypatch
):
    monkeypatch.setattr(page_module, "SESSIONS_PER_PAGE", 5)
    page = tmp_path / "sheet.html"
    write_contact_sheet(str(corpus.store), page)
    pages = [page, tmp_path / "sheet-2.html", tmp_path / "sheet-3.html"]
    counts = [path.read_text(encoding="utf-8").count("<article") for path in pages]
    assert counts == [5, 5, 2]
    assert 'href="sheet-3.html"' in page.read_text(encoding="utf-8")
    monkeypatch.setattr(page_module, "SESSIONS_PER_PAGE", 200)
    write_contact_sheet(str(corpus.store), page)
    assert [path.exists() for path in pages] == [True, False, False]


INSPECTOR = """<!DOCTYPE html><meta charset="utf-8"><title>inspector</title>
{frames}
<pre id="result"></pre>
<script>
addEventListener("load", () => {{
  const result = [...document.querySelectorAll("iframe")].map(frame => {{
    const page = frame.contentDocument;
    const shown = () => [...page.querySelectorAll(".entry")].filter(e => !e.hidden).length;
    const steps = [shown()];
    const button = page.querySelector("button[data-kind=damaged]");
    button.focus();
    const focused = page.activeElement === button;
    button.click(); steps.push(shown());
    button.click(); steps.push(shown());
    const text = page.getElementById("text");
    text.value = page.querySelector(".entry").dataset.id;
    text.dispatchEvent(new Event("input")); steps.push(shown());
    const count = page.getElementById("count").textContent;
    text.value = ""; text.dispatchEvent(new Event("input"));
    return {{
      steps, focused, count, width: page.documentElement.clientWidth,
      content: page.documentElement.scrollWidth,
      requests: frame.contentWindow.performance.getEntriesByType("resource")
        .filter(entry => !entry.name.startsWith("data:")).length,
      unnamed: page.querySelectorAll("img:not([alt]), svg:not([aria-label])").length,
      broken: [...page.images].filter(image => !image.naturalWidth).length,
    }};
  }});
  document.getElementById("result").textContent = JSON.stringify(result);
}});
</script>"""


@pytest.mark.skipif(BROWSER is None, reason="chromium is not installed")
def test_the_filters_work_in_a_browser_without_errors_requests_and_overflow(sheet, tmp_path):
    frames = "".join(
        f'<iframe srcdoc="{escape(sheet[0])}" width="{width}" height="900" style="border:0">'
        "</iframe>"
        for width in (390, 1200)
    )
    path = tmp_path / "inspector.html"
    path.write_text(INSPECTOR.format(frames=frames), encoding="utf-8")
    found, log = browse(path, tmp_path / "profile")
    assert "CONSOLE" not in log, log
    for frame in found:
        assert frame["steps"] == [12, 2, 12, 1]
        assert frame["count"] == "1 of 12 sessions shown"
        assert frame["focused"]
        assert frame["content"] == frame["width"]
        assert (frame["requests"], frame["unnamed"], frame["broken"]) == (0, 0, 0)
