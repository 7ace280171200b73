"""Extract on many machines: accelerate launch experiments/extract.py MANIFEST ROOT --out STORE ...

The arguments are those of ``depmm extract``; the sessions are distributed over the processes.
"""

import sys

from depmm.__main__ import main

if __name__ == "__main__":
    sys.argv.insert(1, "extract")
    main()
