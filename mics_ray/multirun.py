"""``-m``: the combinations of a sweep one after another, each in its own process, and a table of how they ended."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.table import Table

from mics_ray.config.sweep import Combination
from mics_ray.errors import EXIT_OK, EXIT_STOPPED
from mics_ray.private_files import read_json_object

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a combination ended, and the summary that it left, if any."""

    name: str
    code: int
    seconds: float
    summary: dict[str, Any]


@dataclass
class _Children:
    """The process that runs, and whether a signal has asked for the end of all."""

    running: subprocess.Popen[bytes] | None = None
    stopped: bool = False
    _signals: list[int] = field(default_factory=list)

    def start(self, command: Sequence[str]) -> int:
        """Run one process to its end; its exit code as a shell gives it."""
        # In its own group a terminal's Ctrl-C reaches the child once, by way of this process: the second one that a
        # program gets ends it at once.
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        environment = os.environ | {"PYTHONPATH": path}  # the same code, from a checkout that is not installed too
        self.running = subprocess.Popen(command, process_group=0, env=environment)
        if self.stopped:  # the signal came between the look at it and the start
            self.running.send_signal(signal.SIGINT)
        code = self.running.wait()
        self.running = None
        return 128 - code if code < 0 else code

    def pass_on(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: nothing more is started, and what runs gets it too."""
        self.stopped = True
        if self.running is not None:
            self.running.send_signal(number)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle Ctrl-C and its like for a while."""
        previous = {number: signal.signal(number, self.pass_on) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def run_combinations(
    command: str, combinations: Sequence[Combination], folders: Sequence[Path | None], config_dir: Path | None
) -> int:
    """Run ``mics COMMAND`` for each combination, print the table, and return the first exit code that is not 0.

    A combination that ends badly does not keep the next from its turn; Ctrl-C does.
    """
    console = Console(highlight=False, soft_wrap=True)
    start = [sys.executable, "-m", "mics_ray.cli", command, *(["--config-dir", str(config_dir)] if config_dir else [])]
    children, ended = _Children(), []
    with children.listening():
        for number, (one, folder) in enumerate(zip(combinations, folders, strict=True), 1):
            if children.stopped:
                break
            console.rule(f"{number} of {len(combinations)}: {one.name or command}", align="left")
            begun = time.monotonic()
            code = children.start([*start, *one.overrides])
            summary = read_json_object(folder / "summary.json") if folder else {}
            ended.append(Ended(one.name, code, time.monotonic() - begun, summary))
    console.print(draw_table(ended, len(combinations)))
    if children.stopped:
        return EXIT_STOPPED
    return next((one.code for one in ended if one.code != EXIT_OK), EXIT_OK)


def draw_table(ended: Sequence[Ended], wanted: int) -> Table:
    """A line for each combination that was started."""
    left = wanted - len(ended)
    table = Table(caption=f"{left} not started; the same command goes on" if left else None, caption_justify="left")
    table.add_column("combination", overflow="fold")
    for name in ("exit code", "cases", "kept", "cost, $", "seconds"):
        table.add_column(name, justify="right")
    for one in ended:
        cases, quality, cost = (one.summary.get(name) for name in ("cases", "quality", "spent_usd"))
        table.add_row(
            one.name,
            str(one.code),
            "" if cases is None else str(cases),
            "" if quality is None else str(sum(quality.values())),
            "" if cost is None else f"{cost:.4f}",
            f"{one.seconds:.1f}",
        )
    return table
