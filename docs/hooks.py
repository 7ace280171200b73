"""Pages that mkdocs generates from the code, the notebooks and files of the repository.

mkdocs calls ``on_files`` before it reads the pages (see ``hooks`` in ``mkdocs.yml``).
"""

import json
from pathlib import Path

from error_pages import errors_page
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from reference_pages import commands_page, settings_page, tables_page
from system_pages import markdown_table  # beside this file, where mkdocs and scripts find it

from depmm.config import config_json_schema
from depmm.measures.sets import SET_NAMES, measures_of
from depmm.media.voice import contours as voice_contours

ROOT = Path(__file__).parents[1]
REPOSITORY_FILES = {
    "results.md": "experiments/README.md",
    "reference/data_specs.md": "data_specs/README.md",
    "reference/changelog.md": "CHANGELOG.md",
    "reference/security.md": "SECURITY.md",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    pages = {
        "reference/commands.md": commands_page(),
        "reference/settings.md": settings_page(),
        "reference/tables.md": tables_page(),
        "reference/errors.md": errors_page(),
        "reference/measures.md": measures_page(),
        "reference/config.schema.json": json.dumps(config_json_schema(), indent=1),
    }
    for page, source in REPOSITORY_FILES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        pages[page] = text.replace("](../docs/", "](")
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        pages[f"tutorials/{notebook.stem}.md"] = notebook_page(notebook)
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> None:
    """Give a page that is alone in its tab the width of a navigation that would list only it."""
    if page.parent is None:
        page.meta.setdefault("hide", ["navigation"])


def measures_page() -> str:
    """Write the measures of every set, and the columns of the stream of the voice."""
    contours = (voice_contours.__doc__ or "").split("\n\n", 1)[1]
    parts = [
        "# Measures",
        "The columns that `depmm measures MANIFEST STORE --out DIR` writes, by set. Sets describe "
        "the steps of a session; `timing` describes the whole session. A value that is undefined "
        "is missing, for example the pitch of a step without a voiced frame. How the measures of "
        "the voice agree with Praat, openSMILE and librosa is shown in "
        "[Measures of the voice](../concepts/voice.md).",
    ]
    for name in SET_NAMES:
        measures = measures_of(name)
        rows = [[f"`{m.name}`", m.group, m.unit, m.description] for m in measures]
        parts += [f"## {name}", f"{len(measures)} measures."]
        parts.append(markdown_table(["measure", "group", "unit", "formula and source"], rows))
    parts += ["## The stream voice", f"```\n{contours.strip()}\n```"]
    return "\n\n".join(parts) + "\n"


def notebook_page(path: Path) -> str:
    """Convert a notebook to a page of its text and its code, without output."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    parts = []
    for cell in cells:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
    parts.append(f"This page is the notebook `notebooks/{path.name}`.")
    return "\n\n".join(parts) + "\n"
