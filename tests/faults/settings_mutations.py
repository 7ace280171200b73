"""Mutated data specs and configs; a seed gives the same text again."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

N_SETTINGS = 60

CONFIG = """\
name: tried
seed: 1
out: {out}
split: {{kind: official}}
target:
  kind: binary
  column: label
data:
  manifest: {manifest}
  store: {store}
  modalities: [audio]
  max_audio_s: 0.5
  max_steps: 512
model:
  encoders:
    audio: {{kind: mfcc_cnn, n_mfcc: 8, n_mels: 16, channels: [8], embed_dim: 8, dropout: 0.0}}
  fusion: {{kind: mean_pool, dropout: 0.0}}
training:
  epochs: 1
  batch_size: 4
  learning_rate: 0.01
evaluation: {{n_bootstrap: 100}}
"""


@dataclass(frozen=True)
class SettingsCase:
    """One mutated spec or config.

    Attributes
    ----------
    kind : str
        Key of ``TEXT_CHANGES``, or of ``VALUES``.
    file : {"spec.yaml", "config.yaml"}
        What is mutated.
    seed : int
        Seed of all choices.
    """

    kind: str
    file: str
    seed: int

    def __str__(self) -> str:
        return f"settings {self.kind} {self.file} seed {self.seed}"


Change = Callable[[str, np.random.Generator], str]


def _line(text: str, rng: np.random.Generator) -> tuple[list[str], int]:
    lines = text.splitlines()
    keys = [index for index, line in enumerate(lines) if ": " in line or line.endswith(":")]
    return lines, int(rng.choice(keys))


def _join(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


def _unknown_key(text: str, rng: np.random.Generator) -> str:
    """Misspell a key."""
    lines, index = _line(text, rng)
    start, colon, rest = lines[index].partition(":")
    lines[index] = f"{start[:-1]}x{start[-1]}{colon}{rest}"
    return _join(lines)


def _repeat_key(text: str, rng: np.random.Generator) -> str:
    lines = text.splitlines()
    top = [index for index, line in enumerate(lines) if line[0].isalpha() and ": " in line]
    index = int(rng.choice(top))
    return _join([*lines, lines[index]])


def _indent(text: str, rng: np.random.Generator) -> str:
    lines, index = _line(text, rng)
    lines[index] = rng.choice([" ", "   ", "\t"]) + lines[index]
    return _join(lines)


def _bracket(text: str, rng: np.random.Generator) -> str:
    lines, index = _line(text, rng)
    lines[index] += str(rng.choice([" [", " {", " ]", ' "', " 'x", " : :", " *x", " &"]))
    return _join(lines)


def _cut(text: str, rng: np.random.Generator) -> str:
    """Cut inside a key, so that the rest is not a shorter document of the same kind."""
    lines, index = _line(text, rng)
    return _join([*lines[:index], lines[index].partition(":")[0]])


def _deep(text: str, rng: np.random.Generator) -> str:
    depth = int(rng.choice([500, 20_000, 200_000]))
    opened, closed = [("[", "]"), ("{a: ", "}")][rng.integers(2)]
    return text + f"known_issues: {opened * depth}{closed * depth}\n"


def _bomb(text: str, rng: np.random.Generator) -> str:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{i}: &a{i} [{', '.join(['*a' + str(i - 1)] * 10)}]" for i in range(1, 10)]
    return _join(rows) + text


def _tag(text: str, rng: np.random.Generator) -> str:
    tags = ["!!python/object/apply:os.system [id]", "!!python/name:os.system", "!x y", "!!binary x"]
    lines = text.splitlines()
    lines[0] = f"name: {rng.choice(tags)}"
    return _join(lines)


def _other_document(text: str, rng: np.random.Generator) -> str:
    others = [
        "",
        "- a\n- b\n",
        "just text\n",
        f"---\n{text}---\n{text}",
        "\0" + text,
        "null\n",
        "1\n",
    ]
    return others[rng.integers(len(others))]


TEXT_CHANGES: dict[str, Change] = {
    "unknown_key": _unknown_key,
    "repeat_key": _repeat_key,
    "indent": _indent,
    "bracket": _bracket,
    "cut": _cut,
    "deep": _deep,
    "bomb": _bomb,
    "tag": _tag,
    "other_document": _other_document,
}

HOSTILE = ['"../../outside"', '"/etc/passwd"', '"a\\nb"', '"a\\0b"', f'"{"x" * 300}"', '".."', '""']
HUGE = ["1e400", "9" * 400, "-1", "0", ".nan", ".inf", "-.inf", "1e-400", '"4"', "true", "[]", "{}"]
# line of the text -> values of which none can be used there
VALUES: dict[str, list[tuple[str, list[str]]]] = {
    "spec.yaml": [
        ("name: ", HOSTILE),
        ("cut_off: ", [".nan", '"many"', "1e400", "[]"]),
        ("instrument: ", ["PHQ-10", "3", "[]", '""']),
        ("rate_hz: ", ["0", "-30", ".nan", "1e400", '"ten"', "[]"]),
        ("at_least: ", [".nan", '"x"', "{}"]),
        ('pattern: "{subject}.wav"', ["..", '"{subject}/../../x"', '"{subject"', '"[.wav"', "3"]),
        ("modalities: ", ["[voice]", "audio", "[]", "3"]),
        ("score: ", ["[phq]", '"no such field"', "{a: b}"]),
        ("join: ", ["{}", "{id: nothing}", "subject", "3"]),
    ],
    "config.yaml": [
        ("name: ", HOSTILE),
        ("seed: ", ["1.5", "x", "[]", "1e400"]),
        ("kind: official", ["unofficial", "3", "[]"]),
        ("max_audio_s: ", HUGE[2:7]),
        ("max_steps: ", ["0", "-1", "1.5", "1e400", ".nan", '"9"']),
        ("epochs: ", ["0", "-1", "1.5", '"1"', ".nan", "[]"]),
        ("batch_size: ", ["0", "-1", "1e400", "x"]),
        ("learning_rate: ", ["-1", "1e-4", ".nan", ".inf", "fast"]),
        ("column: ", ["nothing", "3", "[]"]),
        ("manifest: ", ["/no/such/folder", "3", '"a\\0b"', '""']),
        ("store: ", ["/no/such/folder", '"memory://x"', '"http://127.0.0.1:9/x"', "[]"]),
        ("modalities: ", ["[voice]", "[]", "audio", "[audio, audio]"]),
    ],
}


def settings_cases(n: int = N_SETTINGS) -> list[SettingsCase]:
    """List ``n`` cases: specs and configs in turn, changes of the text and of values in turn."""
    texts = list(TEXT_CHANGES)
    cases = []
    for seed in range(n):
        file = ("spec.yaml", "config.yaml")[seed % 2]
        entries = VALUES[file]
        index = seed // 4
        kind = texts[index % len(texts)] if seed % 4 < 2 else entries[index % len(entries)][0]
        cases.append(SettingsCase(kind, file, seed))
    return cases


def mutate_settings(case: SettingsCase, text: str) -> str:
    """Return the mutated text.

    Parameters
    ----------
    case : SettingsCase
        The mutation.
    text : str
        The undamaged spec or config.
    """
    rng = np.random.default_rng(case.seed)
    if case.kind in TEXT_CHANGES:
        return TEXT_CHANGES[case.kind](text, rng)
    values = dict(VALUES[case.file])[case.kind]
    value = values[rng.integers(len(values))]
    begin = text.index(case.kind)
    key_end = begin + case.kind.index(": ") + 2
    end = key_end
    depth = 0
    while text[end] != "\n" and not (depth == 0 and text[end] in ",}"):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(text[end], 0) if text[end] in "[{]}" else 0
        end += 1
    return text[:key_end] + value + text[end:]
