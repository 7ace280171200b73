"""Windows of files, of table rows and of the command line."""

import itertools

import layouts
import numpy as np
import pytest
import soundfile
from simulated_layouts import HEAD

from depmm.corpora.corpus_facts import Windows
from depmm.corpora.index import index_corpus
from depmm.corpora.manifest import read_manifest
from depmm.corpora.spec import parse_spec
from depmm.corpora.windows import cut_into_windows

TURNS = (
    HEAD
    + """
recordings:
  - pattern: "{subject}.wav"
    modalities: [audio]
session: "{subject}"
steps:
  table:
    file: "{subject}.csv"
    join: {subject: subject}
    fields: {start: start, end: end, text: text, task: task}
  windows: {length_s: 2.0}
  excluded_intervals: [{when: {subject: a}, start_s: 13.5, end_s: 13.6}]
"""
)


@pytest.mark.parametrize(
    ("length_s", "hop_s", "end_s", "expected"),
    [
        (4.0, None, 9.5, [(1, 5), (5, 9), (9, 9.5)]),
        (4.0, None, 9.05, [(1, 5), (5, 9.05)]),  # 50 ms may be an error of the header
        (4.0, None, 2.5, [(1, 2.5)]),
        (4.0, None, 5.0, [(1, 5)]),
        (4.0, 2.0, 9.0, [(1, 5), (3, 7), (5, 9)]),
        (4.0, 2.0, 9.5, [(1, 5), (3, 7), (5, 9), (7, 9.5)]),
        (1.0, 3.0, 6.0, [(1, 2), (4, 5)]),  # gaps on request
        (1.0, 3.0, 7.5, [(1, 2), (4, 5), (7, 7.5)]),
    ],
)
def test_windows_by_hand(length_s, hop_s, end_s, expected):
    windows = Windows(length_s=length_s, hop_s=hop_s)
    np.testing.assert_allclose(list(cut_into_windows(1.0, end_s, windows)), expected, rtol=1e-9)


def test_windows_without_a_gap_have_every_second():
    for start_s, length_s in itertools.product(np.arange(50) / 10, (0.2, 0.3, 0.5, 1.0)):
        for end_s in start_s + np.arange(1, 50) / 10:
            parts = list(cut_into_windows(start_s, end_s, Windows(length_s=length_s)))
            assert parts[0][0] == start_s
            assert parts[-1][1] == end_s
            assert all(after[0] == part[1] for part, after in itertools.pairwise(parts))
            assert min(end - start for start, end in parts) > 0.0999


@pytest.mark.parametrize("rate_hz", [10, 25, 100])
@pytest.mark.parametrize("length_s", [0.1, 0.2, 0.3, 1.1])
def test_a_row_at_a_boundary_is_in_the_window_that_it_starts(length_s, rate_hz):
    times = np.arange(60 * rate_hz) / rate_hz
    starts, ends = np.transpose(list(cut_into_windows(0.0, 60.0, Windows(length_s=length_s))))
    found = np.searchsorted(starts, times, "right") - 1
    assert (times < ends[found]).all()  # of windows from start to end, without the end
    exact = np.arange(60 * rate_hz) * 1000 // rate_hz // round(1000 * length_s)
    assert found.tolist() == exact.clip(max=len(starts) - 1).tolist()


def test_windows_of_table_rows_keep_order_and_task(tmp_path):
    rows = "start,end,text,task\n1,2.5,short,free\n3,6,long one,read\n12,,last,read\n"
    files = {"a.wav": "", "a.csv": rows}
    root = layouts.write(tmp_path, files)
    manifest, report = index_corpus(parse_spec(TURNS, "toy"), root, lambda path, stream: 17.0)
    steps = manifest.steps
    assert steps[["start_s", "end_s"]].to_numpy().tolist() == [
        [1, 2.5], [3, 5], [5, 6], [14, 16], [16, 17],
    ]  # fmt: skip
    assert steps["task"].tolist() == ["free", "read", "read", "read", "read"]
    # the text of a turn is not known for its parts
    assert steps["text"].fillna("-").tolist() == ["short", "-", "-", "-", "-"]
    assert report.excluded == (("a.wav", "a step at 12.000 s, inside steps.excluded_intervals"),)


def test_windows_follow_the_longest_recording_and_masked_parts_are_listed(tmp_path):
    text = TURNS.replace("{subject}.csv", "{subject}.tsv").replace(
        "    fields: {start", "    required: false\n    fields: {start"
    )
    text = text.replace(
        "recordings:\n",
        """recordings:
  - pattern: "{subject}.mp4"
    modalities: [face]
""",
    )
    root = layouts.write(tmp_path, {"b.wav": "", "b.mp4": ""})
    spec = parse_spec(text, "toy")
    manifest, report = index_corpus(spec, root, lambda path, stream: 3 + (path.suffix == ".wav"))
    assert manifest.steps["end_s"].tolist() == [2, 4]
    assert report.excluded == (
        ("b.mp4", "ends at 3.000 s; the other 1.000 s (25%) of the step are masked"),
    )


def test_the_command_replaces_the_windows_of_a_spec(tmp_path, depmm):
    (tmp_path / "corpus").mkdir()
    soundfile.write(tmp_path / "corpus" / "03a01Na.wav", np.zeros(16000 * 3), 16000)
    out = tmp_path / "manifest"
    arguments = ("index", "emodb", tmp_path / "corpus", "--out", out)
    expected = {(): [None], ("--window", 2): [2, 3], ("--window", 2, "--hop", 1): [2, 3]}
    for options, ends in expected.items():
        assert depmm(*arguments, *options).code == 0
        assert [None if e != e else e for e in read_manifest(out).steps["end_s"]] == ends
    for options in (("--window", -1), ("--hop", 1), ("--window", 0, "--hop", 1)):
        assert depmm(*arguments, *options).code == 2
