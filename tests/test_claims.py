"""Claims of README.md and of the first pages of the documentation name a table of measured results.

A claim is a sentence, an item of a list or a cell of a table with

- a value of a metric: a metric, and a number with decimals;
- a time, size, rate or ratio: a number with a unit, except how long a step of the tutorial takes
  there, as "(5 s)";
- a comparison or a superlative: "faster than", "better", "outperforms", "the best";
- "finds" or "detects", which state that something is found reliably.

It must link to ``#table-NAME`` of the page of results, whose table shows its numbers with decimals.
Code blocks are what a program prints, and
are not read.
"""

import re
from pathlib import Path

import pytest

from experiments.results_figures import strip_code
from experiments.results_page import PAGE

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
LINK = re.compile(r"\((?:experiments/README|results)\.md#table-([a-z0-9_]+)\)")


def sentences(markdown: str) -> list[str]:
    """Sentences, items and cells, with links, without code blocks."""
    text = re.sub(r"^```.*?^```", "", markdown, flags=re.DOTALL | re.MULTILINE)
    blocks = re.split(r"\n\s*\n|\n(?=\s*(?:[-*|]|\d+\.)\s?)|\s\|\s", text)
    return [
        sentence
        for block in blocks
        for sentence in re.split(r"(?<=[.:;!?])\s+(?=[A-Z`\[*])", " ".join(block.split()))
    ]


def claims(markdown: str) -> list[str]:
    return [s for s in sentences(markdown) if CLAIM.search(strip_code(s)) and not LINK.search(s)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_claims_name_a_table(page):
    text = page.read_text(encoding="utf-8")
    assert not claims(text)
    results = PAGE.read_text(encoding="utf-8")
    for sentence in sentences(text):
        for name in LINK.findall(sentence):
            _, anchor, rest = results.partition(f'<a id="table-{name}"></a>')
            assert anchor, name
            numbers = NUMBER.findall(strip_code(sentence))
            assert set(numbers) <= set(NUMBER.findall(rest.partition("<small>")[0])), sentence


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
