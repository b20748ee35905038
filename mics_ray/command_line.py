"""What all programs of `scripts/` share: reading the command line, ending with a message and a truthful exit code."""

import argparse
import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from mics_ray.config.compose import list_choices, list_groups
from mics_ray.core.display import make_printable
from mics_ray.errors import EXIT_CANNOT_WRITE, EXIT_STOPPED, EXIT_USAGE, RefusedRun

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)
"""What the system says when a disk takes no more."""


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A parsed command line: Hydra overrides and the user's own folder of group files."""

    overrides: tuple[str, ...]
    config_dir: Path | None


def parse_command(argv: Sequence[str], purpose: str, job: str = "generate") -> CommandLine:
    """Read ``[--config-dir DIR] group=NAME key=value …`` of ``conf/JOB.yaml``. Ends the program (exit 64) on anything
    else."""
    offered = "\n".join(f"  {group:<12}{', '.join(list_choices(group))}" for group in list_groups(job))
    parser = argparse.ArgumentParser(
        description=purpose,
        epilog=f"groups and what conf/ offers:\n{offered}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config-dir", type=Path, help="a folder with group files of your own, such as mentors/mine.yaml"
    )
    parser.add_argument("overrides", nargs="*", metavar="group=NAME|key=value")
    parser.exit_on_error = False
    try:
        found = parser.parse_args(list(argv))
    except (argparse.ArgumentError, SystemExit) as error:
        if isinstance(error, SystemExit) and error.code == 0:
            raise
        raise SystemExit(EXIT_USAGE) from None
    return CommandLine(tuple(found.overrides), found.config_dir)


def run_program(program: Callable[[], int]) -> int:
    """Run ``program``; a refusal or a full disk becomes one clear message on standard error and its exit code."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        return program()
    except RefusedRun as refused:
        console.print("refused:", make_printable(str(refused)), style="red", markup=False)
        return refused.code
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        place = error.filename or "the output"
        console.print(f"cannot write {place}: {error.strerror}", style="red", markup=False)
        return EXIT_CANNOT_WRITE
    except KeyboardInterrupt:
        return EXIT_STOPPED
