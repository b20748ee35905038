"""Compare two evaluations item by item: paired difference with interval, exact McNemar test, the items that flipped."""

import sys

from eval.commands import run_compare

if __name__ == "__main__":
    sys.exit(run_compare(sys.argv[1:]))
