"""Fetch the models of the hub that a run serves; `mics fetch` is the same."""

import sys

from mics_ray.commands.fetch import run_fetch

if __name__ == "__main__":
    sys.exit(run_fetch(sys.argv[1:]))
