"""The command line: each command is one stage between recordings and results.

Exit status: 0 done; 1 done, but something was found (audit errors, failed recordings); 2 not done,
the message says what to change; 130 interrupted.
"""

# these modules register their commands
import depmm.cli.corpora
import depmm.cli.explanations
import depmm.cli.models  # noqa: F401
from depmm.cli.application import app, main, show_progress

__all__ = ["app", "main", "show_progress"]
