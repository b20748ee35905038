"""Watch a run that works elsewhere: by its folder, or by the address of a Ray dashboard or of a node's metrics port."""

import argparse
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from mics_ray.command_line import run_program
from mics_ray.errors import EXIT_OK, EXIT_USAGE, RefusedRun

EVERY_S = 2.0
EXAMPLES = """examples:
  watch.py run.dir=runs/first              as far as the folder tells, live figures where its metrics can be reached
  watch.py address=head.example:8265       every run of a Ray cluster, by its dashboard (RAY_AUTH_TOKEN is sent)
  watch.py address=127.0.0.1:44227 --once  one screen of one node's metrics"""


def main(argv: Sequence[str]) -> int:
    """Read the command line, watch; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", metavar="run.dir=DIR|address=HOST:PORT")
    parser.add_argument("--once", action="store_true", help="one screen, then end; so it is without a terminal")
    try:
        found = parser.parse_args(list(argv))
        kind, _, place = found.source.partition("=")
        if kind not in ("run.dir", "address") or not place:
            parser.error("give run.dir=DIR or address=HOST:PORT")
    except SystemExit as ended:
        return EXIT_USAGE if ended.code else EXIT_OK
    return run_program(lambda: watch_run(kind, place, found.once))


def watch_run(kind: str, place: str, once: bool) -> int:
    """Draw until the run in the folder has finished, or Ctrl-C; or once. The last screen stays on the terminal."""
    draw = open_drawer(kind, place)
    console = Console(highlight=False)
    last, finished = draw()
    if once or finished or not console.is_terminal:
        console.print(last)
        return EXIT_OK
    live = Live(last, console=console, screen=True, auto_refresh=False)
    with suppress(KeyboardInterrupt), ExitStack() as stack:
        stack.callback(live.stop)  # before the start, which Ctrl-C may cut off with the cursor hidden
        live.start(refresh=True)
        while not finished:
            time.sleep(EVERY_S)
            try:
                last, finished = draw()
                live.update(last, refresh=True)
            except RefusedRun as refused:  # the job ended, or the network is away for a moment
                live.update(Group(last, Text(f"{time.strftime('%H:%M:%S')} {refused}", "red")), refresh=True)
    console.print(last)
    return EXIT_OK


def open_drawer(kind: str, place: str) -> Callable[[], tuple[RenderableType, bool]]:
    """What draws the next screen, and says whether there will be no other: the run of a folder has finished. A cluster
    may see a next run. Raises :class:`RefusedRun` where there is nothing to watch."""
    # rich alone is enough for --help; pyarrow, which reads a folder, takes a second to load.
    from mics_ray.runtime.monitor.scrape import build_views, read_samples
    from mics_ray.runtime.monitor.watch_folder import FolderWatch
    from mics_ray.runtime.monitor.watch_screen import FINISHED, Pace, draw_screen

    paces: dict[str, Pace] = {}
    folder = FolderWatch(Path(place)) if kind == "run.dir" else None

    def draw() -> tuple[RenderableType, bool]:
        views = {"": folder.read_view()} if folder else build_views(read_samples(place))
        seen = [view for _, view in sorted(views.items())]
        if not seen:
            raise RefusedRun(f"address: no run publishes metrics at {place} (its first come 10 s after its start)")
        for view in seen:
            paces.setdefault(view.run, Pace()).note_view(time.monotonic(), view)
        drawn = Group(*(draw_screen(view, paces[view.run]) for view in seen))
        return drawn, folder is not None and seen[0].state == FINISHED

    return draw
