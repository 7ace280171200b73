"""Run the command line: the program ``depmm``, and ``python -m depmm``."""

from typing import NoReturn

from depmm.interrupts import run_as_program


def main() -> NoReturn:
    """Run the command line; Ctrl-C ends it without a traceback also while it is imported."""

    def run() -> None:
        from depmm.cli import main

        main()

    run_as_program(run)


if __name__ == "__main__":
    main()
