"""Claims of README.md and of the documentation name a table of measured results, or their source.

README.md and the first pages of the documentation are read more strictly than the pages below them.

A claim is a sentence, an item of a list or a cell of a table with

- a value of a metric: a metric, and a number with decimals;
- a time, size, rate or ratio: a number with a unit, except how long a step of the tutorial takes
  there, as "(5 s)";
- a comparison or a superlative: "faster than", "better", "outperforms", "the best";
- "finds" or "detects", which state that something is found reliably.

It must link to ``#table-NAME`` of the page of results, whose table shows its numbers with decimals.
Code blocks are what a program prints, and are not read.

Pages in the folders of ``docs`` also contain settings and definitions. There, a figure is a metric
with a number, a rate such as .95 (settings are code, or have a zero before the point), or a time
that something takes. Its section names the script or test that computes it, links to a table or to
the page of simulations, whose sections name theirs, or says that no command of the repository does;
or the sentence cites a paper. Pages that are generated from a YAML file beside them quote papers.
"""

import re
from pathlib import Path

import pytest

from experiments.results_figures import strip_code
from experiments.results_page import PAGE, Page

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
METRIC = r"AUROC|AUC|accuracy|F1|RMSE|MAE|CCC|recall|precision|false discovery rate"
UNIT = r"%|times|s|ms|min|minutes|seconds|hours|MiB|GiB|MB|GB|frames/s|frames per second"
CLAIM = re.compile(
    rf"""
    (?:{METRIC}).*?(?<![\w.])\d?\.\d
    | (?<![\w.-])(?!\d+\ss\))\d[\d.,]*\s(?:{UNIT})(?![\w/])
    | \b(?:more|less|fewer|\w+er|better|worse)\s(?:\w+\s)?than\b
    | \b(?:better|best|fastest|outperforms?|beats?|state[ ]of[ ]the[ ]art)\b
    | \b(?:finds|detects)\b
    """,
    re.VERBOSE,
)
NUMBER = re.compile(r"(?<![\w.])\d*\.\d+")
LINK = re.compile(r"\((?:experiments/README|(?:\.\./)?results)\.md#table-([a-z0-9_]+)\)")
SUBPAGES = [
    page
    for page in sorted((ROOT / "docs").glob("*/**/*.md"))
    if not page.with_suffix(".yaml").exists()
]
FIGURE = re.compile(
    rf"""
    \b(?:{METRIC})\b.*?(?<![\w.])\d?\.\d
    | (?<![\w.])\.\d
    | \b(?:takes?|took)\s(?:about\s)?\d[\d.,]*\s(?:{UNIT})(?![\w/])
    | \btimes\sreal\stime\b
    """,
    re.VERBOSE,
)
SCRIPT = re.compile(r"\b(?:experiments/benchmarks|tests)/[\w/]+\.py")
PROVENANCE = re.compile(
    r"\(simulations\.md#|no command\sof\sthe\srepository\srepeats"
    r"|copied\sfrom\sthe\soutput\sof\sthese\scommands"
)
CITATION = re.compile(r"\b(?:19|20)\d\d\b|https://")


def sentences(markdown: str) -> list[str]:
    """Sentences, items and cells, with links, without code blocks."""
    text = re.sub(r"^```.*?^```", "", markdown, flags=re.DOTALL | re.MULTILINE)
    blocks = re.split(r"\n\s*\n|\n(?=\s*(?:[-*|]|\d+\.)\s?)|\s\|\s", text)
    return [
        sentence
        for block in blocks
        for sentence in re.split(r"(?<=[.:;!?])\s+(?=[A-Z`\[*])", " ".join(block.split()))
    ]


def sections(markdown: str) -> list[str]:
    """Text of each heading up to the next one; a comment in a code block is no heading."""
    parts, fenced = [""], False
    for line in markdown.splitlines(keepends=True):
        fenced ^= line.startswith("```")
        if line.startswith("#") and not fenced:
            parts.append("")
        parts[-1] += line
    return parts


def figures_without_source(markdown: str) -> list[str]:
    found = []
    for section in sections(markdown):
        if not (SCRIPT.search(section) or PROVENANCE.search(section) or LINK.search(section)):
            found += [s for s in sentences(section) if FIGURE.search(strip_code(s))]
    return [s for s in found if not CITATION.search(s)]


def claims(markdown: str) -> list[str]:
    return [s for s in sentences(markdown) if CLAIM.search(strip_code(s)) and not LINK.search(s)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_claims_name_a_table(page):
    text = page.read_text(encoding="utf-8")
    assert not claims(text)
    check_links(text)


def check_links(text: str) -> None:
    """Check that linked tables exist and show the numbers of the sentence."""
    results = PAGE.read_text(encoding="utf-8")
    for sentence in sentences(text):
        for name in LINK.findall(sentence):
            _, anchor, rest = results.partition(f'<a id="table-{name}"></a>')
            assert anchor, name
            numbers = NUMBER.findall(strip_code(sentence))
            assert set(numbers) <= set(NUMBER.findall(rest.partition("<small>")[0])), sentence


@pytest.mark.parametrize("page", SUBPAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_figures_of_subpages_have_a_source(page):
    text = page.read_text(encoding="utf-8")
    assert not figures_without_source(text)
    check_links(text)
    for script in SCRIPT.findall(text):
        assert (ROOT / script).is_file(), script


def test_no_fusion_is_better_than_the_sum_on_acted_speech():
    """README.md says so; if the tables are recorded again, this sentence may have to change."""
    page = Page()
    for name in ("systems_emodb", "systems_ravdess"):
        assert page.names(name, "minus sum of logits", "p", 1) == "none"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("# A\nThe AUROC is 0.9.\n# B\nSee `tests/test_claims.py`.", 1),
        ("# A\nThe AUROC is 0.9. See `tests/test_claims.py`.", 0),
        ("| a | .95 |\n", 1),
        ("It took 3 s.", 1),
        ("The AUROC is .9 (Zou 2007).", 0),
        ("At least 0.5 s, `p < .05`, and\n```\n# .95 in a comment\n```\n", 0),
        ("```\n# `tests/a.py`\n```\nA rate of .9.", 0),
        ("A rate of .917 ([table](../results.md#table-systems_congruence)).", 0),
    ],
)
def test_figures_without_a_source_are_recognised(text, number):
    assert len(figures_without_source(text)) == number


@pytest.mark.parametrize(
    "text",
    [
        "The demo reaches an AUROC of .95.",
        "It reads any corpus. Training takes 12 s on one core.",
        "- DEP-Former is better than\n  the sum of its halves",
        "| `demo` | the best fusion |",
        "It finds planted words.",
        "Interviews are read at 15 times real time ([code](experiments/README.md)).",
        "Extraction is faster than MediaPipe alone; see `x.py`.",
    ],
)
def test_claims_are_recognised(text):
    assert len(claims(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "An AUROC of .95 ([table](experiments/README.md#table-demo)).",
        "```\nauroc 0.389 [0.149, 0.706]\n```",
        "Python 3.11 or newer simulates 96 subjects who read 12 words (`effect 1.25`).",
        "Every metric has a confidence interval.",
    ],
)
def test_other_sentences_are_no_claims(text):
    assert not claims(text)
