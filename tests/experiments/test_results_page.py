"""The page of results: it equals its template and results files, and shows nothing else."""

import json
import re
import subprocess
import sys

import pytest

from experiments.results import RESULTS, aim, check_cell, interval, record
from experiments.results_figures import stray_figures
from experiments.results_page import PAGE, TEMPLATE, Page
from experiments.results_source import git
from experiments.results_tables import format_cell, markdown_rows

FILES = sorted(RESULTS.glob("*.json"))
HISTORY = git("rev-parse", "--is-shallow-repository") == "false"


def test_the_page_is_that_of_the_template_and_the_results_files():
    page = Page()
    text = page.render(TEMPLATE.read_text(encoding="utf-8"))
    assert text == PAGE.read_text(encoding="utf-8"), "run make results"
    assert sorted(page.used) == [path.stem for path in FILES], "a results file is not shown"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_results_files_name_their_source(path):
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["name"] == path.stem
    for key in ("date", "command", "machine"):
        assert content[key]
    assert set(content["versions"]) == {"python", "torch", "numpy"}
    assert {"seeds", "interval", "notes", "uncommitted_changes"} <= set(content)
    for row in content["rows"]:
        for column, cell in row.items():
            check_cell(column, cell, content["interval"])
    assert not re.search(r"/(tmp|work|home|root|Users)/", path.read_text(encoding="utf-8"))
    for script in re.findall(r"\S+\.py\b", content["command"]):
        assert (RESULTS.parents[1] / script).is_file(), script


@pytest.mark.skipif(not HISTORY, reason="the history of git is not available")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_commits_of_results_files_are_known(path):
    for commit in json.loads(path.read_text(encoding="utf-8"))["commits"]:
        done = subprocess.run(
            ["git", "merge-base", "--is-ancestor", commit, "HEAD"],
            cwd=RESULTS,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, f"{commit} is not in the history: record the table again"


@pytest.fixture
def page(tmp_path):
    """A page with a results file of two systems and one of two speeds."""
    record(
        "systems",
        [
            {"config": "svm", "kind": "a", "auroc": interval(0.9174, 0.905, 1.0), "n": 1200},
            {"config": "mult", "kind": "b", "auroc": 0.5, "n": None},
        ],
        command="depmm train svm",
        seeds=range(20),
        interval="95 % over subjects",
        out=tmp_path,
    )
    record(
        "speed",
        [
            {"work": "attention", "ratio": interval(1.32, 1.21, 1.39), "aim": aim(at_most=1.2)},
            {"work": "epoch", "ratio": 0.9, "aim": aim(at_least=0.88)},
            {"work": "other", "ratio": 0.9, "aim": None},
        ],
        command="python speed.py",
        interval="range of seven runs",
        out=tmp_path,
    )
    return Page(tmp_path)


def test_a_table_states_its_source(page):
    text = page.render("{{ table('systems') }}")
    assert "```\ndepmm train svm\n```" in text
    assert '<a id="table-systems"></a>' in text
    assert "| `svm` | a | .917 [.905, 1.000] | 1,200 |" in text
    assert "| `mult` | b | .500 |  |" in text
    assert "Seeds 0 to 19. Intervals: 95 % over subjects." in text


def test_parts_of_a_table_share_one_source(page):
    text = page.render("{{ table('systems', where={'kind': 'a'}) }}\n{{ table('systems', ['n']) }}")
    assert text.count("depmm train svm") == text.count('id="table-systems"') == 1
    assert "| n |" in text
    assert "| config | AUROC | n |" in text


def test_the_command_of_several_tables_is_shown_once(page):
    record("more", [{"a": 1}], command="depmm train svm", out=page.results)
    text = page.render("{{ table('systems') }}\n{{ table('more') }}\n{{ table('speed') }}")
    assert re.findall("```\n(.+)\n```", text) == ["depmm train svm", "python speed.py"]


def test_a_row_that_misses_its_aim_says_so(page):
    lines = page.render("{{ table('speed', digits={'ratio': 2}) }}").splitlines()
    assert "| work | ratio | aim | aim met |" in lines
    assert "| attention | 1.32 [1.21, 1.39] | ≤ 1.2 | **no** |" in lines
    assert "| epoch | .90 | ≥ .88 | yes |" in lines
    assert "| other | .90 |  |  |" in lines


def test_a_table_that_is_not_measured_yet_is_named(page):
    template = (
        "{% if recorded('speed', 'unknown') %}{{ table('unknown') }}{% endif %}"
        "{% if recorded('speed') %}speed{% endif %} {{ not_recorded() }}"
    )
    assert page.render(template) == "speed Tables that are not measured yet: `unknown`."


@pytest.fixture
def effects(tmp_path):
    """A page with a table of effects: shown, not shown after the adjustment, and not tested."""
    bounds = {"a": (0.1, 0.3), "b": (0.01, 0.3), "c": (-0.4, -0.2), "d": (-0.1, 0.2)}
    p = {"a": 0.01, "b": 0.2, "c": 0.0001, "d": None}
    rows = [
        {"part": name, "gain": interval((low + high) / 2, low, high), "p": p[name]}
        for name, (low, high) in bounds.items()
    ]
    rows.append({"part": "e", "gain": None, "p": None})
    record("parts", rows, command="x", seeds=[0, 1], interval="95 %", out=tmp_path)
    return Page(tmp_path)


def test_a_sentence_says_what_the_values_show(effects):
    words = ["costs", "no difference was shown", "helps"]
    said = {name: effects.judged("parts", name, "gain", "p", words) for name in "abcdef"}
    assert said["a"] == ".200 [.100, .300] (p = .010: helps)"
    assert said["b"] == ".155 [.010, .300] (p = .200: no difference was shown)"
    assert said["c"] == "-.300 [-.400, -.200] (p < .001: costs)"
    assert said["d"] == ".050 [-.100, .200] (no difference was shown)"
    assert said["e"] == said["f"] == "not measured"
    assert effects.judged("parts", "b", "gain") == ".155 [.010, .300] (higher)"
    assert [effects.direction("parts", name, "gain", "p") for name in "abcf"] == [1, 0, -1, None]
    assert effects.direction("parts", "a", "gain", chance=0.2) == 0
    # a bound at chance, and a value without an interval, show nothing
    assert effects.direction("parts", "a", "gain", chance=0.1) == 0
    assert effects.direction("parts", "a", "gain", chance=0.3) == 0


def test_a_value_without_an_interval_shows_nothing(page):
    assert page.judged("systems", "mult", "auroc", words=["x", "none", "z"]) == ".500 (none)"
    assert page.direction("systems", "svm", "auroc", chance=0.5) == 1


def test_a_sentence_about_several_rows_is_refused(page):
    record("twice", [{"a": "x", "b": 1.0}] * 2, command="x", out=page.results)
    with pytest.raises(ValueError, match="2 rows"):
        page.direction("twice", "x", "b")


def test_rows_are_named_by_what_they_show(effects):
    assert effects.names("parts", "gain", "p", 1) == "`a`"
    assert effects.names("parts", "gain", "p", -1) == "`c`"
    assert effects.names("parts", "gain", "p", 0) == "`b` and `d`"
    assert effects.names("parts", "gain", "p", 2) == "none"
    assert effects.largest("parts", "gain") == "a"
    assert effects.columns("parts", ["p", "unknown", "part"]) == ["p", "part"]
    assert effects.n_seeds("parts") == 2


def test_a_part_of_a_table_has_no_empty_rows(effects):
    assert "| e |" in effects.table("parts")
    assert "| e |" not in effects.table("parts", columns=["part", "gain"])


def test_rows_that_meet_their_aim_are_counted(page):
    assert page.render("{{ aims('speed', 'systems') }} aims are met.") == "1 of 2 aims are met."


def test_an_aim_without_a_measurement_is_not_met():
    rows = [{"ratio": None, "aim": aim(at_most=1.0)}]
    assert markdown_rows(rows).endswith("|  | ≤ 1 | **no** |")


def test_values_of_a_sentence_come_from_a_table(page):
    assert page.value("systems", "svm", "auroc") == ".917"
    assert page.value("systems", ["svm", "a"], "auroc", digits=2, bounds=True) == ".92 [.91, 1.00]"


@pytest.mark.parametrize(
    "template",
    [
        "{{ table('unknown') }}",
        "{{ table('systems', ['f1']) }}",
        "{{ table('systems', where={'kind': 'c'}) }}",
        "{{ value('systems', 'svm', 'f1') }}",
        "{{ value('systems', 'mult', 'n') }}",
        "{{ value('systems', 'knn', 'auroc') }}",
        "An AUROC of .917.",
        "It takes 12 s, and {{ setting('.5') }}.",
        "A gain of 12 %.",
        "| system | AUROC |\n|---|---|\n| `svm` | 1 |",
    ],
)
def test_refused(page, template):
    with pytest.raises(ValueError, match=r"README\.md\.jinja"):
        page.render(template)


def test_settings_papers_code_and_links_are_no_measured_figures(page):
    template = (
        "28 of 96 subjects with `dropout=0.3`, {{ setting('95 %') }}, {{ paper('.84') }} "
        "and [a link](x.md#2.5).\n```\ndepmm train learning_rate=0.1\n```\n"
    )
    assert not stray_figures(template)
    assert "95 %, .84" in page.render(template).replace(" and", ",")


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, ""),
        (True, "yes"),
        (100781, "100,781"),
        (0.0002, "< .001"),
        (-0.0471, "-.047"),
        (0.0, ".000"),
        (1.0, "1.000"),
        (9.876, "9.88"),
        (351.2, "351"),
        (12345.6, "12,346"),
        (interval(11.12, 9.0, 15.01), "11.12 [9.00, 15.01]"),
        (interval(-0.0004, -0.1, 0.1), ".000 [-.100, .100]"),
        (aim(at_most=60), "≤ 60"),
        (aim(at_least=1024), "≥ 1,024"),
        ("a|b", "a\\|b"),
    ],
)
def test_cells(cell, text):
    assert format_cell(cell) == text


def test_an_old_page_is_refused(monkeypatch, tmp_path):
    import experiments.results_page as module

    old = tmp_path / "README.md"
    old.write_text("old")
    monkeypatch.setattr(module, "PAGE", old)
    monkeypatch.setattr(sys, "argv", ["results_page.py", "--check"])
    with pytest.raises(SystemExit, match="out of date"):
        module.main()
    monkeypatch.setattr(sys, "argv", ["results_page.py"])
    module.main()
    assert old.read_text() == PAGE.read_text(encoding="utf-8")
