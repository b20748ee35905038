"""Compare two evaluations item by item, leniently and strictly: paired difference, exact McNemar test, what flipped."""

import sys

from eval.commands import run_compare

if __name__ == "__main__":
    sys.exit(run_compare(sys.argv[1:]))
