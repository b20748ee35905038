"""Evaluate a model on benchmarks: it answers as an intern does, rules or a judge check, a report says how well."""

import sys

from eval.commands import run_evaluate

if __name__ == "__main__":
    sys.exit(run_evaluate(sys.argv[1:]))
