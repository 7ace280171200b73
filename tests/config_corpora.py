"""The simulated corpus of a config, made by the commands in the headers of the configs.

``data.manifest`` of a config is ``corpora/NAME/manifest``. NAME is the name of a data spec, unless
the header of a config contains the command ``depmm index SPEC ... --out corpora/NAME/manifest``,
which may also change the windows.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from depmm.config import Experiment
from depmm.corpora.spec import find_spec

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "experiments" / "configs"
# corpora that no shipped spec describes
OTHER_SPECS = {"planted_words": ROOT / "experiments" / "benchmarks" / "planted_words_spec.yaml"}
# what the spec of a corpus does not state about its simulation
FURTHER_TEXT = {"planted_words": "simulate: {shapes: {voice: [4], motion: [4]}}"}
# the class is a part of the ids of these corpora, and the models do not read ids
ALLOWED = {
    "ewre": ["id_order_shortcut", "id_runs_shortcut"],
    "ewre_raw": ["id_order_shortcut", "id_runs_shortcut"],
}
# subjects and words per recording, with which every config runs in seconds
N_SUBJECTS, N_WORDS = 10, 3
SIZES: dict[str, tuple[int, int]] = {
    "demo": (10, 6),
    "demo_fusion": (10, 6),
    "ewre": (10, 24),
    "ewre_raw": (10, 6),
    "planted_words": (10, 6),
    "ravdess": (8, 1),
}


@dataclass(frozen=True)
class ConfigCorpus:
    """How the corpus of a config is simulated and indexed.

    Attributes
    ----------
    name : str
        Name of its folder below ``corpora``.
    spec : Path
        Its data spec.
    options : list of str
        Options of ``depmm index``, such as ``--window``.
    """

    name: str
    spec: Path
    options: list[str]

    @property
    def subjects(self) -> int:
        """Number of simulated subjects."""
        return SIZES.get(self.name, (N_SUBJECTS, N_WORDS))[0]

    @property
    def words(self) -> int:
        """Number of words in each recording."""
        return SIZES.get(self.name, (N_SUBJECTS, N_WORDS))[1]


def find_corpus(config: Experiment) -> ConfigCorpus:
    """Find the corpus of a config by its manifest."""
    manifest = config.data.manifest
    first, name, last = manifest.parts
    assert f"{first}/{last}" == "corpora/manifest", f"{manifest} is not corpora/NAME/manifest"
    commands = {tuple(words) for words in index_commands() if f"{manifest}" in words}
    assert len(commands) < 2, f"the headers of the configs disagree: {commands}"
    if not commands:
        return ConfigCorpus(name, OTHER_SPECS.get(name) or find_spec(name), [])
    spec, _, *options = commands.pop()
    out = options.index("--out")
    return ConfigCorpus(name, find_spec(spec), [*options[:out], *options[out + 2 :]])


@cache
def index_commands() -> list[list[str]]:
    """List the arguments of the ``depmm index`` commands in the headers of all configs."""
    found = []
    for path in CONFIGS.glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        for line in re.findall(r"^#.*?depmm index (.*)$", text, flags=re.MULTILINE):
            words = line.split()
            # the second word is the folder of the recordings
            found.append([words[0], "", *words[2:]])
    return found


def make_corpus(corpus: ConfigCorpus, depmm: Callable[..., Any]) -> Path:
    """Simulate, index and audit a corpus below the working directory; return the recordings."""
    folder = Path("corpora") / corpus.name
    folder.mkdir(parents=True)
    text = corpus.spec.read_text(encoding="utf-8")
    if "\nfaces:" not in text:  # rendered faces need no tracker, whose model is a download
        text += "\nfaces: aligned\n"
    spec = folder / corpus.spec.name
    spec.write_text(f"{text}\n{FURTHER_TEXT.get(corpus.name, '')}\n", encoding="utf-8")
    recordings = folder / "recordings"
    layout = [] if corpus.spec.stem == "ewre_simulated" else ["--spec", spec]
    size = ["--subjects", corpus.subjects, "--steps", corpus.words, "--workers", 1]
    run(depmm, "simulate", recordings, *layout, *size)
    run(depmm, "index", spec, recordings, "--out", folder / "manifest", *corpus.options)
    allowed = [option for name in ALLOWED.get(corpus.name, []) for option in ("--allow", name)]
    run(depmm, "audit", folder / "manifest", "--root", recordings, *allowed)
    return recordings


def run(depmm: Callable[..., Any], *arguments: object) -> None:
    """Run a command, which must succeed."""
    result = depmm(*arguments)
    assert result.code == 0, f"depmm {' '.join(map(str, arguments))}\n{result.out}\n{result.err}"
