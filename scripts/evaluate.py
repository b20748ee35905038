"""Evaluate a model on benchmarks: it answers as an intern does, rules or a judge check, a report says how well."""

import sys
from collections.abc import Sequence

from eval.config import EvaluateJob
from eval.run import evaluate
from mics_ray.command_line import parse_command, run_program
from mics_ray.config.compose import compose_job


def main(argv: Sequence[str]) -> int:
    """Compose, check, evaluate; returns the exit code."""
    command = parse_command(argv, __doc__ or "", "evaluate")
    return run_program(lambda: evaluate(compose_job("evaluate", EvaluateJob, command.overrides, command.config_dir)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
