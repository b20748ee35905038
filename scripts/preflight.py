"""Check a job and estimate it before anything is spent: the same arguments as `generate.py`."""

import sys

from mics_ray.commands.generate import run_preflight

if __name__ == "__main__":
    sys.exit(run_preflight(sys.argv[1:]))
