"""Run the command line: the program ``depmm``, and ``python -m depmm``."""

import atexit
import os
import sys
from typing import NoReturn

from depmm.interrupts import exit_on_signals


def main() -> NoReturn:
    """Run the command line; Ctrl-C ends it without a traceback also while it is imported."""
    exit_on_signals()
    from depmm.cli import main as run

    code: object = 0
    try:
        run()
    except SystemExit as end:
        code = end.code
    if not isinstance(code, int):
        code = 0 if code is None else 1
    # the end of the interpreter takes up to a second after torch was imported, in which it does not
    # call handlers of signals
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
