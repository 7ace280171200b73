"""Import rules: allowed dependencies between packages, and fast imports."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "depmm"
FILES = sorted(PACKAGE.rglob("*.py"))

LEAVES = {
    "config",
    "cores",
    "device",
    "errors",
    "files",
    "inputs",
    "interrupts",
    "multiple_testing",
    "processes",
    "progress",
    "schemas",
    "shards",
    "shipped_files",
}
MAY_IMPORT = {
    "config": {"errors", "files", "shipped_files"},
    "cores": set(),
    "device": set(),
    "errors": set(),
    "files": {"errors", "schemas"},
    "inputs": set(),
    "interrupts": set(),
    "multiple_testing": set(),
    "pages": set(),
    "processes": set(),
    "progress": set(),
    "schemas": {"errors"},
    "shards": {"errors"},
    "shipped_files": {"errors"},
    "terminal": set(),
    "corpora": LEAVES,
    "media": LEAVES,
    "models": LEAVES,
    "simulation": LEAVES | {"corpora", "media"},
    "store": LEAVES | {"corpora", "media", "models"},
    "measures": LEAVES | {"corpora", "media", "store"},
    "new_spec": LEAVES | {"corpora", "media"},
    "steps": LEAVES | {"corpora", "media", "models", "pages"},
    "audit": LEAVES | {"corpora", "media", "store"},
    "contact_sheet": LEAVES | {"corpora", "media", "pages", "store"},
    "data": LEAVES | {"corpora", "measures", "store"},
    "evaluation": LEAVES | {"corpora", "data", "measures", "pages"},
    "runs": LEAVES | {"corpora", "audit", "data", "models", "evaluation"},
    "sharing": LEAVES | {"corpora", "pages", "models", "evaluation", "runs", "__init__"},
    "training": LEAVES | {"corpora", "measures", "data", "models", "evaluation", "runs"},
    "interpret": LEAVES | {"corpora", "data", "models", "evaluation", "runs", "pages"},
}
ANYTHING = {
    "auto_classes",
    "cli",
    "doctor",
    "inference",
    "reporting",
    "run_comparison",
    "__init__",
    "__main__",
}
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "registry", "base"}


def imports(path: Path) -> list[str]:
    """Return the absolute names of all modules that a file imports."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            names.append(node.module or "")
    return names


def part(module: str) -> str:
    """Return the package below depmm that a module belongs to."""
    pieces = module.split(".")
    return pieces[1] if len(pieces) > 1 else "__init__"


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_only_allowed_packages(path):
    package = part(module_name(path))
    if package in ANYTHING:
        return
    others = {part(name) for name in imports(path) if name.split(".")[0] == "depmm"}
    wrong = others - MAY_IMPORT[package] - {package}
    assert not wrong, f"{path.relative_to(ROOT)} imports depmm.{wrong.pop()}"
    if package == "corpora":
        assert not {"torch", "transformers"} & {name.split(".")[0] for name in imports(path)}


def test_no_cycles():
    graph = {
        module_name(path).removesuffix(".__init__"): {
            name for name in imports(path) if name.startswith("depmm")
        }
        for path in FILES
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, f"import cycle: {' -> '.join((*trail, name))}"
        if name in done or name not in graph:
            return
        for other in graph[name]:
            visit(other, (*trail, name))
        done.add(name)

    for name in graph:
        visit(name, ())


def test_module_names_are_specific():
    assert not [path for path in FILES if path.stem in FORBIDDEN_NAMES]


def test_no_file_is_unpickled_or_loaded_unsafely():
    for path in [*FILES, *sorted((ROOT / "experiments").rglob("*.py"))]:
        text = path.read_text(encoding="utf-8")
        for danger in ("import pickle", "allow_pickle=True", "yaml.load(", "torch.load("):
            assert danger not in text, f"{path}: {danger}"


@pytest.mark.parametrize("module", ["depmm", "depmm.cli"])
def test_heavy_libraries_are_not_imported(module):
    """Heavy libraries are imported only when a command needs them."""
    heavy = ["torch", "torchaudio", "transformers", "mediapipe", "librosa", "cv2", "av"]
    heavy += ["duckdb", "pandas"]
    code = f"import sys, {module}; print(*[n for n in {heavy} if n in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == []


@pytest.mark.parametrize("module", ["depmm.interpret.query.ask", "depmm.data.data_summary"])
def test_what_reads_tables_does_not_import_the_network(module):
    """``depmm ask`` and ``depmm evaluate`` start without torch, in up to half of the time."""
    code = f"import sys, {module}; print({{'torch', 'accelerate'}} & {{*sys.modules}})"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"
