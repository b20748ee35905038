"""Ask another judge about the answers that a run recorded: agreement, flipped verdicts, steps chosen otherwise.

``python scripts/rejudge.py run.dir=FOLDER judge=NAME [rejudge.name=NAME] [budget_usd=N]`` writes
``run.dir/rejudge/NAME/`` (verdicts.parquet, report.json, report.md). The judge does not sample; its replies are kept in
``run.dir/cache``, so the same command goes on where a stopped one ended. ``budget_usd`` caps what its sessions spend
together, whatever the run itself has spent. Exit codes: 0 done, 73 a run is writing there, 74 cannot write, 75 stopped,
78 refused before anything is asked.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

# Python puts this script's folder first on its path, where other scripts stand for packages of the same name.
if sys.path and Path(sys.path[0]).resolve() == Path(__file__).resolve().parent:
    sys.path.pop(0)

from eval.rejudge.config import RejudgeJob
from mics_ray.command_line import parse_command, run_program
from mics_ray.config.compose import compose_job


def main(argv: Sequence[str]) -> int:
    """Compose, check, ask; returns the exit code."""
    command = parse_command(argv, __doc__ or "", "rejudge")
    return run_program(lambda: _rejudge(command.overrides, command.config_dir))


def _rejudge(overrides: Sequence[str], config_dir: Path | None) -> int:
    job = compose_job("rejudge", RejudgeJob, overrides, config_dir)
    chosen = [one.removeprefix("judge=") for one in overrides if one.startswith("judge=")]
    job.rejudge.name = job.rejudge.name or chosen[-1]
    # Waits until the configuration is known to be right: it loads the HTTP client.
    from eval.rejudge.run import rejudge

    return rejudge(job)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
