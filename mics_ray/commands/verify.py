"""Check a run's results: every shard readable and whole, every input case in exactly one row.

``python scripts/verify.py run.dir=FOLDER [--repair]``. With ``--repair`` damaged shards are set aside (renamed, never
deleted), and the rows that are missing are rebuilt from the recorded replies in the run's cache, without a network, a
key, a GPU or Ray. Cases that the record does not reach are left to the command that made the run.

Exit codes: 0 sound, 73 a run is writing there, 74 damaged, 75 whole so far: the same command goes on, 78 no run there.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mics_ray.command_line import run_program
from mics_ray.core.display import make_one_line
from mics_ray.errors import EXIT_CANNOT_WRITE, EXIT_OK, EXIT_STOPPED, EXIT_USAGE, LockedRun, RefusedRun, Stopped
from mics_ray.io.cases import InputError
from mics_ray.io.results.results_check import EXAMPLES, ResultsCheck, check_results, set_shard_aside
from mics_ray.jobs.lock import LockHeld, RunLock
from mics_ray.jobs.stop_signal import StopSignal


def run_verify(argv: Sequence[str]) -> int:
    """Check, repair, report; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="run.dir=FOLDER")
    parser.add_argument(
        "--repair", action="store_true", help="set damaged shards aside and rebuild their rows from the record"
    )
    try:
        given = parser.parse_args(list(argv))
    except SystemExit as end:
        return EXIT_USAGE if end.code else EXIT_OK
    if not given.run.startswith("run.dir=") or given.run == "run.dir=":
        parser.print_usage(sys.stderr)
        return EXIT_USAGE
    return run_program(
        lambda: verify_run(Path(given.run.removeprefix("run.dir=")), given.repair, Console(highlight=False))
    )


def verify_run(run: Path, repair: bool, console: Console) -> int:
    """Check the run in ``run``. Raises :class:`RefusedRun`, :class:`LockedRun`."""
    if not (run / "config.yaml").is_file():
        raise RefusedRun(f"run.dir: there is no run in {run}")
    try:
        with RunLock(run / ".lock", shared=True):
            return _check_and_repair(run, repair, console)
    except LockHeld as held:
        raise LockedRun(f"{held}; wait for it, or stop it") from None


def _check_and_repair(run: Path, repair: bool, console: Console) -> int:
    from mics_ray.assemble.locations import resolve_cases
    from mics_ray.replay.replay_config import read_run_settings

    cases = resolve_cases(read_run_settings(run)["data"]["cases"])
    stop = StopSignal()
    try:
        with stop.handle_signals(), stop.raise_on_signal():
            found = check_results(run / "results", cases)
            print_check(console, found)
            # Rows twice or not asked for hint at the input of another run, from which nothing may be rebuilt.
            if repair and not (found.twice.count or found.unasked.count) and not found.sound:
                _repair_rows(run, found, console, stop)
                found = check_results(run / "results", cases)
                print_check(console, found)
    except Stopped as stopped:
        console.print(f"{stopped}; the rows so far are kept", style="yellow", soft_wrap=True)
        return stopped.code
    except InputError as error:
        raise RefusedRun(str(error)) from None
    except OSError as error:
        console.print(f"cannot write {error.filename or run}: {error.strerror}", style="red", markup=False)
        return EXIT_CANNOT_WRITE
    if found.sound:
        return EXIT_OK
    if found.twice.count or found.unasked.count:
        console.print("rows twice, or not asked for by the input: is this the input of that run?", style="red")
        return EXIT_CANNOT_WRITE
    if found.damaged:
        console.print("run again with --repair to rebuild the rows of the damaged shards", style="yellow")
        return EXIT_CANNOT_WRITE
    again = f"{found.missing.count} cases have no row; the command that made the run goes on with them"
    console.print(f"{again}, and pays for no reply that lies in {run / 'cache'}", style="yellow", soft_wrap=True)
    return EXIT_STOPPED


def _repair_rows(run: Path, found: ResultsCheck, console: Console, stop: StopSignal) -> None:
    """Set damaged shards aside and rebuild what the record holds; says what could not be."""
    from mics_ray.io.index.shard_index import INDEX
    from mics_ray.io.shards.reading import RESULTS
    from mics_ray.jobs.run_folder import RunFolder
    from mics_ray.replay.replay_config import compose_recorded
    from mics_ray.replay.run import rebuild_rows
    from mics_ray.runtime.monitor.progress import Progress

    # What is rebuilt goes by the shards themselves.
    (run / RESULTS / INDEX).unlink(missing_ok=True)
    for path in found.damaged:
        console.print(f"set aside as {set_shard_aside(path).name}")
    try:
        ends = rebuild_rows(compose_recorded(run), RunFolder(run), Progress(), stop)
    except RefusedRun as refused:
        console.print(
            f"no row could be rebuilt from the record: {refused}", style="yellow", markup=False, soft_wrap=True
        )
        return
    console.print(f"{found.missing.count - len(ends)} rows rebuilt from the record")
    for one in ends[:EXAMPLES]:
        what = "the record is damaged" if one.damaged else "the record ends"
        console.print(f"{make_one_line(one.case)}: {what} in round {one.round} of attempt {one.attempt}", markup=False)
    if ends:
        console.print(f"the record does not reach {len(ends)} cases", style="yellow")


def print_check(console: Console, found: ResultsCheck) -> None:
    """Print what was found, ids of cases on one line each whatever they hold."""
    table = Table(show_header=False)
    table.add_row("shards", f"{len(found.rows)} whole, {sum(found.rows.values())} rows")
    for path, problem in found.damaged.items():
        table.add_row(path.name, problem)
    for name, ids in (("twice", found.twice), ("not in the input", found.unasked), ("without a row", found.missing)):
        if ids.count:
            more = ", …" if ids.count > len(ids.examples) else ""
            table.add_row(name, Text(f"{ids.count}: {', '.join(map(make_one_line, ids.examples))}{more}"))
    console.print(table)
    if found.sound:
        console.print("sound: every case of the input has exactly one row", style="green")
