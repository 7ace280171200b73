"""The command line, with one command for each stage between recordings and results.

Exit status 0: the command succeeded. 1: it ran to its end and reports problems (audit errors,
failed recordings). 2: it did not run; the message names the cause and the remedy. 130: interrupted
(143: by SIGTERM). 141: the reader of the output has ended.
"""

# the import of these modules registers their commands
import depmm.cli.contact_sheet
import depmm.cli.corpora
import depmm.cli.cross_corpus
import depmm.cli.downloads
import depmm.cli.explanations
import depmm.cli.measures
import depmm.cli.models
import depmm.cli.new_spec
import depmm.cli.serving
import depmm.cli.sharing
import depmm.cli.steps  # noqa: F401
from depmm.cli.application import app, main, reporting_errors, show_progress, sort_commands

# the order of the work, which `depmm --help` shows
PANELS = {
    "Start": ("doctor", "download", "simulate"),
    "Describe a corpus": ("new-spec", "specs", "steps", "index", "audit", "split"),
    "Read recordings": ("extract", "look", "measures"),
    "Train": (
        "configs", "schema", "precompute", "train", "cross-validate", "cross-corpus", "combine",
    ),
    "Evaluate and explain": ("evaluate", "compare", "explain", "ask", "probe"),
    "Predict and share": ("predict", "serve", "export", "push", "pull"),
}  # fmt: skip
sort_commands(PANELS)

__all__ = ["app", "main", "reporting_errors", "show_progress"]
