"""The list of the files of a run."""

from pathlib import Path

from depmm.schemas.run_files import RUN_FILES, describe_run_file

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "share_a_run.md"


def test_the_page_has_a_row_for_each_file():
    page = PAGE.read_text(encoding="utf-8")
    for file in RUN_FILES:
        assert f"| `{file.name}` | {file.content} | {file.names_subjects} | " in page


def test_what_names_subjects_is_never_copied():
    for file in RUN_FILES:
        assert file.exported == "no" or file.names_subjects != "always"
        assert bool(file.reason) == (file.exported != "copied")
        assert file.exported != "copied" or file.names_subjects == "never"
    assert describe_run_file("events.out") is None
