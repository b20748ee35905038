"""Submit a program to a cluster: it is started once, its log is followed, and the exit code is the job's.

  submit.py [status|stop] [--detach|--dry-run] cluster=NAME [cluster.KEY=VALUE …] -- [PROGRAM] OVERRIDE …

After `--` stands what the program itself would be given; the program is `generate` unless `train` or `evaluate` comes
first. A job is known by its program, its output folder and its configuration: the same command finds it again, and
never runs it twice. `status` and `stop` take the same arguments. Stopping is clean: the same command goes on.

`--dry-run` prints what would be handed over (the sbatch file, the manifests, the launcher's file, or entrypoint and
package) on standard output and where it would go on standard error. It writes nothing, runs nothing, sends nothing.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from mics_ray.command_line import run_program
from mics_ray.config.compose import list_choices
from mics_ray.errors import EXIT_OK, EXIT_USAGE
from mics_ray.submit.clusters import Preview, Say, open_cluster
from mics_ray.submit.config import compose_cluster
from mics_ray.submit.job import describe_job

ACTIONS = ("submit", "status", "stop")


@dataclass(frozen=True, slots=True)
class SubmitArguments:
    """A read command line: what to do, the overrides of the cluster, and the words of the job."""

    action: str
    detach: bool
    dry_run: bool
    cluster: tuple[str, ...]
    words: tuple[str, ...]
    config_dir: Path | None


def main(argv: Sequence[str]) -> int:
    """Read, compose, submit; returns the exit code."""
    arguments = parse_submit(argv)
    return run_program(lambda: run_action(arguments, lambda line: Console().out(line, highlight=False)))


def parse_submit(argv: Sequence[str]) -> SubmitArguments:
    """The command line. Ends the program (exit 64) on anything that is not one."""
    before, words = split_arguments(argv)
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=f"clusters: {', '.join(list_choices('cluster'))}; cluster/README.md tells the way from zero to a job "
        "on each",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage=argparse.SUPPRESS,
        exit_on_error=False,
    )
    parser.add_argument("--detach", action="store_true", help="leave when the job is submitted")
    parser.add_argument("--dry-run", action="store_true", help="print what would be handed over, and touch nothing")
    parser.add_argument("--config-dir", type=Path, help="a folder with group files of your own, cluster/ among them")
    parser.add_argument("words", nargs="*", metavar="[status|stop] cluster=NAME cluster.KEY=VALUE")
    try:
        found = parser.parse_intermixed_args(before)
    except (argparse.ArgumentError, SystemExit) as error:
        # `--help` ends with 0. In 3.11 some errors leave the parser by SystemExit in spite of exit_on_error=False.
        if isinstance(error, SystemExit) and error.code == 0:
            raise
        _exit_usage(str(error))
    actions = [word for word in found.words if "=" not in word]
    if len(actions) > 1 or any(action not in ACTIONS for action in actions):
        _exit_usage(f"not an action: {' '.join(actions)}; there is: {', '.join(ACTIONS)}")
    if not words:
        _exit_usage("nothing to submit: give the program's arguments after --")
    action = (actions or ["submit"])[0]
    if found.dry_run and action != "submit":
        _exit_usage(f"--dry-run shows a submission; {action} submits nothing")
    overrides = tuple(word for word in found.words if "=" in word)
    return SubmitArguments(action, found.detach, found.dry_run, overrides, tuple(words), found.config_dir)


def split_arguments(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words before ``--`` (the cluster's) and after it (the job's)."""
    words = list(argv)
    cut = words.index("--") if "--" in words else len(words)
    return words[:cut], words[cut + 1 :]


def run_action(arguments: SubmitArguments, say: Say) -> int:
    """Do what ``arguments`` ask for; returns the exit code. Raises :class:`RefusedRun`."""
    # The cluster comes first: it says from which folder the job's relative paths begin.
    cluster = open_cluster(compose_cluster(arguments.cluster, arguments.config_dir), say)
    job = describe_job(arguments.words, arguments.config_dir, cluster.base)
    if arguments.dry_run:
        return _print_preview(cluster.preview_submission(job))
    if arguments.action == "submit":
        return cluster.submit(job, arguments.detach)
    return cluster.show_status(job) if arguments.action == "status" else cluster.stop(job)


def _print_preview(preview: Preview) -> int:
    # Bytes, as a file would hold them: rich would wrap lines, and a terminal's encoding could change letters.
    sys.stdout.flush()
    sys.stdout.buffer.write(preview.text.encode())
    sys.stdout.buffer.flush()
    for note in preview.notes:
        Console(stderr=True, soft_wrap=True).out(note, highlight=False)
    return EXIT_OK


def _exit_usage(problem: str) -> None:
    Console(stderr=True, soft_wrap=True).out(f"{problem}; see --help", highlight=False)
    raise SystemExit(EXIT_USAGE)
