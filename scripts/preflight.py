"""Check a job and estimate it before anything is spent: the same arguments as `generate.py`."""

import sys

from generate import main

if __name__ == "__main__":
    sys.exit(main([*sys.argv[1:], "preflight=true"]))
