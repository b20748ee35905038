"""Submit a program to a cluster: it is started once, its log is followed, and the exit code is the job's.

  submit.py [status|stop] [--detach] cluster=NAME [cluster.KEY=VALUE …] -- [generate|train|evaluate] OVERRIDE …

After `--` stands what the program itself would be given (`generate` unless named). A job is known by its program, its
output folder and its configuration: the same command finds it again, and never runs it twice. `status` and `stop`
take the same arguments. Stopping is clean: the same command goes on.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from mics_ray.command_line import ending
from mics_ray.config.compose import choices
from mics_ray.errors import EXIT_USAGE

if __name__ == "__main__":
    # This file's folder comes first on the path, and `train.py` there would stand for the package `train`.
    sys.path.pop(0)

from mics_ray.submit.launch import Order, launch, split

ACTIONS = ("submit", "status", "stop")


def main(argv: Sequence[str]) -> int:
    """Read, compose, submit; returns the exit code."""
    order = read(argv)
    return ending(lambda: launch(order, lambda line: Console().out(line, highlight=False)))


def read(argv: Sequence[str]) -> Order:
    """The command line. Ends the program (exit 64) on anything that is not one."""
    before, words = split(argv)
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=f"clusters: {', '.join(choices('cluster'))}; cluster/README.md tells the way from zero to a job on each",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage=argparse.SUPPRESS,
        exit_on_error=False,
    )
    parser.add_argument("--detach", action="store_true", help="leave when the job is submitted")
    parser.add_argument("--config-dir", type=Path, help="a folder with group files of your own, cluster/ among them")
    parser.add_argument("words", nargs="*", metavar="[status|stop] cluster=NAME cluster.KEY=VALUE")
    try:
        found = parser.parse_intermixed_args(before)
    except (argparse.ArgumentError, SystemExit) as error:
        if isinstance(error, SystemExit) and error.code == 0:
            raise
        _usage(str(error))
    actions = [word for word in found.words if "=" not in word]
    if len(actions) > 1 or any(action not in ACTIONS for action in actions):
        _usage(f"not an action: {' '.join(actions)}; there is: {', '.join(ACTIONS)}")
    if not words:
        _usage("nothing to submit: give the program's arguments after --")
    overrides = tuple(word for word in found.words if "=" in word)
    return Order((actions or ["submit"])[0], found.detach, overrides, tuple(words), found.config_dir)


def _usage(problem: str) -> None:
    Console(stderr=True, soft_wrap=True).out(f"{problem}; see --help", highlight=False)
    raise SystemExit(EXIT_USAGE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
