"""Check a run's results: every shard readable and whole, every input case in exactly one row.

``python scripts/verify.py run.dir=FOLDER [--repair]``. With ``--repair`` damaged shards are set aside (renamed, never
deleted); the command that made the run then writes their rows again, from the replies that lie in its cache.

Exit codes: 0 sound, 73 a run is writing there, 74 damaged, 75 whole so far: the same command goes on, 78 no run there.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table

# Python puts this script's folder first on its path, where other scripts stand for packages of the same name.
if sys.path and Path(sys.path[0]).resolve() == Path(__file__).resolve().parent:
    sys.path.pop(0)

from mics_ray.cli import ending
from mics_ray.errors import EXIT_CANNOT_WRITE, EXIT_OK, EXIT_STOPPED, EXIT_USAGE, LockedRun, RefusedRun
from mics_ray.io.cases import InputError
from mics_ray.io.check import Check, check_results, set_aside
from mics_ray.io.lock import LockHeld, RunLock


def main(argv: Sequence[str]) -> int:
    """Check, repair, tell; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="run.dir=FOLDER")
    parser.add_argument("--repair", action="store_true", help="set damaged shards aside")
    try:
        given = parser.parse_args(list(argv))
    except SystemExit as end:
        return EXIT_USAGE if end.code else EXIT_OK
    if not given.run.startswith("run.dir="):
        parser.print_usage(sys.stderr)
        return EXIT_USAGE
    return ending(lambda: verify(Path(given.run.removeprefix("run.dir=")), given.repair, Console(highlight=False)))


def verify(run: Path, repair: bool, console: Console) -> int:
    """Check the run in ``run``. Raises :class:`RefusedRun`, :class:`LockedRun`."""
    if not (run / "config.yaml").is_file():
        raise RefusedRun(f"run.dir: there is no run in {run}")
    try:
        with RunLock(run / ".lock"):
            return _verify(run, repair, console)
    except LockHeld as held:
        raise LockedRun(f"{held}; wait for it, or stop it") from None


def _verify(run: Path, repair: bool, console: Console) -> int:
    from mics_ray.assemble import embedded

    cases = Path(embedded(str(OmegaConf.load(run / "config.yaml").data.cases)))
    try:
        found = check_results(run / "results", cases)
    except InputError as error:
        raise RefusedRun(str(error)) from None
    _show(console, found)
    if found.sound:
        return EXIT_OK
    if found.twice.count or found.unasked.count:
        console.print("rows twice, or not asked for by the input: is this the input of that run?", style="red")
        return EXIT_CANNOT_WRITE
    if found.damaged and not repair:
        console.print("run again with --repair to set the damaged shards aside", style="yellow")
        return EXIT_CANNOT_WRITE
    for path in found.damaged:
        console.print(f"set aside as {set_aside(path).name}")
    again = f"{found.missing.count} cases have no row; the command that made the run goes on with them"
    console.print(f"{again}, and pays for no reply that lies in {run / 'cache'}", style="yellow", soft_wrap=True)
    return EXIT_STOPPED


def _show(console: Console, found: Check) -> None:
    table = Table(show_header=False)
    table.add_row("shards", f"{len(found.rows)} whole, {sum(found.rows.values())} rows")
    for path, problem in found.damaged.items():
        table.add_row(path.name, problem)
    for name, ids in (("twice", found.twice), ("not in the input", found.unasked), ("without a row", found.missing)):
        if ids.count:
            more = ", …" if ids.count > len(ids.examples) else ""
            table.add_row(name, f"{ids.count}: {', '.join(ids.examples)}{more}")
    console.print(table)
    if found.sound:
        console.print("sound: every case of the input has exactly one row", style="green")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
