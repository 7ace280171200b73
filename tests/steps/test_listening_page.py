"""The listening page: excerpts, escaping, and its use in a browser."""

import csv
import io

import numpy as np
import pytest
import soundfile
from browser import BROWSER, browse

from depmm.steps.listening_page import (
    N_EXCERPTS,
    ListenedRecording,
    choose_excerpts,
    cut_excerpts,
    render_listening_page,
    write_listening_page,
)
from depmm.steps.participant_choices import COLUMNS
from depmm.steps.turns import Turn

HOSTILE = 'P1/"><img src=x onerror=alert(1)>, "x"'
TURNS = [
    Turn(float(start), start + 1.0 + start % 7, f"speaker_{1 + index % 2}", 0.5)
    for index, start in enumerate(range(0, 400, 10))
]
# The page runs in frames of two widths; the download is read from the link that it clicks.
WALK = """<!DOCTYPE html><pre id="result"></pre>{frames}<script>
const rest = (ms) => new Promise(done => setTimeout(done, ms));
async function walk(frame) {{
  const page = frame.contentDocument, view = frame.contentWindow, root = page.documentElement;
  const click = (selector) => page.querySelector(selector).click();
  const seen = {{ sideways: root.scrollWidth - root.clientWidth }};
  seen.images = page.querySelectorAll("img").length;
  seen.headings = [...page.querySelectorAll("h2")].map(part => part.textContent);
  seen.excerpts = [...page.querySelectorAll(".excerpts")].map(
    part => part.querySelectorAll(".play").length);
  const sound = new view.Audio(page.querySelector(".play").dataset.sound);
  // virtual time does not wait for a decoder: real time passes in the inner loop
  for (let i = 0; i < 400 && !(sound.readyState || sound.error); i++) {{
    for (let n = 0; n < 5e6; n++);
    await rest(1);
  }}
  seen.playable = sound.duration;
  click(".play-all");
  seen.playing = page.querySelectorAll(".playing").length;
  click(".play-all");
  seen.stopped = page.querySelectorAll(".playing").length;
  seen.before = page.getElementById("save").disabled;
  click('#r0 [data-speaker="speaker_1"].choose');
  click('#r0 [data-speaker="speaker_2"].choose');
  click('#r1 [data-speaker="speaker_1"].choose');
  seen.count = page.getElementById("count").textContent;
  seen.pressed = [...page.querySelectorAll('[aria-pressed="true"]')].map(
    part => part.dataset.speaker);
  let blob = null, name = null;
  view.URL.createObjectURL = (given) => {{ blob = given; return "blob:x"; }};
  view.HTMLAnchorElement.prototype.click = function () {{ name = this.download; }};
  click("#save");
  seen.file = [name, await blob.text()];
  click('#r1 [data-speaker="speaker_1"].choose');
  seen.after = page.getElementById("count").textContent;
  seen.requests = view.performance.getEntriesByType("resource").filter(
    entry => !entry.name.startsWith("data:")).length;
  return seen;
}}
addEventListener("load", async () => {{
  const views = [];
  for (const frame of document.querySelectorAll("iframe")) views.push(await walk(frame));
  document.getElementById("result").textContent = JSON.stringify(views);
}});
</script>"""


def tone(seconds, level=0.01):
    return (level * np.sin(np.arange(round(seconds * 16000)) / 9)).astype(np.float32)


def listened(name, turns=TURNS[:20], **changes):
    excerpts = choose_excerpts(turns)
    peaks, sounds = cut_excerpts([tone(210)], excerpts, 210.0)
    values = {
        "name": name, "recording_sha256": "f" * 16, "turns_sha256": "0" * 16,
        "turns": tuple(turns), "peaks": peaks, "duration_s": 210.0,
        "sounds": tuple(zip(excerpts, sounds, strict=True)), "note": "Silhouette 0.3.",
    }  # fmt: skip
    return ListenedRecording(**values | changes)


def test_excerpts_are_spread_over_the_recording():
    excerpts = choose_excerpts(TURNS)
    assert [e.start_s for e in excerpts] == sorted(e.start_s for e in excerpts)
    for name in ("speaker_1", "speaker_2"):
        own = [e for e in excerpts if e.speaker == name]
        assert len(own) == N_EXCERPTS
        assert own[0].start_s < 60
        assert own[-1].start_s > 340
        for excerpt in own:
            assert excerpt.end_s - excerpt.start_s <= 3.0 + 1e-9
            assert any(
                t.start_s - 1e-9 <= excerpt.start_s and excerpt.end_s <= t.end_s + 1e-9
                for t in TURNS
                if t.speaker == name
            )
    assert len(choose_excerpts(TURNS[:3])) == 3


def test_blocks_of_any_length_give_the_same_excerpts_at_one_level():
    sound = np.concatenate([tone(100, 0.002), tone(110, 0.5)])
    excerpts = choose_excerpts(TURNS[:20])
    peaks, sounds = cut_excerpts([sound], excerpts, 210.0)
    for length in (7919, 65536):
        blocks = [sound[start : start + length] for start in range(0, len(sound), length)]
        again, others = cut_excerpts(blocks, excerpts, 210.0)
        assert np.array_equal(again, peaks)
        assert others == sounds
    assert peaks[:280] == pytest.approx(0.002, rel=0.05)
    assert peaks[290:] == pytest.approx(0.5, rel=0.05)
    for excerpt, mp3 in zip(excerpts, sounds, strict=True):
        samples, rate = soundfile.read(io.BytesIO(mp3))
        assert (samples.ndim, rate) == (1, 16000)
        assert len(samples) / rate == pytest.approx(excerpt.end_s - excerpt.start_s, abs=0.15)
        assert np.sqrt(np.mean(samples**2)) == pytest.approx(0.1, rel=0.15)
    assert max(map(len, sounds)) < 40_000


def test_the_page_of_an_earlier_run_is_removed_and_other_pages_are_kept(tmp_path):
    path = tmp_path / "turns.listen.html"
    assert write_listening_page([listened("a")], "depmm", path)
    assert not write_listening_page([], "depmm", path)
    assert not path.exists()
    path.write_text("<p>notes</p>", encoding="utf-8")
    write_listening_page([], "depmm", path)
    assert path.exists()


@pytest.mark.skipif(BROWSER is None, reason="chromium is not installed")
def test_the_page_in_a_browser(tmp_path):
    recordings = [listened(HOSTILE), listened("P2/b", reason="the recording has changed")]
    html = render_listening_page(recordings, "depmm steps '<b>' --participant participants.csv")
    assert "<b>" not in html
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    frames = "".join(
        f'<iframe src="page.html" width="{width}" height="900" style="border:0"></iframe>'
        for width in (1200, 390)
    )
    (tmp_path / "walk.html").write_text(WALK.format(frames=frames), encoding="utf-8")
    views, log = browse(
        tmp_path / "walk.html", tmp_path / "profile", "--allow-file-access-from-files",
        "--autoplay-policy=no-user-gesture-required", milliseconds=20000,
    )  # fmt: skip
    assert "Refused" not in log
    for seen in views:
        assert seen["sideways"] == 0
        assert seen["images"] == 0  # the name of the recording is text
        assert seen["headings"] == [HOSTILE, "P2/b"]
        assert seen["excerpts"] == [8, 8, 8, 8]
        assert seen["playable"] == pytest.approx(3.0, abs=0.2)
        assert (seen["playing"], seen["stopped"]) == (1, 0)
        assert seen["before"]
        assert seen["count"] == "2 of 2 chosen"
        assert seen["pressed"] == ["speaker_2", "speaker_1"]
        assert seen["after"] == "1 of 2 chosen"
        assert seen["requests"] == 0
        name, text = seen["file"]
        assert name == "participants.csv"
        rows = list(csv.reader(io.StringIO(text)))
        assert rows == [
            list(COLUMNS),
            [HOSTILE, "speaker_2", "f" * 16, "0" * 16],
            ["P2/b", "speaker_1", "f" * 16, "0" * 16],
        ]
