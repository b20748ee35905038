"""What all programs share: reading the command line, Hydra's flags, ending with a message and a truthful exit code."""

import argparse
import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from rich.console import Console
from rich.table import Table

from mics_ray.config.compose import compose_job, dump_yaml, list_choices, list_groups, show_config
from mics_ray.core.display import make_printable
from mics_ray.errors import EXIT_CANNOT_WRITE, EXIT_OK, EXIT_STOPPED, EXIT_USAGE, RefusedRun
from mics_ray.proxies import reach_directly

T = TypeVar("T")

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)
"""What the system says when a disk takes no more."""


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A parsed command line: Hydra overrides and the user's own folder of group files."""

    overrides: tuple[str, ...]
    config_dir: Path | None
    show: bool = False  # --cfg job
    resolve: bool = False
    multirun: bool = False


@dataclass(frozen=True, slots=True)
class JobCommand(Generic[T]):
    """A program whose arguments are Hydra overrides.

    ``name`` is that of ``conf/NAME.yaml`` and of the command, ``run`` does the job and returns its exit code,
    ``folder`` is the key of its output folder, ``check`` refuses what cannot work, ``compose`` replaces the usual way.
    """

    name: str
    schema: type[T]
    run: Callable[[T], int]
    folder: str | None = None
    check: Callable[[T], None] | None = None
    compose: Callable[[Sequence[str], Path | None], T] | None = None

    def compose_config(self, overrides: Sequence[str], config_dir: Path | None) -> T:
        """The configuration. Raises :class:`RefusedRun`."""
        if self.compose is not None:
            return self.compose(overrides, config_dir)
        return compose_job(self.name, self.schema, overrides, config_dir)


def run_job(argv: Sequence[str], purpose: str, job: JobCommand[Any]) -> int:
    """Read the command line of ``job`` and run it, once or (``-m``) for every combination; returns the exit code."""
    line = parse_command(argv, purpose, job.name)
    return run_program(lambda: _run_all(line, job) if line.multirun else _run_one(line, job))


def _run_one(line: CommandLine, job: JobCommand[Any]) -> int:
    config = job.compose_config(line.overrides, line.config_dir)
    if line.show:
        print(_show_config(line, job, line.overrides, config), end="")
        return EXIT_OK
    return job.run(config)


def _run_all(line: CommandLine, job: JobCommand[Any]) -> int:
    """Every combination is composed and checked before the first is started."""
    from mics_ray.config.sweep import expand_sweep, find_value, place_combination
    from mics_ray.multirun import run_combinations

    placed, configs, problems = [], [], []
    for one in expand_sweep(line.overrides, job.name, line.config_dir):
        try:
            if job.folder is not None:
                folder = find_value(one.overrides, job.folder)
                if folder is None:
                    # The usual way: a name that a command makes of its choices is not a folder to go into.
                    folder = _get_value(compose_job(job.name, job.schema, one.overrides, line.config_dir), job.folder)
                one = place_combination(one, job.folder, folder)
            config = job.compose_config(one.overrides, line.config_dir)
            if job.check is not None and not line.show:
                job.check(config)
        except RefusedRun as refused:
            problems.append(f"{one.name}: {refused}" if one.name else str(refused))
            continue
        placed.append(one)
        configs.append(config)
    if problems:
        raise RefusedRun("\n".join(problems))
    if line.show:
        for one, config in zip(placed, configs, strict=True):
            print(f"# {one.name}\n{_show_config(line, job, one.overrides, config)}", end="---\n")
        return EXIT_OK
    folders = [Path(_get_value(config, job.folder) or ".") if job.folder else None for config in configs]
    return run_combinations(job.name, placed, folders, line.config_dir)


def _show_config(line: CommandLine, job: JobCommand[Any], overrides: Sequence[str], config: Any) -> str:
    # Where a command composes in its own way (a replay: from the run's folder), nothing of `${…}` is left to show.
    if line.resolve or (job.compose is not None and getattr(config, "replay", False)):
        return dump_yaml(config)
    return show_config(job.name, job.schema, overrides, line.config_dir, resolve=False)


def _get_value(config: Any, key: str) -> str | None:
    for name in key.split("."):
        config = getattr(config, name)
    return None if config is None else str(config)


def parse_command(argv: Sequence[str], purpose: str, job: str = "generate") -> CommandLine:
    """Read ``[--config-dir DIR] [--cfg job] [-m] group=NAME key=value …`` of ``conf/JOB.yaml``. Ends the program (exit
    64) on anything else."""
    offered = "\n".join(f"  {group:<12}{', '.join(list_choices(group))}" for group in list_groups(job))
    parser = argparse.ArgumentParser(
        description=purpose,
        epilog=f"groups and what conf/ offers:\n{offered}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config-dir", type=Path, help="a folder with group files of your own, such as mentors/mine.yaml"
    )
    parser.add_argument("--cfg", choices=["job"], help="print the composed configuration and start nothing")
    parser.add_argument("--resolve", action="store_true", help="with --cfg: its ${…} filled in")
    parser.add_argument(
        "-m", "--multirun", action="store_true",
        help="run every combination of search=a,b seed=0,1, each in FOLDER/KEY=VALUE; lists then need brackets: [a,b]",
    )  # fmt: skip
    parser.add_argument("overrides", nargs="*", metavar="group=NAME|key=value")
    parser.exit_on_error = False
    try:
        found = parser.parse_intermixed_args(list(argv))
        if found.resolve and not found.cfg:
            parser.error("--resolve goes with --cfg job")
    except (argparse.ArgumentError, SystemExit) as error:
        if isinstance(error, SystemExit) and error.code == 0:
            raise
        raise SystemExit(EXIT_USAGE) from None
    return CommandLine(tuple(found.overrides), found.config_dir, bool(found.cfg), found.resolve, found.multirun)


def run_program(program: Callable[[], int]) -> int:
    """Run ``program``; a refusal or a full disk becomes one clear message on standard error and its exit code."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    reach_directly()
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


def make_table(title: str, first: str, *others: str) -> Table:
    """An empty table: ``title`` above, the column ``first`` to the left, the ``others`` to the right."""
    table = Table(title=title, title_justify="left")
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table
