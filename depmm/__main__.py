"""Run the command line with ``python -m depmm``."""

from depmm.cli import main

if __name__ == "__main__":
    main()
